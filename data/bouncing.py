"""Paths of squares that glide through an image and bounce off its walls.

Sources: Srivastava, Mansimov and Salakhutdinov (2015), https://arxiv.org/abs/1502.04681; Denton
and Birodkar (2017), https://arxiv.org/abs/1705.10915; Denton and Fergus (2018),
https://arxiv.org/abs/1802.07687; the latter two as in the code of their authors.
"""

import numpy as np

from .seeds import derive_seed

STEP = 0.1  # of Srivastava's squares, in widths of the room that they have
FASTEST = 4  # pixels in a step, for squares that move by whole pixels
_Y_THEN_X = (1, 0)  # the order in which the authors look at the walls; it matters when redrawing


def glide(start: np.ndarray, angle: np.ndarray, room: int, length: int) -> np.ndarray:
    """Move squares in a straight line, in real numbers (Srivastava et al.).

    The room between opposite walls is 1. A square takes a step of `STEP` before every frame, also
    the first; where that leads to a wall or beyond, it stays at the wall, and that component of
    its velocity is negated.

    Args:
        start: `(..., 2)`, x and y in [0, 1].
        angle: Directions in radians, `(...)`.
        room: Pixels that a corner can move: the side of the image less that of the square.
        length: Number `T` of frames.

    Returns:
        Upper left corners in whole pixels, rounded down: int32 `(..., T, 2)`, 0 to `room`.
    """
    place = start.copy()
    velocity = STEP * np.stack([np.cos(angle), np.sin(angle)], -1)
    corners = np.empty((*start.shape[:-1], length, 2), np.int32)
    for frame in range(length):
        place += velocity
        velocity[(place <= 0) | (place >= 1)] *= -1
        place.clip(0, 1, out=place)
        corners[..., frame, :] = room * place
    return corners


def bounce(
    start: np.ndarray,
    velocity: np.ndarray,
    room: int,
    length: int,
    redraws: np.ndarray | None = None,
) -> np.ndarray:
    """Move squares by whole pixels (DrNet, SVG).

    A frame shows the start, or the last place plus the velocity. Whatever is below 0 by then
    becomes 0, whatever is at `room` or beyond becomes `room - 1`, and the velocity changes: that
    component is negated; or, with `redraws`, it becomes 1 to `FASTEST` away from the wall, and
    the other component -`FASTEST` to `FASTEST`. The walls above and below come first.

    Args:
        start: Corners, integers `(..., 2)`, x and y from 0 to `room - 1`.
        velocity: Pixels in a step, integers `(..., 2)`.
        room: Pixels that a corner can move: the side of the image less that of the square.
        length: Number `T` of frames.
        redraws: Uniform random numbers in [0, 1), `(..., T, 2, 2)`: for every frame and wall (x,
            y), for the component that hit it and for the other one.

    Returns:
        Upper left corners: int32 `(..., T, 2)`, 0 to `room - 1`.
    """
    place, velocity = start.copy(), velocity.copy()
    corners = np.empty((*start.shape[:-1], length, 2), np.int32)
    for frame in range(length):
        for axis in _Y_THEN_X:
            low, high = place[..., axis] < 0, place[..., axis] >= room
            hit = low | high
            place[..., axis].clip(0, room - 1, out=place[..., axis])
            if redraws is None:
                velocity[..., axis][hit] *= -1
            else:
                away, along = np.moveaxis(redraws[..., frame, axis, :], -1, 0)
                speed = integers(away, 1, FASTEST)
                velocity[..., axis][hit] = np.where(low, speed, -speed)[hit]
                velocity[..., 1 - axis][hit] = integers(along, -FASTEST, FASTEST)[hit]
        corners[..., frame, :] = place
        place += velocity
    return corners


def integers(uniform: np.ndarray, low: int, high: int) -> np.ndarray:
    """Turn uniform random numbers in [0, 1) into int64, `low` to `high`, both included."""
    return low + (uniform * (high - low + 1)).astype(np.int64)


def uniforms(keys: tuple[int, ...], count: int, *shape: int) -> np.ndarray:
    """Draw float64 `(count, *shape)` in [0, 1); a row depends on `keys` and its place alone.

    A larger `count` begins with the same rows: every number takes one word of the generator.
    """
    return np.random.default_rng(derive_seed(*keys)).random((count, *shape))
