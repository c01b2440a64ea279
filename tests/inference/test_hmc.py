"""Hamiltonian moves against what the mathematics says of them."""

import math
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

hmc = import_module("unbraid.inference.hmc")
Point, leapfrog, move = hmc.Point, hmc.leapfrog, hmc.move

K = 3
FACTOR = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.5, 0.0], [-0.3, 0.8, 1.4]], dtype=torch.float64)
COVARIANCE = FACTOR @ FACTOR.T
PRECISION = torch.linalg.inv(COVARIANCE)
MEAN = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
BETA = 0.4


def normal(position: Tensor) -> Any:
    """A Normal to the power `1 - BETA + beta`."""
    away = position - MEAN
    slope = -(away @ PRECISION)
    density = 0.5 * (slope * away).sum(-1)
    return Point(position, (1 - BETA) * density, density, (1 - BETA) * slope, slope)


def quartic(position: Tensor) -> Any:
    """No Normal: orbits are not ellipses, so that energies do change."""
    base = -0.5 * position.square().sum(-1)
    return Point(
        position,
        base,
        -0.25 * position.pow(4).sum(-1) + position[..., 0],
        -position,
        -position.pow(3) + torch.eye(K, dtype=position.dtype)[0],
    )


def noise(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


STEP = torch.tensor([0.11, 0.07, 0.13], dtype=torch.float64)


@pytest.mark.parametrize("density", [normal, quartic])
def test_slopes_are_those_of_the_densities(density):
    position = noise(4, 2, K, seed=0).requires_grad_()
    point = density(position)
    (slope,) = torch.autograd.grad(point.log_density(0.3).sum(), position)
    torch.testing.assert_close(point.slope(0.3), slope)


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_leapfrog_goes_back_when_the_momentum_is_turned_around(steps):
    position, momentum = noise(5, 2, K, seed=1), noise(5, 2, K, seed=2)
    point, last = leapfrog(quartic, quartic(position), momentum, 0.7, STEP, steps)
    assert (point.position - position).abs().max() > 0.05
    back, first = leapfrog(quartic, point, -last, 0.7, STEP, steps)
    torch.testing.assert_close(back.position, position, rtol=0, atol=1e-12)
    torch.testing.assert_close(-first, momentum, rtol=0, atol=1e-12)


def test_the_leapfrog_preserves_volume():
    def flow(state: Tensor) -> Tensor:
        position, momentum = state.view(1, 1, 2 * K).split(K, -1)
        point, last = leapfrog(quartic, quartic(position), momentum, 0.7, 2 * STEP, 6)
        return torch.cat([point.position, last], -1).flatten()

    jacobian = torch.autograd.functional.jacobian(flow, noise(2 * K, seed=3))
    assert isinstance(jacobian, Tensor)
    assert float(torch.linalg.det(jacobian)) == pytest.approx(1.0, abs=1e-10)
    assert (jacobian - torch.eye(2 * K)).abs().max() > 0.1


def test_the_energy_is_kept_to_second_order():
    """Halving the step over one orbit divides the error of the energy by four."""
    position, momentum = noise(40, 1, K, seed=4), noise(40, 1, K, seed=5)
    errors = []
    for halvings in range(4):
        steps, size = 5 * 2**halvings, 2 * STEP / 2**halvings
        start = quartic(position)
        end, last = leapfrog(quartic, start, momentum, 1.0, size, steps)
        before = start.log_density(1.0) - 0.5 * momentum.square().sum(-1)
        after = end.log_density(1.0) - 0.5 * last.square().sum(-1)
        errors.append(float((after - before).square().mean().sqrt()))
    for larger, smaller in pairwise(errors[1:]):
        assert larger / smaller == pytest.approx(4.0, rel=0.1)
    assert errors[-1] < 5e-3


@pytest.mark.parametrize("beta", [BETA, 0.0])
def test_moves_leave_the_density_of_their_temperature_invariant(beta):
    """The Normal to the power 1 - BETA + beta is one of a covariance that much larger.

    Each of 9 moments is a mean over 40 000 independent chains, whose standard error is measured:
    one strays beyond 5.5 of them once in 2.6e7 times.
    """
    chains, power = 40_000, 1 - BETA + beta
    start = MEAN + noise(chains, 1, K, seed=6) @ FACTOR.T / math.sqrt(power)
    point = normal(start)
    for index in range(4):
        generator = torch.Generator().manual_seed(index)
        uniform = torch.rand(chains, 1, generator=generator, dtype=torch.float64)
        momentum = noise(chains, 1, K, seed=10 + index)
        point, acceptance = move(normal, point, beta, 6 * STEP, 3, momentum, uniform)
        assert 0.3 < float(acceptance.mean()) < 0.95
    away = (point.position - MEAN).squeeze(1)
    assert (away - (start - MEAN).squeeze(1)).abs().mean() > 0.3
    products = away.unsqueeze(-1) * away.unsqueeze(-2)
    error = products.std(0) / math.sqrt(chains)
    assert ((products.mean(0) - COVARIANCE / power).abs() < 5.5 * error).all()
    assert (away.mean(0).abs() < 5.5 * away.std(0) / math.sqrt(chains)).all()


def test_points_that_stay_keep_all_that_is_known_of_them():
    position, momentum = noise(50, 2, K, seed=30), noise(50, 2, K, seed=31)
    start = quartic(position)
    never, acceptance = move(
        quartic, start, 0.5, 4 * STEP, 3, momentum, torch.full((50, 2), 2.0).double()
    )
    assert all(torch.equal(new, old) for new, old in zip(never, start, strict=True))
    uniform = torch.rand(50, 2, generator=torch.Generator().manual_seed(1)).double()
    some, again = move(quartic, start, 0.5, 4 * STEP, 3, momentum, uniform)
    assert torch.equal(acceptance, again)
    moved = (some.position != position).any(-1)
    assert torch.equal(moved, uniform < acceptance)
    assert moved.any() and not moved.all()
    for found, expected in zip(some, quartic(some.position), strict=True):
        torch.testing.assert_close(found, expected)


def test_what_is_not_finite_is_never_accepted():
    def torn(position: Tensor) -> Any:
        point = normal(position)
        return point._replace(gain=point.gain.masked_fill(position[..., 0] > 0, torch.nan))

    start = torn(noise(400, 1, K, seed=40).abs().neg())
    momentum, uniform = noise(400, 1, K, seed=41), torch.zeros(400, 1, dtype=torch.float64)
    point, acceptance = move(torn, start, 1.0, 3 * STEP, 2, momentum, uniform)
    assert point.gain.isfinite().all()
    assert (acceptance == 0).any() and (acceptance > 0).any()
