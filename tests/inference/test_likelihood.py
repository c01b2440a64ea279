"""log_likelihood against pairs whose log p(x) is known."""

import json
import math
from dataclasses import replace
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from unbraid import guides, models
from unbraid.inference import LogLikelihood, log_likelihood
from unbraid.nets import MLPDecoder, MLPEncoder, make_likelihood

from . import oracles

# A datum's estimate strays from the truth by more than this many standard errors once in 2.6e7.
SIGMAS = 5.5


def run(oracle, **options) -> LogLikelihood:
    return log_likelihood(oracle.model, oracle.guide, oracle.data, keys=oracle.keys, **options)


EXACT = {
    "pca": oracles.pca,
    "beta-bernoulli": oracles.beta_bernoulli,
    "labelled": oracles.labelled,
    "structured": oracles.structured,
    "sequences": oracles.sequences,
}
INEXACT = {
    "pca": lambda: oracles.pca(width=1.4),
    "beta-bernoulli": lambda: oracles.beta_bernoulli(sharpen=0.6),
    "nonlinear": oracles.nonlinear,
    "mixture": oracles.mixture,
    "labelled": lambda: oracles.labelled(width=1.4),
    "labelled, one proposal": lambda: oracles.labelled(width=1.3, depends=False),
    "structured": lambda: oracles.structured(width=1.4),
    "sequences": lambda: oracles.sequences(width=1.4),
}


@pytest.mark.parametrize("samples", [1, 10, 33, 100])
@pytest.mark.parametrize("name", EXACT)
def test_the_exact_posterior_gives_log_p_with_any_number_of_samples(name, samples):
    oracle = EXACT[name]()
    result = run(oracle, samples=samples)
    torch.testing.assert_close(result.log_likelihood, oracle.log_p, rtol=0, atol=1e-9)
    torch.testing.assert_close(result.elbo, oracle.log_p, rtol=0, atol=1e-9)
    for bound in result.by_samples.values():
        assert bound == pytest.approx(float(oracle.log_p.mean()), abs=1e-9)
    torch.testing.assert_close(
        result.effective_sample_size, torch.full_like(oracle.log_p, samples)
    )


@pytest.mark.parametrize("rows", [1, 7, 100, 10_000])
def test_the_exact_posterior_gives_log_p_in_float32(rows):
    oracle = oracles.pca(size=41, dtype=torch.float32)
    result = run(oracle, samples=37, rows=rows)
    assert result.log_likelihood.dtype == torch.float64
    torch.testing.assert_close(result.log_likelihood, oracle.log_p, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", INEXACT)
def test_another_proposal_converges_to_log_p(name):
    # The mean of logs, say, is 0.2 to 7 nats too low, at least four times the tolerance.
    oracle = INEXACT[name]()
    samples = 4000
    result = run(oracle, samples=samples)
    error = (1 / result.effective_sample_size - 1 / samples).sqrt()
    assert ((result.log_likelihood - oracle.log_p).abs() < SIGMAS * error).all()
    assert (error > 1e-4).all()


def test_nested_samples_of_the_exact_posterior_give_log_p():
    oracle = oracles.sequences()
    result = run(oracle, samples=3, inner_samples=5)
    torch.testing.assert_close(result.log_likelihood, oracle.log_p, rtol=0, atol=1e-9)


def test_nested_samples_converge_to_log_p_with_fewer_decoded_frames():
    oracle = oracles.sequences(width=1.8)
    joint, nested = run(oracle, samples=1000), run(oracle, samples=50, inner_samples=20)
    error = (1 / nested.effective_sample_size - 1 / 50).sqrt()
    bias = 0.01  # of the logarithm, of order error**2 / 2
    assert ((nested.log_likelihood - oracle.log_p).abs() < SIGMAS * error + bias).all()
    assert (nested.effective_sample_size / 50 > 2 * joint.effective_sample_size / 1000).all()


def test_the_elbo_of_a_wrong_guide_has_its_closed_form():
    # False alarm: a standard normal beyond 5.5, for each of 9 data.
    oracle, elbo = oracles.pca_mean_field(9)
    samples = 20_000
    result = run(oracle, samples=samples)
    gap = oracle.log_p - elbo
    assert (gap > 1).all()
    spread = _log_weight_deviation(oracle)
    assert ((result.elbo - elbo).abs() < SIGMAS * spread / math.sqrt(samples)).all()


def _log_weight_deviation(oracle) -> torch.Tensor:
    """Standard deviation of the log-weights of a mean-field PCA guide, from 20 000 draws of our
    own."""
    x, (gain, scale) = oracle.data["x"], oracles.MEAN_FIELD
    q = dist.Normal(x @ gain.T, scale).to_event(1)
    z = q.sample((20_000,))
    p = dist.Normal(torch.zeros(2).double(), 1.0).to_event(1)
    likelihood = dist.Normal(z @ oracles.WEIGHT.T + oracles.OFFSET, oracles.NOISE).to_event(1)
    return (likelihood.log_prob(x) + p.log_prob(z) - q.log_prob(z)).std(0)


@pytest.mark.parametrize("name", INEXACT)
def test_the_elbo_never_exceeds_the_log_likelihood(name):
    for samples in (1, 2, 50):
        result = run(INEXACT[name](), samples=samples)
        assert (result.elbo <= result.log_likelihood).all()


@pytest.mark.parametrize("name", ["mixture", "nonlinear", "structured"])
def test_the_bound_rises_with_the_number_of_samples(name):
    # The gaps are dozens of their standard errors: 3000 samples for each of 5 to 8 data.
    bounds = run(INEXACT[name](), samples=3000).by_samples
    assert list(bounds) == [1, 10, 100, 1000, 3000]
    assert bounds[1] < bounds[10] < bounds[100]
    assert bounds[10] - bounds[1] > bounds[100] - bounds[10]


def test_diagnostics_tell_a_good_proposal_from_a_bad_one():
    good, bad = (
        run(oracles.pca(width=1.2), samples=1000),
        run(oracles.pca(width=0.4), samples=1000),
    )
    assert (good.pareto_k < 0.5).all()
    assert (bad.pareto_k > 0.7).any()
    assert (good.effective_sample_size > 800).all()
    assert (bad.max_weight > good.max_weight).all()
    assert bad.summary()["pareto_k_unreliable"] > 0


def test_a_datum_without_a_tail_shape_does_not_count_as_reliable():
    found = run(oracles.pca(width=1.2), samples=100)
    shapes = torch.tensor([0.2, 0.9, math.nan, math.nan, 0.7, 0.3, 0.5], dtype=torch.float64)
    summary = replace(found, pareto_k=shapes).summary()
    assert summary["pareto_k_unreliable"] == pytest.approx(3 / 7)
    assert summary["pareto_k_max"] == 0.9
    few = run(oracles.pca(width=1.2), samples=24).summary()
    assert few["pareto_k_unreliable"] is few["pareto_k_max"] is None


def make_vae(likelihood: str):
    shape = (1, 5, 6)
    decoder = MLPDecoder(3, shape, make_likelihood(likelihood, 1), hidden=(8,))
    return models.VAE(decoder, 3), guides.VAE(MLPEncoder(shape, 3, hidden=(7,)))


def binary(size: int) -> torch.Tensor:
    return (torch.rand(size, 1, 5, 6, generator=oracles.generator(0)) < 0.3).float()


def test_binary_images_have_bits_per_dimension():
    model, guide = make_vae("bernoulli")
    result = log_likelihood(model, guide, binary(9), samples=60)
    assert (result.discrete_levels, result.dimensions, result.is_likelihood) == (2, 30, True)
    assert result.bits_per_dimension == pytest.approx(-result.mean / 30 / math.log(2))
    assert result.standard_error == pytest.approx(float(result.log_likelihood.std()) / 3)


def test_the_density_of_binary_images_is_that_of_the_distribution():
    # One particle of a guide that knows its own noise: the prior, so that the weight is p(x | z).
    model, _ = make_vae("bernoulli")
    x, seen = binary(4), []

    def guide(x):
        with pyro.plate("data", len(x)):
            seen.append(pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1)))

    result = log_likelihood(model, guide, x, samples=1)
    z = seen[-1][0, :4]
    torch.testing.assert_close(
        result.log_likelihood, model.decoder(z).log_prob(x).double(), rtol=0, atol=1e-5
    )


def test_masked_binary_frames_do_not_count():
    # The code says nothing about the frames, and the guide is the prior: log p is a plain sum.
    logits, lengths = torch.linspace(-1, 2, 3).double(), torch.tensor([4, 1, 3, 2, 4])
    x = (torch.rand(5, 4, 3, generator=oracles.generator(0)) < 0.6).double()

    def guide(x, length):
        with pyro.plate("data", len(x), dim=-2):
            pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))

    def model(x, length):
        seen: Any = torch.arange(4) < length.unsqueeze(-1)
        with pyro.plate("data", len(x), dim=-2):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            frame = dist.Bernoulli(logits=logits + 0 * z.sum(-1, keepdim=True))
            with pyro.plate("frames", 4, dim=-1), poutine.mask(mask=seen):
                pyro.sample("x", frame.to_event(1), obs=x)

    data = {"x": x, "length": lengths}
    result = log_likelihood(model, guide, data, keys=("x", "length"), samples=3)
    every = dist.Bernoulli(logits=logits).log_prob(x).sum(-1)
    expected = torch.stack([each[:n].sum() for each, n in zip(every, lengths, strict=True)])
    torch.testing.assert_close(result.log_likelihood, expected, rtol=0, atol=1e-9)
    assert result.dimensions is None


def test_grey_images_under_a_cross_entropy_are_marked():
    model, guide = make_vae("bernoulli-grey")
    result = log_likelihood(model, guide, binary(3) * 0.5, samples=5)
    assert result.bits_per_dimension is None
    assert result.summary()["note"] == "not a likelihood"


def test_one_cross_entropy_among_likelihoods_is_enough_for_the_mark():
    model, guide = make_vae("bernoulli-grey")
    model.caption = make_likelihood("bernoulli", 1)
    assert not log_likelihood(model, guide, binary(3), samples=5).is_likelihood
    assert run(oracles.pca(), samples=5).is_likelihood


def test_densities_have_no_bits_per_dimension():
    model, guide = make_vae("continuous-bernoulli")
    result = log_likelihood(model, guide, binary(3) * 0.5, samples=5)
    assert result.bits_per_dimension is None
    assert result.summary()["note"] is None


def test_the_summary_is_json_without_nan():
    model, guide = make_vae("bernoulli")
    summary = log_likelihood(model, guide, binary(1), samples=1).summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["log_likelihood_se"] is None
    assert summary["pareto_k_max"] is None
    assert (summary["n"], summary["samples"], summary["seed"]) == (1, 1, 0)
