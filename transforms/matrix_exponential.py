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
from math import factorial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

NODES = 16
SERIES_RADIUS = 0.25
# Taylor coefficients, in powers of r ** 2, of cosh r, of sinh(r) / r, and of the latter's slope;
# what is left out is below 1e-16 inside the radius.
_SERIES = [
    (1 / factorial(2 * k), 1 / factorial(2 * k + 1), (k + 1) / factorial(2 * k + 3))
    for k in range(7)
]


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
    r"""Return \( e^s \cosh \sqrt x \) and \( e^s \sinh(\sqrt x) / \sqrt x \), smooth through 0."""
    identity, traceless = _ScaledCosh.apply(s, x)  # pyright: ignore[reportGeneralTypeIssues]
    return identity, traceless


class _ScaledCosh(torch.autograd.Function):
    """The two functions with their derivatives in closed form: a third of autograd's kernels."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        small, real = x.abs() < SERIES_RADIUS, x > 0
        root = torch.where(small, 1.0, x).abs().sqrt()
        grown = torch.where(real, root, 0.0)
        # Not e^s times cosh: the one may underflow where the other overflows.
        up, down = (s + grown).exp() / 2, (s - grown).exp() / 2
        scale = up + down  # e^s wherever x is not positive
        near, exponential = torch.where(small, x, 0.0), s.exp()
        cosh = torch.where(real, scale, scale * root.cos())
        sinhc = torch.where(real, up - down, scale * root.sin()) / root
        closed = torch.stack([cosh, sinhc, (cosh - sinhc) / (2 * torch.where(small, 1.0, x))])
        series = _series(near) * exponential
        cosh, sinhc, slope = torch.where(small, series, closed)
        ctx.save_for_backward(cosh, sinhc, slope)
        return cosh, sinhc

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, Tensor]:
        cosh, sinhc, slope = ctx.saved_tensors
        by_cosh, by_sinhc = gradients
        return by_cosh * cosh + by_sinhc * sinhc, by_cosh * sinhc / 2 + by_sinhc * slope


def _series(x: Tensor) -> Tensor:
    """Return the series of cosh, sinhc and the slope of sinhc at `x`, stacked in front."""
    terms = torch.tensor(_SERIES, dtype=x.dtype, device=x.device)
    terms = terms.view(*terms.shape, *(1,) * x.dim())
    total = terms[-1]
    for term in terms[:-1].flip(0):
        total = total * x + term
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
