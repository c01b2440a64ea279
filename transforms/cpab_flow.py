r"""The flow of a continuous piecewise-affine velocity field, in steps of equal length.

Within a piece the flow over a step of length \( h \) is the affine map \( e^{hA} \), exact. A
step is wrong only where it leaves its piece, and then by \( O(h^2) \), since the velocity is
continuous: the error of the whole falls as \( h^2 \). A step takes the piece in which it expects
its midpoint, extrapolated from the step before; that makes the error about four times smaller than
that of the piece in which it starts.

The backward pass is the adjoint: it walks the steps back, undoes each to rebuild the points, and
needs one small number per point and step, the piece.
"""

from collections.abc import Sequence
from math import gcd
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .tessellation import Grid, grid_of

TERMS, SQUARINGS = 4, 2
LANES = 16


def locate(points: Tensor, grid: Grid) -> Tensor:
    """Return the piece of points `(D, ...)` in cell units, int64; any piece for NaN."""
    places = points.unbind(0)
    boxes = [
        place.floor().clamp_(-1, count) for place, count in zip(places, grid.cells, strict=True)
    ]
    if len(places) == 3:
        piece = _tetrahedron(places, boxes, grid)
    elif len(places) == 2:
        piece = _triangle(places[0] - boxes[0], places[1] - boxes[1])
    else:
        piece = torch.zeros_like(boxes[0])
    for box, stride in zip(boxes, grid.strides, strict=True):
        piece = piece.add_(box, alpha=stride)
    piece = piece.add_(sum(grid.strides)).to(torch.int32).clamp_(0, grid.pieces - 1)
    return piece.to(torch.int64)  # in two conversions, faster than in one


def _triangle(p: Tensor, q: Tensor) -> Tensor:
    """Which of four triangles of the unit square: 2 if p < q, plus 1 if p + q > 1."""
    before = (p - q).floor_().clamp_(-1, 0)
    return (p + q).floor_().clamp_(0, 1).add_(before, alpha=-2)


def _tetrahedron(places: Sequence[Tensor], boxes: Sequence[Tensor], grid: Grid) -> Tensor:
    """Which of 24 tetrahedra of the unit cube; beyond the grid, those of the nearest cube."""
    inside = torch.stack(
        [
            (place - box.clamp(0, count - 1)).clamp_(0, 1)
            for place, box, count in zip(places, boxes, grid.cells, strict=True)
        ]
    )
    away = inside - 0.5
    axis = away.abs().argmax(0, keepdim=True)
    side = (away.gather(0, axis) > 0).to(away.dtype)[0]
    p, q = (inside.gather(0, (axis + i) % 3)[0] for i in (1, 2))
    return _triangle(p, q).add_(side, alpha=4).add_(axis[0].to(away.dtype), alpha=8)


def step_maps(velocity: Tensor) -> Tensor:
    """Return the affine maps after one unit of time.

    Args:
        velocity: Affine pieces `(D, D + 1, ...)`, entries of about 1 at most.

    Returns:
        Maps `(D, D + 1, ...)`, by a series after halving, then squaring; no branch, no solve.
    """
    dims = velocity.shape[0]
    scaled = velocity * 0.5**SQUARINGS
    total = scaled
    for term in range(TERMS, 1, -1):
        total = torch.add(scaled, _product(scaled, total), alpha=1 / term)
    for _ in range(SQUARINGS):
        total = torch.add(_product(total, total), total, alpha=2)
    one = torch.eye(dims, dims + 1, dtype=velocity.dtype, device=velocity.device)
    return total + one.view(dims, dims + 1, *[1] * (velocity.dim() - 2))


def _product(a: Tensor, b: Tensor) -> Tensor:
    """The linear part of `a` times `b`, both `(D, D + 1, ...)`, entry by entry."""
    total = a[:, :1] * b[:1]
    for k in range(1, a.shape[0]):
        total = torch.addcmul(total, a[:, k : k + 1], b[k : k + 1])
    return total


def apply_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Apply maps `(D, D + 1, ...)` to points `(D, ...)`."""
    total = maps[:, -1]
    for k in range(points.shape[0]):
        total = torch.addcmul(total, maps[:, k], points[k])
    return total


def undo_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Return what maps `(D, D + 1, ...)` take to points `(D, ...)`, by Cramer's rule."""
    *columns, shift = maps.unbind(1)
    away = points - shift
    if len(columns) == 1:
        return away / columns[0]
    if len(columns) == 2:
        (a, b), (c, d) = columns[0].unbind(0), columns[1].unbind(0)
        (p, q), scale = away.unbind(0), torch.addcmul(a * d, b, c, value=-1)
        solved = [torch.addcmul(d * p, c, q, value=-1), torch.addcmul(a * q, b, p, value=-1)]
        return torch.stack(solved).div_(scale)
    normals = [torch.linalg.cross(columns[i - 2], columns[i - 1], dim=0) for i in range(3)]
    scale = (columns[0] * normals[0]).sum(0)
    return torch.stack([(away * normal).sum(0) for normal in normals]).div_(scale)


def apply_transposes(maps: Tensor, force: Tensor) -> Tensor:
    """Apply the transposed linear parts of maps `(D, D + 1, ...)` to covectors `(D, ...)`."""
    total = maps[0, :-1] * force[0]
    for row, component in zip(maps.unbind(0)[1:], force.unbind(0)[1:], strict=True):
        total = torch.addcmul(total, row[:-1], component)
    return total


def look_up(table: Tensor, piece: Tensor) -> Tensor:
    """Return the entries `(D, D + 1, B, M)` of pieces `(B, M)` in a table `(D, D + 1, B, C)`."""
    return table.gather(-1, piece.expand(*table.shape[:2], *piece.shape))


def integrate(
    maps: Tensor, points: Tensor, cells: Sequence[int], steps: int
) -> tuple[Tensor, Tensor]:
    """Follow points.

    Args:
        maps: The map of one step in every piece, `(D, D + 1, B, C)`.
        points: Points `(D, B, M)` in cell units.
        cells: Numbers of boxes along each coordinate.
        steps: Number of steps, at least 1.

    Returns:
        The points in the end, and the pieces `(steps, B, M)` that each step took.
    """
    grid = grid_of(cells)
    visited = _visited(maps, points, steps)
    ahead = apply_maps(look_up(maps, locate(points, grid)), points)
    middle = torch.lerp(points, ahead, 0.5)
    for i in range(steps):
        piece = locate(middle, grid)
        visited[i] = piece
        before, points = points, apply_maps(look_up(maps, piece), points)
        middle = torch.lerp(before, points, 1.5)
    return points, visited


def pull_back(
    maps: Tensor, points: Tensor, visited: Tensor, force: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the maps and the first points of `integrate`.

    Args:
        maps: The map of one step in every piece, `(D, D + 1, B, C)`.
        points: The points in the end, `(D, B, M)`.
        visited: The pieces `(steps, B, M)` that each step took.
        force: The gradient of the points in the end.
    """
    total = torch.zeros_like(maps)
    for i in reversed(range(len(visited))):
        piece = visited[i].to(torch.int64)
        found = look_up(maps, piece)
        points = undo_maps(found, points)
        for k in range(len(force)):
            total[k, :-1].scatter_add_(-1, piece.expand_as(points), force[k] * points)
            total[k, -1].scatter_add_(-1, piece, force[k])
        force = apply_transposes(found, force)
    return total, force


def _visited(maps: Tensor, points: Tensor, steps: int) -> Tensor:
    pieces = maps.shape[-1]
    large = torch.int16 if pieces <= 2**15 else torch.int32
    dtype = torch.uint8 if pieces <= 2**8 else large
    return torch.empty(steps, *points.shape[1:], dtype=dtype, device=points.device)


# On a CPU, compiled code for the steps is slower than torch's own kernels and takes a minute to
# compile; so compilers see one operation. Elsewhere they see, and fuse, the steps.
_integrate = torch.library.custom_op(
    "unbraid::cpab_integrate",
    integrate,
    mutates_args=(),
    schema="(Tensor maps, Tensor points, int[] cells, int steps) -> (Tensor, Tensor)",
)
_pull_back = torch.library.custom_op(
    "unbraid::cpab_pull_back",
    pull_back,
    mutates_args=(),
    schema="(Tensor maps, Tensor points, Tensor visited, Tensor force) -> (Tensor, Tensor)",
)
_integrate.register_fake(
    lambda maps, points, cells, steps: (
        torch.empty_like(points, memory_format=torch.contiguous_format),
        _visited(maps, points, steps),
    )
)
_pull_back.register_fake(
    lambda maps, points, visited, force: (torch.empty_like(maps), torch.empty_like(force))
)


class Flow(torch.autograd.Function):
    """`integrate` with its adjoint; not twice differentiable."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, points: Tensor, cells: tuple[int, ...], steps: int
    ) -> Tensor:
        """Return where points `(D, B, M)` go."""
        run = _integrate if maps.device.type == "cpu" else integrate
        points, visited = run(maps, points, cells, steps)
        ctx.save_for_backward(maps, points, visited)
        return points

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] as the decorator hides ctx
        ctx: Any, force: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of the maps and of the points."""
        maps, points, visited = ctx.saved_tensors
        run = _pull_back if maps.device.type == "cpu" else pull_back
        return *run(maps, points, visited, force), None, None


def flow(velocity: Tensor, points: Tensor, cells: tuple[int, ...], steps: int) -> Tensor:
    """Follow points for one unit of time.

    Args:
        velocity: Affine pieces `(D, D + 1, B, C)` in cell units.
        points: Points `(D, B, M)` in cell units.
        cells: Numbers of boxes along each coordinate.
        steps: Number of steps, at least 1.

    Returns:
        Points `(D, B, L, M / L)`, in order when flattened.
    """
    maps = step_maps(velocity / steps)
    # Neighbours in memory add to one piece's gradient, each after the last; so part neighbours.
    lanes = gcd(points.shape[-1], LANES)
    points = points.unflatten(-1, (lanes, -1)).mT.flatten(-2)
    points = cast(Tensor, Flow.apply(maps, points, cells, steps))
    return points.unflatten(-1, (-1, lanes)).mT
