r"""The flow of a continuous piecewise-affine velocity field, in steps of equal length.

Within a piece the flow over a step of length \( h \) is the affine map \( e^{hA} \), exact. A
step is wrong only where it leaves its piece, and then by \( O(h^2) \), since the velocity is
continuous: the error of the whole falls as \( h^2 \). A step takes the piece in which it expects
its midpoint, extrapolated from the step before; that makes the error about four times smaller than
that of the piece in which it starts.

The backward pass is the adjoint: it walks the steps back, rebuilds the points with
\( e^{-hA} \), and needs one small number per point and step, the piece.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TERMS, SQUARINGS = 6, 2


class Grid(NamedTuple):
    """What finds the piece of a point."""

    cells: tuple[int, ...]
    """Numbers of boxes along each coordinate."""
    strides: tuple[int, ...]
    """How much further the piece is in the next box along each coordinate."""
    pieces: int
    """Number `C` of pieces."""


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
    return piece.add_(sum(grid.strides)).to(torch.int64).clamp_(0, grid.pieces - 1)


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
        total = scaled + _product(scaled, total) / term
    for _ in range(SQUARINGS):
        total = 2 * total + _product(total, total)
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


def look_up(table: Tensor, piece: Tensor) -> Tensor:
    """Return the entries `(D, D + 1, B, M)` of pieces `(B, M)` in a table `(D, D + 1, B, C)`."""
    return table.gather(-1, piece.expand(*table.shape[:2], *piece.shape))


def integrate(maps: Tensor, points: Tensor, grid: Grid, steps: int) -> tuple[Tensor, list[Tensor]]:
    """Follow points.

    Args:
        maps: The map of one step in every piece, `(D, D + 1, B, C)`.
        points: Points `(D, B, M)` in cell units.
        grid: What finds the piece of a point.
        steps: Number of steps, at least 1.

    Returns:
        The points in the end, and the pieces `(B, M)` that each step took.
    """
    number = torch.uint8 if grid.pieces <= 256 else torch.int32
    ahead = apply_maps(look_up(maps, locate(points, grid)), points)
    middle = torch.lerp(points, ahead, 0.5)
    visited = []
    for i in range(steps):
        piece = locate(middle, grid)
        before, points = points, apply_maps(look_up(maps, piece), points)
        visited.append(piece.to(number))
        if i + 1 < steps:
            middle = torch.lerp(before, points, 1.5)
    return points, visited


class Flow(torch.autograd.Function):
    """`integrate` with its adjoint; not twice differentiable."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, velocity: Tensor, points: Tensor, grid: Grid, steps: int
    ) -> Tensor:
        """Return where points `(D, B, M)` go; `velocity` has the pieces that `maps` come from."""
        points, visited = integrate(maps, points, grid, steps)
        ctx.save_for_backward(maps, velocity, points, *visited)
        return points

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] as the decorator hides ctx
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of the maps and of the points."""
        maps, velocity, points, *visited = ctx.saved_tensors
        (pull,) = grads
        back = step_maps(-velocity)
        linear = maps[:, :-1].contiguous()
        total = torch.zeros_like(maps)
        for number in reversed(visited):
            piece = number.to(torch.int64)
            points = apply_maps(look_up(back, piece), points)
            moment = torch.cat([pull.unsqueeze(1) * points, pull.unsqueeze(1)], 1)
            total.scatter_add_(-1, piece.expand_as(moment), moment)
            pull = (look_up(linear, piece) * pull.unsqueeze(1)).sum(0)
        return total, None, pull, None, None


def flow(velocity: Tensor, points: Tensor, grid: Grid, steps: int) -> Tensor:
    """Follow points for one unit of time.

    Args:
        velocity: Affine pieces `(D, D + 1, B, C)` in cell units.
        points: Points `(D, B, M)` in cell units.
        grid: What finds the piece of a point.
        steps: Number of steps.

    Returns:
        Points `(D, B, M)`.
    """
    velocity = velocity / steps
    maps = step_maps(velocity)
    if torch.is_grad_enabled() and (maps.requires_grad or points.requires_grad):
        return Flow.apply(maps, velocity.detach(), points, grid, steps)
    return integrate(maps, points, grid, steps)[0]
