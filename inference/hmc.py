r"""Hamiltonian Monte Carlo moves for many chains of many data at once.

A move leaves the density proportional to `exp(base(z) + beta * gain(z))` invariant: momenta are
drawn anew, the leapfrog integrator runs for some steps, and Metropolis' rule accepts or rejects
where it ended.

Source: Neal (2011), https://arxiv.org/abs/1206.1901, sections 2.3, 3.2 and 4.1.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Point(NamedTuple):
    """Positions of `C` chains for each of `B` data, and the density there.

    Args:
        position: Positions `(C, B, K)`.
        base: Log density at the start of the path, float64 `(C, B)`, nats.
        gain: What is to be added to it at the end of the path, float64 `(C, B)`, nats.
        base_slope: Gradient of `base`, `(C, B, K)`.
        gain_slope: Gradient of `gain`, `(C, B, K)`.
    """

    position: Tensor
    base: Tensor
    gain: Tensor
    base_slope: Tensor
    gain_slope: Tensor

    def log_density(self, beta: float) -> Tensor:
        """Unnormalised log density `(C, B)` at inverse temperature `beta`, nats."""
        return self.base + beta * self.gain

    def slope(self, beta: float) -> Tensor:
        """Its gradient, `(C, B, K)`."""
        return self.base_slope + beta * self.gain_slope


Density = Callable[[Tensor], Point]
"""Evaluates a density and its gradients at positions `(C, B, K)`."""


def leapfrog(
    density: Density,
    point: Point,
    momentum: Tensor,
    beta: float,
    step: Tensor,
    steps: int,
) -> tuple[Point, Tensor]:
    """Follow Hamilton's equations for `steps` steps of size `step`.

    The map preserves volume and is its own inverse when the momentum is turned around.

    Args:
        density: The density.
        point: Where it starts, `(C, B, K)`.
        momentum: Momenta there, in units of the inverse `step`: `(C, B, K)`, standard normal where
            it starts a move.
        beta: Inverse temperature.
        step: Size of a step by coordinate, broadcast to `(C, B, K)`.
        steps: Number of steps, at least 1.

    Returns:
        Point and momentum at the end.
    """
    momentum = momentum + 0.5 * step * point.slope(beta)
    for index in range(steps):
        point = density(point.position + step * momentum)
        weight = 0.5 if index == steps - 1 else 1.0
        momentum = momentum + weight * step * point.slope(beta)
    return point, momentum


def move(
    density: Density,
    point: Point,
    beta: float,
    step: Tensor,
    steps: int,
    momentum: Tensor,
    uniform: Tensor,
) -> tuple[Point, Tensor]:
    """Make one move of every chain.

    Args:
        density: The density.
        point: Where the chains are.
        beta: Inverse temperature.
        step: Size of a leapfrog step by coordinate, broadcast to `(C, B, K)`; no function of where
            the chains are.
        steps: Number of leapfrog steps, at least 1.
        momentum: Standard normal noise `(C, B, K)`.
        uniform: Uniform noise in [0, 1) `(C, B)`.

    Returns:
        Where the chains are then, and the probability with which each was to accept, float64 `(C,
        B)`. Where the end is not finite it is 0.
    """
    end, last = leapfrog(density, point, momentum, beta, step, steps)
    gained = end.log_density(beta) - _kinetic(last)
    gained = gained - (point.log_density(beta) - _kinetic(momentum))
    acceptance = gained.clamp(max=0.0).exp().nan_to_num(0.0)
    accepted = uniform < acceptance
    kept = [
        torch.where(accepted if new.dim() == 2 else accepted.unsqueeze(-1), new, old)
        for new, old in zip(end, point, strict=True)
    ]
    return Point(*kept), acceptance


def _kinetic(momentum: Tensor) -> Tensor:
    return 0.5 * momentum.double().square().sum(-1)
