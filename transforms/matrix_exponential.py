r"""The exponential of an affine velocity field, in closed form.

Write the linear part as \( M = s I + K \) with \( K^2 = x I \), where \( s \) is half the trace
and \( x = -\det K \). Then, for all eigenvalues, real, complex or repeated,

\[ e^{\tau M} = e^{\tau s} \left( \cosh(\tau \sqrt x)\, I
    + \frac{\sinh(\tau \sqrt x)}{\sqrt x} K \right). \]

The translation needs \( \int_0^1 e^{\tau M} d\tau \). Its closed form divides by the determinant
of \( M \), which vanishes for rotations by nothing; Gauss-Legendre quadrature does not divide, and
is exact to rounding while the entries of \( M \) stay below about 20.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

NODES = 16
SERIES_RADIUS = 0.25
# Taylor coefficients of cosh and sinh(r) / r in powers of r ** 2; below 1e-16 past these.
_COSH = (1.0, 1 / 2, 1 / 24, 1 / 720, 1 / 40320, 1 / 3628800, 1 / 479001600)
_SINHC = (1.0, 1 / 6, 1 / 120, 1 / 5040, 1 / 362880, 1 / 39916800, 1 / 6227020800)


def affine_exponential(velocity: Tensor) -> Tensor:
    r"""Return the affine warp that a velocity field reaches after one unit of time.

    Args:
        velocity: Matrices `(..., 2, 3)`: the linear part `M` and the translation `t`.

    Returns:
        The first two rows of the exponential of `[[M, t], [0, 0]]`, `(..., 2, 3)`; float32 at
        least.
    """
    velocity = velocity if velocity.dtype.itemsize >= 4 else velocity.float()
    a, b, tx = velocity[..., 0, :].unbind(-1)
    c, d, ty = velocity[..., 1, :].unbind(-1)
    s, h = (a + d) / 2, (a - d) / 2
    x = h * h + b * c
    times, weights = _rule(velocity.dtype, velocity.device)
    identity, traceless = _scaled_cosh(s.unsqueeze(-1) * times, x.unsqueeze(-1) * times.square())
    traceless = traceless * times
    p, q = (identity * weights).sum(-1), (traceless * weights).sum(-1)
    identity, traceless = identity[..., -1], traceless[..., -1]
    return torch.stack(
        [
            identity + traceless * h,
            traceless * b,
            p * tx + q * (h * tx + b * ty),
            traceless * c,
            identity - traceless * h,
            p * ty + q * (c * tx - h * ty),
        ],
        -1,
    ).unflatten(-1, (2, 3))


def _scaled_cosh(s: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return \( e^s \cosh \sqrt x \) and \( e^s \sinh(\sqrt x) / \sqrt x \), smooth through 0.

    Branches that `torch.where` drops get harmless arguments: their gradients must be finite too.
    """
    small, real = x.abs() < SERIES_RADIUS, x > 0
    near = torch.where(small, x, 0.0)
    root = torch.where(small, 1.0, x).abs().sqrt()
    grown = torch.where(real, root, 0.0)
    # Not e^s times cosh: the one may underflow where the other overflows.
    up, down = (s + grown).exp() / 2, (s - grown).exp() / 2
    scale = up + down  # e^s wherever x is not positive
    cosh = torch.where(real, scale, scale * root.cos())
    sinhc = torch.where(real, up - down, scale * root.sin()) / root
    series = s.exp()
    return (
        torch.where(small, series * _polynomial(near, _COSH), cosh),
        torch.where(small, series * _polynomial(near, _SINHC), sinhc),
    )


def _polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    total = coefficients[-1] * x + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        total = total * x + coefficient
    return total


@cache
def _numbers() -> tuple[list[float], list[float]]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return [*((nodes + 1) / 2), 1.0], [*(weights / 2), 0.0]


def _rule(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the times and weights of the quadrature, and time 1 with weight 0 at the end."""
    times, weights = _numbers()
    return (
        torch.tensor(times, dtype=dtype, device=device),
        torch.tensor(weights, dtype=dtype, device=device),
    )
