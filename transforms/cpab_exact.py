r"""The flow of a continuous piecewise-affine velocity field, followed from border to border.

A point moves by the exact flow of its piece until it meets a face of it, found as the root of a
power series in time, and goes on in the next piece. A stretch of time is short enough for the
series to converge to rounding and for a point to turn back from a face only once.

The derivative needs no crossing times: since the velocity is continuous, moving a crossing moves
no point, so that times are constants to autograd.
"""

import torch
from torch import Tensor

from .cpab_flow import locate, look_up
from .tessellation import Grid

TERMS = 20
REACH = 0.5  # norm of the piece times the length of a stretch
OVERSHOOT = 1e-12  # how far past a face, in cells, a point has left its piece
BISECTIONS = 44


def exact_flow(velocity: Tensor, points: Tensor, grid: Grid, faces: Tensor) -> Tensor:
    """Follow points for one unit of time, to rounding; slow, and reads values on the host.

    Args:
        velocity: Affine pieces `(D, D + 1, B, C)` in cell units, float64.
        points: Points `(D, B, M)` in cell units, float64.
        grid: What finds the piece of a point, float64.
        faces: What is not negative in a piece, `(C, D + 1, D + 1)`, float64.

    Returns:
        Points `(D, B, M)`, differentiable once in the velocity and in the points.
    """
    left = torch.ones_like(points[0])
    while bool((left > 0).any()):
        with torch.no_grad():
            piece = locate(points, grid)
        maps = look_up(velocity, piece)
        series = _series(maps, points)
        with torch.no_grad():
            norm = maps[:, :-1].abs().sum(1).amax(0).nan_to_num(0, 0)
            stretch = torch.minimum(left, REACH / norm.clamp(min=REACH))
            bounds = faces[piece].permute(2, 3, 0, 1)  # (F, D + 1, B, M)
            time = _time_inside(
                [_along(bounds, term, i) for i, term in enumerate(series)], stretch
            )
            left = left - time
        points = _value(series, time)
    return points


def _series(maps: Tensor, points: Tensor) -> list[Tensor]:
    """The power series in time, `(D, B, M)` a term, of the flow `(D, D + 1, B, M)` of points."""
    terms = [points, (maps[:, :-1] * points).sum(1) + maps[:, -1]]
    for i in range(2, TERMS + 1):
        terms.append((maps[:, :-1] * terms[-1]).sum(1) / i)
    return terms


def _along(bounds: Tensor, term: Tensor, i: int) -> Tensor:
    """A term of the series of the distances from the faces, `(F, B, M)`."""
    distance = (bounds[:, :-1] * term).sum(1)
    return distance + bounds[:, -1] + OVERSHOOT if i == 0 else distance


def _value(series: list[Tensor], time: Tensor) -> Tensor:
    total = series[-1]
    for term in series[-2::-1]:
        total = total * time + term
    return total


def _time_inside(distance: list[Tensor], stretch: Tensor) -> Tensor:
    """The time until a first distance is negative, just past the root, at most the stretch."""
    speed = [term * i for i, term in enumerate(distance)][1:]
    end = stretch.expand_as(distance[0])
    # A point that nears the face and turns back may be outside in between, so look at its turn.
    turns = (speed[0] < 0) & (_value(speed, end) > 0)
    turn = _root(speed, torch.zeros_like(end), end, rising=True)
    end = torch.where(turns & (_value(distance, turn) < 0), turn, end)
    leaves = _value(distance, end) < 0
    leave = _root(distance, torch.zeros_like(end), end, rising=False)
    return torch.where(leaves, leave, stretch).amin(0)


def _root(series: list[Tensor], low: Tensor, high: Tensor, *, rising: bool) -> Tensor:
    """Bisect for a root between `low` and `high`; what comes back is the end past it."""
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        past = (_value(series, middle) > 0) == rising
        low, high = torch.where(past, low, middle), torch.where(past, middle, high)
    return high
