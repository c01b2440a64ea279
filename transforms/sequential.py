"""Warps one after the other."""

from torch import Tensor, nn

from .transform import Transform


class Sequential(Transform):
    """Warps one after the other; gamma holds their parameters side by side.

    The composition of flows is no flow of one velocity field: its inverse undoes the warps in
    reverse order, and is not the warp of `-gamma`.

    Args:
        transforms: Warps of points with the same number of coordinates, the first one first; at
            least one.
        padding: What lies outside of an image, as in `Transform`.

    Raises:
        ValueError: If there are none, or their numbers of coordinates differ.
    """

    def __init__(self, *transforms: Transform, padding: str = "border") -> None:
        super().__init__(padding)
        if not transforms:
            raise ValueError("transforms is (); expected at least one. Give a Transform.")
        dims = sorted({transform.dims for transform in transforms})
        if len(dims) > 1:
            raise ValueError(
                f"transforms warp points of {', '.join(map(str, dims))} coordinates; expected one "
                "number. Compose warps of the same kind of points."
            )
        self.parts = nn.ModuleList(transforms)
        self.dims = dims[0]
        self._sizes = [transform.parameter_count for transform in transforms]
        self.parameter_names = tuple(
            f"{i}.{name}"
            for i, transform in enumerate(transforms)
            for name in transform.parameter_names
        )

    def split(self, gamma: Tensor) -> list[tuple[Transform, Tensor]]:
        """Return each warp with its own parameters `(..., P_i)` of gamma `(..., P)`."""
        self.check(gamma)
        parts = [part for part in self.parts if isinstance(part, Transform)]
        return list(zip(parts, gamma.split(self._sizes, -1), strict=True))

    def check(self, gamma: Tensor, image: Tensor | None = None) -> None:
        """Raise `ValueError` as `Transform` does, and where a part does not fit the images."""
        super().check(gamma, image)
        if image is not None:
            for transform, part in self.split(gamma):
                transform.check(part, image)

    def velocity(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Not defined: a composition is no flow of one velocity field.

        Raises:
            ValueError: Always; names the alternative.
        """
        raise ValueError(
            "a Sequential has no velocity field of its own; expected one of its parts. "
            "Call split(gamma) and take the velocity of a part."
        )

    def points(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Return where points `(..., M, D)` go, first warp first."""
        for transform, part in self.split(gamma):
            points = transform.points(points, part)
        return points

    def inverse_points(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Return where points `(..., M, D)` come from, last warp first."""
        for transform, part in reversed(self.split(gamma)):
            points = transform.inverse_points(points, part)
        return points


def compose(*transforms: Transform, padding: str = "border") -> Sequential:
    """Return the warp that applies `transforms` in order; arguments as of `Sequential`."""
    return Sequential(*transforms, padding=padding)
