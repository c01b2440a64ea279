r"""CPAB: warps by velocity fields that are continuous and affine in every cell."""

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor

from .cpab_basis import cpab_basis
from .cpab_exact import exact_flow
from .cpab_flow import apply_maps, flow, locate, look_up
from .tessellation import Tessellation
from .transform import Transform, extent_of


class CPAB(Transform):
    r"""Diffeomorphisms: flows of continuous piecewise-affine velocity fields.

    The domain is the box of half sides `extent` around 0, cut into boxes and these into simplices:
    intervals, 4 triangles a square, 24 tetrahedra a cube. Outside, the velocity is that of the
    nearest point of the domain, so warps can be composed with others that leave it.

    Gamma are the coordinates in a basis that is orthonormal in velocity and gradient, the
    smoothest field first; see `cpab_basis`. For \( \gamma \sim N(0, I) \) the velocity has the
    root mean square 0.15, 2.1 pixels of 28, at any tessellation.

    The flow takes `steps` steps of the exact flow of a cell. Its error falls as `1 / steps ** 2`:
    for \( \gamma \sim N(0, I) \), `cells=(2, 4)` and 10 steps it stays below 0.02 pixels of 28,
    about 0.0005 in the root mean square; three times that gamma needs 30 steps for as much. The
    backward pass is the adjoint and keeps one byte per point and step, or two where there are
    more than 256 pieces and four above 32768; it cannot be differentiated again.

    Source: Freifeld, Hauberg, Batmanghelich & Fisher (2015), Highly-expressive spaces of
    well-behaved transformations, https://doi.org/10.1109/ICCV.2015.339.

    Args:
        cells: Boxes along each of `D` = 1 to 3 coordinates; (columns, rows) for images.
        zero_boundary: Whether nothing flows through the border of the domain.
        volume_preserving: Whether the divergence is 0 inside of it.
        extent: Half sides of the domain, 1 unless given; `extent_of(H, W)` for images.
        steps: Number of steps, at least 1.
        exact: Whether to follow each point from border to border instead: to 1e-10 and slow, in
            float64 inside, differentiable, but not in recorded or compiled steps.
        padding: What lies outside of an image, as in `Transform`.

    Raises:
        ValueError: If an argument is out of range, or no field but 0 obeys the constraints.
    """

    _basis: Tensor

    def __init__(
        self,
        cells: Sequence[int] = (2, 4),
        zero_boundary: bool = True,
        volume_preserving: bool = False,
        extent: Sequence[float] | None = None,
        steps: int = 10,
        exact: bool = False,
        padding: str = "border",
    ) -> None:
        super().__init__(padding)
        tessellation = Tessellation(cells)
        self.dims = tessellation.dims
        self.extent = _checked_extent(extent, self.dims)
        if not isinstance(steps, Integral) or steps < 1:
            raise ValueError(f"steps is {steps}; expected a whole number, at least 1. Take 20.")
        self.cells, self.steps, self.exact = tessellation.cells, int(steps), exact
        self._grid = tessellation.grid
        basis = cpab_basis(
            tessellation,
            self.extent,
            zero_boundary=zero_boundary,
            volume_preserving=volume_preserving,
        )
        self.parameter_names = tuple(f"field{i}" for i in range(basis.shape[2]))
        # Kept in full precision too: a converted module would round it.
        self._precise = torch.from_numpy(basis)
        self._faces = torch.from_numpy(tessellation.faces()) if exact else None
        self.register_buffer("_basis", self._precise.float(), persistent=False)

    def check(self, gamma: Tensor, image: Tensor | None = None) -> None:
        """Raise `ValueError` as `Transform` does, and where an image is not of the extent."""
        super().check(gamma, image)
        if image is None:
            return
        height, width = image.shape[-2:]
        shape = extent_of(height, width)
        if any(abs(a - b) > 1e-6 for a, b in zip(self.extent, shape, strict=True)):
            raise ValueError(
                f"image is {height} x {width}, of extent {shape}; expected one of the warp's "
                f"extent, {self.extent}. Make the warp with extent=extent_of({height}, {width})."
            )

    def velocity(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Return the velocities `(..., M, D)` at points `(..., M, D)`; not of unbounded ones."""
        batch, inside, pieces = self._prepare(points, gamma)
        found = apply_maps(look_up(pieces, locate(inside.detach(), self._grid)), inside)
        half = [2 * reach / n for reach, n in zip(self.extent, self.cells, strict=True)]
        moved = torch.stack([v * h for v, h in zip(found.unbind(0), half, strict=True)], -1)
        return moved.view(*batch, -1, self.dims)

    def points(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Return where points `(..., M, D)` go, `(..., M, D)`; arguments as of `Transform`."""
        batch, inside, pieces = self._prepare(points, gamma)
        if self._faces is not None:
            faces = self._faces.to(inside.device)
            moved = exact_flow(pieces.double(), inside.double(), self._grid, faces)
            moved = moved.to(inside.dtype)
        else:
            moved = flow(pieces, inside, self.cells, self.steps)
        places = [
            place * (2 * reach / n) - reach
            for place, reach, n in zip(moved.unbind(0), self.extent, self.cells, strict=True)
        ]
        return torch.stack(places, -1).view(*batch, -1, self.dims)

    def _prepare(self, points: Tensor, gamma: Tensor) -> tuple[torch.Size, Tensor, Tensor]:
        """The leading dims, points `(D, B, M)` and affine pieces `(D, D + 1, B, C)` in cells."""
        self.check(gamma)
        self.check_points(points, gamma)
        batch = torch.broadcast_shapes(points.shape[:-2], gamma.shape[:-1])
        dtype = torch.promote_types(torch.promote_types(gamma.dtype, points.dtype), torch.float32)
        gamma = gamma.to(dtype).expand(*batch, -1).reshape(-1, self.parameter_count)
        inside = torch.stack(
            [
                place.to(dtype) * (n / (2 * reach)) + n / 2
                for place, reach, n in zip(points.unbind(-1), self.extent, self.cells, strict=True)
            ]
        )
        missing = [1] * (len(batch) + 2 - points.dim())
        inside = inside.view(self.dims, *missing, *points.shape[:-1]).expand(-1, *batch, -1)
        inside = inside.reshape(self.dims, len(gamma), -1)
        with torch.autocast(gamma.device.type, enabled=False):
            pieces = gamma @ self._fields(gamma).flatten(0, 1)
        return batch, inside, pieces.unflatten(0, (self.dims, self.dims + 1))

    def _fields(self, gamma: Tensor) -> Tensor:
        """The basis in the dtype and on the device of gamma."""
        basis = self._basis
        if basis.dtype == gamma.dtype == torch.float32 and basis.device == gamma.device:
            return basis
        return self._precise.to(gamma.device, gamma.dtype)


def _checked_extent(extent: Sequence[float] | None, dims: int) -> tuple[float, ...]:
    if extent is None:
        return (1.0,) * dims
    if len(extent) != dims or not all(0 < reach < float("inf") for reach in extent):
        raise ValueError(
            f"extent is {tuple(extent)}; expected {dims} positive numbers, one per coordinate. "
            "Take extent_of(height, width) for images."
        )
    return tuple(float(reach) for reach in extent)
