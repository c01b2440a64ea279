"""Draw dSprites: three shapes, at six sizes and forty angles, in 32 x 32 places.

A pixel is on if its centre lies inside the shape; nothing is smoothed. The proportions are
measured from frames of the original. Source: Matthey, Higgins, Hassabis and Lerchner (2017),
https://github.com/google-deepmind/dsprites-dataset.
"""

import numpy as np

SIDE = 64
FACTOR_NAMES = ("colour", "shape", "scale", "orientation", "position x", "position y")
FACTOR_SIZES = (1, 3, 6, 40, 32, 32)
COUNT = 737_280

_SCALES = np.linspace(0.5, 1, 6)
_ANGLES = np.linspace(0, 2 * np.pi, 40)  # both ends, as in the original
_PLACES = 0.25 + 0.5 * np.linspace(0, 1, 32)  # centres, in sides of the image
_REACH = 0.215  # no shape goes further from its centre, in sides of the image


def factors_of(indices: np.ndarray) -> np.ndarray:
    """Return the factors `(n, 6)` of images by their index, int64; the last varies fastest."""
    return np.stack(np.unravel_index(indices, FACTOR_SIZES), axis=-1).astype(np.int64)


def render(factors: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Draw images.

    Args:
        factors: Class indices `(n, 6)`, in the order of `FACTOR_NAMES`.
        side: Pixels along each side: 64 in the original.

    Returns:
        bool `(n, side, side)`.
    """
    _, shape, scale, angle, x, y = factors.T
    size, turn = side * _SCALES[scale], _ANGLES[angle]
    columns, across = _window(side * _PLACES[x], size.max())
    rows, down = _window(side * _PLACES[y], size.max())
    cos, sin = (np.cos(turn) / size)[:, None], (np.sin(turn) / size)[:, None]
    u = (cos * across)[:, None, :] - (sin * down)[:, :, None]
    v = (sin * across)[:, None, :] + (cos * down)[:, :, None]
    inside = np.empty(u.shape, bool)
    for k, contains in enumerate((_square, _ellipse, _heart)):
        chosen = shape == k
        if chosen.any():
            inside[chosen] = contains(u[chosen], v[chosen])
    images = np.zeros((len(factors), side, side), bool)
    images[np.arange(len(factors))[:, None, None], rows[:, :, None], columns[:, None, :]] = inside
    return images


def _window(centre: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels `(n, w)` that a shape can reach along an axis, and their distances."""
    reach = int(np.ceil(_REACH * size))
    pixels = np.floor(centre).astype(np.int64)[:, None] + np.arange(-reach - 1, reach + 1)
    return pixels, pixels + 0.5 - centre[:, None]


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) <= 0.14997  # just under 0.15, which settles ties


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (u / 0.1995) ** 2 + (v / 0.1127) ** 2 <= 1


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Say what lies inside a closed curve.

    It is x = a sin^3 t, y = -(b/16)(13 cos t - 5 cos 2t - 2 cos 3t - cos 4t) - c; every vertical
    line that meets it crosses it twice, where cos t has either sign.
    """
    sin = np.cbrt(np.clip(u / 0.14992, -1, 1))
    cos = np.sqrt(1 - sin**2)
    even = -5 * (2 * cos**2 - 1) - (8 * cos**4 - 8 * cos**2 + 1)
    odd = 13 * cos - 2 * (4 * cos**3 - 3 * cos)
    height = 0.16553 / 16
    one, other = -height * (even + odd) - 0.02245, -height * (even - odd) - 0.02245
    low, high = np.minimum(one, other), np.maximum(one, other)
    return (np.abs(u) <= 0.14992) & (low <= v) & (v <= high)
