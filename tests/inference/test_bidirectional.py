"""bidirectional_bounds against models whose log p(x) is known."""

import json
import math
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from unbraid import models
from unbraid.inference import BidirectionalBounds, bidirectional_bounds
from unbraid.nets import MLPDecoder, make_likelihood

from . import oracles

NOISE = 3.0
DATA = 32
"""Data of a trial, a block of the noise."""


def pca(
    x: Tensor | None = None,
    shift: Tensor | None = None,
    *,
    size: int | None = None,
    noise: float = NOISE,
) -> Tensor:
    """Probabilistic PCA with a shift of the prior's mean as a condition."""
    zero = torch.zeros(2, dtype=torch.float64)
    with pyro.plate("data", len(x) if x is not None else int(size or 0)):
        z = pyro.sample("z", dist.Normal(zero if shift is None else shift, 1.0).to_event(1))
        loc = z @ oracles.WEIGHT.T + oracles.OFFSET
        return pyro.sample("x", dist.Normal(loc, noise).to_event(1), obs=x)


def log_p(x: Tensor, shift: Tensor | None = None) -> Tensor:
    evidence = oracles.WEIGHT @ oracles.WEIGHT.T + NOISE**2 * torch.eye(6, dtype=torch.float64)
    loc = oracles.OFFSET if shift is None else oracles.OFFSET + shift @ oracles.WEIGHT.T
    return dist.MultivariateNormal(loc, evidence).log_prob(x)


def trial(result: BidirectionalBounds, index: int) -> BidirectionalBounds:
    """One block of a result, whose data and noise are its own."""
    rows = slice(DATA * index, DATA * (index + 1))
    return BidirectionalBounds(
        result.forward[rows],
        result.backward[rows],
        result.acceptance[rows],
        result.least_acceptance[rows],
        {name: value[rows] for name, value in result.data.items()},
        result.temperatures,
        result.seed,
    )


@pytest.mark.parametrize("trials", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_the_interval_holds_log_p_and_is_narrow(trials):
    """Trials are blocks of 32 data with noise of their own.

    The interval is widened by 4 standard errors on either side. A trial fails to hold log p once
    in 15 800 times, and so more than 2 in 100 trials once in 2.4e7 times; of 20, one may.
    """
    result = bidirectional_bounds(
        pca, size=DATA * trials, chains=32, temperatures=24, leapfrog_steps=3, rows=50_000
    )
    held = 0
    for index in range(trials):
        part = trial(result, index)
        low, high = part.interval(4.0)
        held += low < float(log_p(part.data["x"]).mean()) < high
        assert high - low < 0.1
    assert held >= 0.98 * trials - 0.6


def test_weights_are_unbiased_in_both_directions():
    """Over 640 data, the mean of w / p(x) and of p(x) / w is 1 but for its measured error.

    False alarm: beyond 5.5 of these, once in 2.6e7 times.
    """
    result = bidirectional_bounds(
        pca, size=640, chains=8, temperatures=8, leapfrog_steps=3, rows=50_000, seed=3
    )
    truth = log_p(result.data["x"]).unsqueeze(1)
    for weights in ((result.forward - truth).exp(), (truth - result.backward).exp()):
        # A datum's chains share its exact sample, so that its mean is what is independent.
        means = weights.mean(1)
        assert abs(float(means.mean()) - 1) < 5.5 * float(means.std()) / math.sqrt(640)
        assert 0.02 < float(weights.std()) < 2


def test_bounds_are_apart_and_come_together_with_more_temperatures():
    """The gaps are many of their standard errors, which are measured."""
    gaps = []
    for temperatures in (6, 40):
        result = bidirectional_bounds(
            partial(pca, noise=0.7),
            size=320,
            chains=4,
            temperatures=temperatures,
            leapfrog_steps=5,
            rows=50_000,
        )
        gaps.append((float(result.gap.mean()), float(result.gap.std()) / math.sqrt(320)))
    (wide, error), (narrow, other) = gaps
    assert wide - narrow > 5.5 * math.hypot(error, other)
    assert narrow > 5.5 * other


def test_conditions_and_a_guide():
    shift = torch.linspace(-3, 3, 80, dtype=torch.float64).view(40, 2)

    def guide(x: Tensor, shift: Tensor) -> None:
        precision = torch.eye(2).double() + oracles.WEIGHT.T @ oracles.WEIGHT / NOISE**2
        covariance = torch.linalg.inv(precision)
        residual = x - oracles.OFFSET - shift @ oracles.WEIGHT.T
        loc = shift + residual @ (oracles.WEIGHT @ covariance) / NOISE**2
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.MultivariateNormal(loc, covariance))

    options: Any = {
        "size": 40,
        "keys": ("x", "shift"),
        "conditions": {"shift": shift},
        "chains": 3,
    }
    exact = bidirectional_bounds(
        pca, guide, temperatures=3, leapfrog_steps=2, start="guide", **options
    )
    truth = log_p(exact.data["x"], shift)
    torch.testing.assert_close(exact.lower, truth, rtol=0, atol=1e-9)
    torch.testing.assert_close(exact.upper, truth, rtol=0, atol=1e-9)
    assert torch.equal(exact.data["shift"], shift)
    prior = bidirectional_bounds(pca, temperatures=40, leapfrog_steps=3, **options)
    assert torch.equal(prior.data["x"], exact.data["x"])
    assert (prior.gap.abs() < 2).all()


def test_the_first_data_of_many_get_the_numbers_that_they_get_alone():
    options: Any = {"chains": 3, "temperatures": 6, "leapfrog_steps": 2}
    many = bidirectional_bounds(pca, size=70, rows=5000, **options)
    few = bidirectional_bounds(pca, size=37, rows=1, **options)
    assert torch.equal(few.data["x"], many.data["x"][:37])
    for name in ("forward", "backward", "acceptance", "least_acceptance"):
        torch.testing.assert_close(getattr(few, name), getattr(many, name)[:37], rtol=0, atol=1e-8)
    other = bidirectional_bounds(pca, size=37, seed=1, **options)
    assert not (other.data["x"] == few.data["x"]).any()


def test_a_decoder_of_images():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        decoder = MLPDecoder(2, (1, 4, 3), make_likelihood("bernoulli", 1), hidden=(8,))
    before = torch.get_rng_state()
    told: list[float] = []
    result = bidirectional_bounds(
        models.VAE(decoder, 2), size=5, chains=6, temperatures=30, progress=told.append
    )
    assert torch.equal(before, torch.get_rng_state())
    assert result.data["x"].shape == (5, 1, 4, 3)
    assert (result.gap.abs() < 0.5).all()
    assert told == sorted(told) and told[-1] == 5 and 0 < told[0] < 1
    summary = json.loads(json.dumps(result.summary(), allow_nan=False))
    assert summary["lower"] == pytest.approx(float(result.lower.mean()))
    assert summary["upper"] - summary["lower"] == pytest.approx(summary["gap"])
    low, high = result.interval(2.0)
    assert low == pytest.approx(summary["lower"] - 2 * summary["lower_error"])
    assert high == pytest.approx(summary["upper"] + 2 * summary["upper_error"])


def sharp(x: Tensor | None = None, *, size: int | None = None, noise: float = 1e-2) -> None:
    """Images that all but are their codes."""
    with pyro.plate("data", len(x) if x is not None else int(size or 0)):
        z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z, noise).to_event(1), obs=x)


def test_chains_run_back_from_the_exact_sample():
    """With one temperature a weight is p(x | z), which is tiny at any other z.

    Its shortfall from the largest one is half a chi-squared variable of 3 degrees: above 25
    once in 1.2e10 times, and the mean of 40, of deviation sqrt(1.5), beyond 5.5 errors once in
    2.6e7.
    """
    result = bidirectional_bounds(partial(sharp, noise=1e-3), size=40, chains=2, temperatures=1)
    largest = -3 * (math.log(1e-3) + 0.5 * math.log(2 * math.pi))
    shortfall = largest - result.backward
    assert (shortfall < 25).all()
    assert abs(float(shortfall.mean()) - 1.5) < 5.5 * math.sqrt(1.5 / 40)


def test_wide_bounds_say_so_and_one_chain_has_no_error():
    result = bidirectional_bounds(sharp, size=3, chains=1, temperatures=4)
    assert any("nats apart in the mean; raise temperatures" in text for text in result.remarks)
    summary = json.loads(json.dumps(result.summary(), allow_nan=False))
    assert summary["lower_error"] is None and summary["gap"] > 1
