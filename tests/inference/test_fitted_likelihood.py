"""Normals fitted to each datum estimate the known log p(x), where the guide is far off, too.

Statistical tests have fixed seeds and bounds of 5.5 standard errors: a datum strays further once
in 2.6e7.
"""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from unbraid.inference import (
    CheckpointError,
    FittedLikelihood,
    NoLikelihoodError,
    fitted_log_likelihood,
    log_likelihood,
)

from . import oracles

SIGMAS = 5.5
SAMPLES = 2000


def run(oracle: oracles.Oracle, **options) -> FittedLikelihood:
    settings = {"samples": SAMPLES, "steps": 150, **options}
    return fitted_log_likelihood(
        oracle.model, oracle.guide, oracle.data, keys=oracle.keys, **settings
    )


def error(found: FittedLikelihood) -> Tensor:
    return (1 / found.effective_sample_size - 1 / found.samples).clamp(min=0).sqrt()


def far_off(x: Tensor) -> None:
    """A guide that is three prior deviations away, and far too narrow."""
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(x.new_full((len(x), 2), 3.0), 0.05).to_event(1))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_guide_that_is_far_off_is_made_good(share):
    oracle = oracles.pca(size=40)._replace(guide=far_off)
    found = run(oracle, prior_share=share)
    wrong = log_likelihood(oracle.model, far_off, oracle.data, samples=SAMPLES)
    assert ((found.log_likelihood - oracle.log_p).abs() < SIGMAS * error(found) + 1e-9).all()
    assert (found.effective_sample_size > 100).all()
    assert found.unreliable_share == 0
    assert not found.remarks
    assert float((wrong.log_likelihood - oracle.log_p).mean()) < -5


def test_the_bound_of_the_best_normal_is_that_of_the_posterior():
    # With a full covariance, the Normal can be the posterior, whose bound is log p(x).
    oracle = oracles.pca(size=20)._replace(guide=far_off)
    found = run(oracle, steps=600)
    assert (found.elbo - oracle.log_p).abs().max() < 0.02


def two_modes() -> oracles.Oracle:
    """One code, of which the square is seen: two modes, of which the guide knows one."""

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(1), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z.square(), 0.1).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x.sqrt(), 0.05).to_event(1))

    x = torch.linspace(0.5, 4, 12, dtype=torch.float64).unsqueeze(-1)
    grid = torch.linspace(-9, 9, 200_001, dtype=torch.float64)
    joint = dist.Normal(grid**2, 0.1).log_prob(x) + dist.Normal(0 * grid, 1.0).log_prob(grid)
    log_p = joint.logsumexp(1) + torch.log(grid[1] - grid[0])
    return oracles.Oracle(model, guide, {"x": x}, log_p)


def test_a_mode_that_the_guide_does_not_know_is_found():
    oracle = two_modes()
    found = run(oracle, starts=8)
    assert ((found.log_likelihood - oracle.log_p).abs() < SIGMAS * error(found)).all()
    lost = log_likelihood(oracle.model, oracle.guide, oracle.data, samples=SAMPLES)
    # Half of the posterior's mass is in the other mode.
    torch.testing.assert_close(
        lost.log_likelihood, oracle.log_p - torch.log(torch.tensor(2.0)), atol=0.05, rtol=0
    )


def test_structured_codes_are_fitted_together():
    oracle = oracles.structured(width=1.6)
    found = run(oracle)
    assert ((found.log_likelihood - oracle.log_p).abs() < SIGMAS * error(found)).all()


def test_numbers_depend_on_neither_the_batches_nor_the_rows():
    oracle = oracles.pca(size=40)
    x = oracle.data["x"]
    whole = run(oracle, samples=50, steps=20)
    parts = fitted_log_likelihood(
        oracle.model,
        oracle.guide,
        [{"x": part} for part in x.split(9)],
        samples=50,
        steps=20,
        rows=7,
    )
    torch.testing.assert_close(parts.log_likelihood, whole.log_likelihood)
    state = torch.get_rng_state()
    few = fitted_log_likelihood(oracle.model, oracle.guide, x[:5], samples=50, steps=20)
    torch.testing.assert_close(few.log_likelihood, whole.log_likelihood[:5])
    assert torch.equal(torch.get_rng_state(), state)
    other = run(oracle, samples=50, steps=20, seed=1)
    assert not torch.equal(other.log_likelihood, whole.log_likelihood)


def test_partial_results_are_gone_on_with_to_the_same_bits(tmp_path):
    oracle, path = oracles.pca(size=70), tmp_path / "partial"
    x = oracle.data["x"]
    settings: dict[str, Any] = {"samples": 50, "steps": 20, "starts": 2}

    def interrupted():
        yield {"x": x[:64]}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted_log_likelihood(oracle.model, oracle.guide, interrupted(), resume=path, **settings)
    calls: list[int] = []

    def counted(x: Tensor) -> None:
        calls.append(len(x))
        oracle.guide(x)

    done: list[int] = []
    options = {**settings, "resume": path, "progress": done.append}
    resumed = fitted_log_likelihood(oracle.model, counted, x, **options)
    assert done == [32, 64, 70] and len(calls) == 3  # of the last block alone: nine of all
    whole = run(oracle, **settings)
    for column in ("log_likelihood", "elbo", "effective_sample_size", "pareto_k"):
        assert torch.equal(getattr(resumed, column), getattr(whole, column)), column
    with pytest.raises(CheckpointError, match="of another pair"):
        run(oracle, **{**settings, "starts": 1}, resume=path)
    with pytest.raises(CheckpointError, match="of other data"):
        fitted_log_likelihood(oracle.model, oracle.guide, x.flip(0), resume=path, **settings)


def test_the_summary_says_what_was_done():
    oracle = oracles.pca(size=3)
    done: list[int] = []
    summary = run(oracle, samples=10, steps=2, starts=1, progress=done.append).summary()
    assert done == [3]
    assert summary["n"] == 3
    assert summary["samples"] == 10
    assert summary["pareto_k_unreliable"] is None
    assert summary["remarks"] == ["there are too few samples for k-hat; take 25 or more"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"starts": 9, "candidates": 8}, "starts is 9, but candidates is 8"),
        ({"prior_share": 1.0}, "prior_share is 1.0; expected"),
        ({"steps": 0}, "steps is 0"),
        ({"candidates": 1}, "candidates is 1"),
        ({"samples": 0}, "samples is 0"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run(oracles.pca(size=2), **options)


def test_pairs_without_such_a_likelihood_are_refused():
    with pytest.raises(NoLikelihoodError):
        run(oracles.sequences(size=2))
