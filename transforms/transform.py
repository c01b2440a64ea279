r"""What every warp offers: it moves points, and images with them.

**Coordinates.** The centre of an image is 0, x points right and y down, and half of its longer
side is 1, so that a unit is as long in x as in y: the pixel centres of an image of `W` columns and
`H` rows have \( x = (2 i + 1 - W) / \max(W, H) \) and \( y = (2 j + 1 - H) / \max(W, H) \).

**Images.** \( (T_\gamma\, I)(p) = I(T_\gamma^{-1}(p)) \): what was at \( p \) is afterwards at
\( T_\gamma(p) \). Values between pixels are bilinear.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional

PADDINGS = ("border", "zeros", "reflection")
FARTHEST = 1e4  # half sides: nothing new lies beyond, and pixels' numbers stay far from overflow


class Transform(nn.Module):
    r"""A warp \( T_\gamma \) with \( T_0 \) the identity; subclasses give `points` and `velocity`.

    It is the flow, for one unit of time, of a velocity field that is linear in \( \gamma \), hence
    \( T_\gamma^{-1} = T_{-\gamma} \) and \( T_{s\gamma} T_{t\gamma} = T_{(s+t)\gamma} \).

    Attributes:
        parameter_names: What each entry of gamma is called.
        dims: Number `D` of coordinates of a point; images need 2.
        padding: What lies outside of an image: `border` repeats its edge, `zeros`, `reflection`.

    Raises:
        ValueError: If `padding` is none of these.
    """

    parameter_names: tuple[str, ...] = ()
    dims: int = 2

    def __init__(self, padding: str = "border") -> None:
        super().__init__()
        if padding not in PADDINGS:
            raise ValueError(
                f"padding is {padding!r}; expected one of {', '.join(PADDINGS)}. "
                "Choose border unless the background is 0 and the scale is not warped."
            )
        self.padding = padding

    @property
    def parameter_count(self) -> int:
        """Number `P` of entries of gamma."""
        return len(self.parameter_names)

    def velocity(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Return the velocity field at points.

        Args:
            points: Points `(..., M, D)`.
            gamma: Parameters `(..., P)`; leading dims broadcast.

        Returns:
            Velocities `(..., M, D)`, in units of half the longer side per unit of time.
        """
        raise NotImplementedError

    def points(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Return where points go.

        Args:
            points: Points `(..., M, D)`.
            gamma: Parameters `(..., P)`; leading dims broadcast.

        Returns:
            Points `(..., M, D)`.

        Raises:
            ValueError: If gamma or the points are not of these widths, or gamma is not finite.
        """
        raise NotImplementedError

    def inverse_points(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Return where points come from; arguments as of `points`."""
        return self.points(points, -gamma)

    def image_points(
        self, height: int, width: int, gamma: Tensor, inverse: bool = False
    ) -> Tensor:
        """Return where the centres of an image's pixels go, or come from.

        Args:
            height: Rows `H` of the image.
            width: Columns `W` of the image.
            gamma: Parameters `(..., P)`.
            inverse: Where they come from instead.

        Returns:
            Points `(..., H * W, 2)`, row by row.
        """
        move = self.inverse_points if inverse else self.points
        return move(pixel_centres(height, width, gamma), gamma)

    def forward(self, image: Tensor, gamma: Tensor) -> Tensor:
        """Warp images.

        Args:
            image: Images `(..., C, H, W)` of any size.
            gamma: Parameters `(..., P)`; leading dims broadcast with those of the images.

        Returns:
            Images `(..., C, H, W)`.

        Raises:
            ValueError: If leading dims do not broadcast, or gamma is not `(..., P)` or not finite.
        """
        self.check(gamma, image)
        height, width = image.shape[-2:]
        source = self.image_points(height, width, gamma, inverse=True)
        return sample_image(image, source, self.padding)

    def inverse(self, image: Tensor, gamma: Tensor) -> Tensor:
        """Undo the warp of images; arguments as of `forward`."""
        self.check(gamma, image)
        height, width = image.shape[-2:]
        return sample_image(image, self.image_points(height, width, gamma), self.padding)

    def check_points(self, points: Tensor, gamma: Tensor) -> None:
        """Raise `ValueError` unless points are `(..., M, D)`, with leading dims that fit."""
        if points.dim() < 2 or points.shape[-1] != self.dims:
            raise ValueError(
                f"points is {tuple(points.shape)}; expected (..., M, {self.dims}), coordinates "
                "last. Transpose them, or add a dim for a single point."
            )
        try:
            torch.broadcast_shapes(points.shape[:-2], gamma.shape[:-1])
        except RuntimeError:
            raise ValueError(
                f"points is {tuple(points.shape)} and gamma {tuple(gamma.shape)}; expected "
                f"leading dims that broadcast, not {tuple(points.shape[:-2])} and "
                f"{tuple(gamma.shape[:-1])}. Give one gamma per set of points."
            ) from None

    def check(self, gamma: Tensor, image: Tensor | None = None) -> None:
        """Raise `ValueError` unless gamma is `(..., P)`, finite, and fits images `(..., C, H, W)`.

        Values are looked at only while Pyro's or torch's validation is on, as it is unless a step
        turns it off: reading them makes a GPU wait.
        """
        if gamma.dim() < 1 or gamma.shape[-1] != self.parameter_count:
            raise ValueError(
                f"gamma is {tuple(gamma.shape)}; expected (..., {self.parameter_count}), the "
                f"parameters {_listed(self.parameter_names)} of {type(self).__name__}."
            )
        if image is not None:
            if self.dims != 2:
                raise ValueError(
                    f"dims is {self.dims}; expected 2 to warp images. Warp points instead."
                )
            _check_image(image, gamma)
        if Distribution._validate_args and not bool(torch.isfinite(gamma).all()):
            bad = int((~torch.isfinite(gamma)).sum())
            raise ValueError(
                f"gamma has {bad} NaN or infinite values of {gamma.numel()}; expected finite "
                "ones. Lower the learning rate of the net that it comes from."
            )


def pixel_centres(height: int, width: int, like: Tensor) -> Tensor:
    """Return the centres of an image's pixels, row by row.

    Args:
        height: Rows `H`, at least 1.
        width: Columns `W`, at least 1.
        like: A tensor of the wanted device and dtype; half precision gives float32.

    Returns:
        Points `(H * W, 2)`, x and y.
    """
    x, y = pixel_axes(height, width, like)
    grid = [x.expand(height, width), y.unsqueeze(-1).expand(height, width)]
    return torch.stack(grid, dim=-1).view(-1, 2)


def pixel_axes(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the x `(W,)` of an image's columns and the y `(H,)` of its rows.

    Args:
        height: Rows `H`, at least 1.
        width: Columns `W`, at least 1.
        like: A tensor of the wanted device and dtype; half precision gives float32.
    """
    dtype = like.dtype if like.dtype.itemsize >= 4 else torch.float32
    longer = max(height, width)
    x = (2 * torch.arange(width, device=like.device, dtype=dtype) + 1 - width) / longer
    y = (2 * torch.arange(height, device=like.device, dtype=dtype) + 1 - height) / longer
    return x, y


def extent_of(height: int, width: int) -> tuple[float, float]:
    """Return how far an image reaches from its centre, in x and y; the longer side is 1."""
    longer = max(height, width)
    return width / longer, height / longer


def sample_image(image: Tensor, points: Tensor, padding: str) -> Tensor:
    """Read images at points, bilinearly.

    Args:
        image: Images `(..., C, H, W)`.
        points: Points `(..., H * W, 2)`, row by row; leading dims broadcast with the images'.
        padding: `border`, `zeros` or `reflection`.

    Returns:
        Images `(..., C, H, W)` in the dtype of `image`, float32 at least; NaN where a point of an
        image is NaN or infinite.
    """
    channels, height, width = image.shape[-3:]
    batch = torch.broadcast_shapes(image.shape[:-3], points.shape[:-2])
    with torch.autocast(points.device.type, enabled=False):
        image = image if image.dtype.itemsize >= 4 else image.float()
        extent = points.new_tensor(extent_of(height, width)) if height != width else None
        # grid_sample reads NaN as the image's edge, and its backward pass outside of memory.
        lost = 0 * points.detach().flatten(-2).sum(-1)
        grid = _Readable.apply((points if extent is None else points / extent).to(image.dtype))
        grid = grid.expand(*batch, -1, 2).reshape(-1, height, width, 2)
        flat = image.expand(*batch, -1, -1, -1).reshape(-1, channels, height, width)
        warped = functional.grid_sample(
            flat, grid, mode="bilinear", padding_mode=padding, align_corners=False
        )
        warped = warped.view(*batch, channels, height, width)
        return warped + lost[..., None, None, None].to(warped.dtype)


class _Readable(torch.autograd.Function):
    """Places within reach of numbers, NaN as the centre; gradients pass as they are.

    Elsewhere an image has no gradient but by reflection, so that those of a clamp, which would
    take longer than all that is read, are not missed.
    """

    @staticmethod
    def forward(grid: Tensor) -> Tensor:
        return grid.clamp(-FARTHEST, FARTHEST).nan_to_num_(0.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradient


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6])
    return shown if len(names) <= 6 else f"{shown}, ..."


def _check_image(image: Tensor, gamma: Tensor) -> None:
    if image.dim() < 3:
        raise ValueError(
            f"image is {tuple(image.shape)}; expected (..., C, H, W). Add the channel's dim."
        )
    try:
        torch.broadcast_shapes(image.shape[:-3], gamma.shape[:-1])
    except RuntimeError:
        raise ValueError(
            f"image is {tuple(image.shape)} and gamma {tuple(gamma.shape)}; expected leading dims "
            f"that broadcast, not {tuple(image.shape[:-3])} and {tuple(gamma.shape[:-1])}. Give "
            "one gamma per image; frames of sequences are images after .flatten(0, 1)."
        ) from None
