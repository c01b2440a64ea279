"""masked_posterior against pairs whose posterior given some pixels is known."""

import math
from importlib import import_module
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro.ops.stats import effective_sample_size

from unbraid import guides, models
from unbraid.inference import MaskedPosterior, masked_posterior
from unbraid.nets import MLPDecoder, MLPEncoder, make_likelihood
from unbraid.transforms import Translation

from . import masked_pairs

# A standard normal strays further once in 2.6e7.
SIGMAS = 5.5
WAYS = {
    "importance": {"by": "importance", "samples": 4000},
    "svi": {"by": "svi", "samples": 4000, "steps": 300},
    "nuts": {"by": "nuts", "samples": 400, "chains": 2, "warmup": 80, "steps": 300},
}


def run(known, **options) -> MaskedPosterior:
    return masked_posterior(
        known.model, known.guide, known.data, known.observed, keys=tuple(known.data), **options
    )


def mean_and_error(result, values):
    """Weighted mean of a function of the draws `(N, S)`, and its Monte Carlo error.

    Of weighted draws by the delta method; of chains from their autocorrelation.
    """
    weights = result.weights
    mean = (weights * values).sum(1)
    centred = values - mean.unsqueeze(1)
    if result.by != "nuts":
        return mean, (weights * centred).square().sum(1).sqrt()
    chains = values.unflatten(1, (2, -1)).movedim(0, -1)
    return mean, centred.std(1) / effective_sample_size(chains, 0, 1).sqrt()


def check_truth(known, result):
    """Means, covariances and evidence are the true ones.

    False alarm: each of some 30 numbers once in 2.6e7, where means are near Normal, which the
    effective sample size is to say.
    """
    assert (result.effective_sample_size > 100).all()
    assert (result.evidence_sample_size > 100).all()
    draws = result.latents["z"].reshape(*result.log_weights.shape, -1)
    centred = draws - known.mean.unsqueeze(1)
    for i in range(draws.shape[-1]):
        mean, error = mean_and_error(result, centred[..., i])
        assert (mean.abs() < SIGMAS * error).all()
        for j in range(i + 1):
            product = centred[..., i] * centred[..., j]
            mean, error = mean_and_error(result, product)
            assert ((mean - known.covariance[:, i, j]).abs() < SIGMAS * error).all()
    off = (result.log_evidence - known.log_evidence).abs()
    assert (off < SIGMAS * result.log_evidence_error + 1e-9).all()


@pytest.mark.parametrize("way", WAYS)
def test_probabilistic_pca(way):
    known = masked_pairs.pca(3 if way == "nuts" else 5)
    result = run(known, **WAYS[way])
    check_truth(known, result)
    if way == "svi":
        # Its Normal is the posterior itself: nine draws of ten are exact.
        assert (result.effective_sample_size > 0.8 * 4000).all()
        bound = result.diagnostics["elbo"]
        assert ((bound - known.log_evidence).abs() < 0.02).all()
    if way == "nuts":
        assert (result.diagnostics["r_hat"] < 1.05).all()
        assert (result.diagnostics["divergences"] == 0).all()
    assert result.remarks == ()


@pytest.mark.parametrize("way", ["importance", "svi"])
@pytest.mark.parametrize("pair", ["given a condition", "a wrong guide", "bounded support"])
def test_other_pairs(pair, way):
    known = {
        "given a condition": lambda: masked_pairs.pca(conditional=True),
        "a wrong guide": lambda: masked_pairs.pca(wrong=True),
        "bounded support": masked_pairs.coins,
    }[pair]()
    options = dict(WAYS[way])
    if (pair, way) == ("a wrong guide", "importance"):
        # The share of the prior has to do the work.
        options |= {"samples": 20_000, "prior_share": 0.5}
    check_truth(known, run(known, **options))


def test_chains_on_bounded_support():
    known = masked_pairs.coins(2)
    check_truth(known, run(known, **WAYS["nuts"]))


def test_a_deterministic_guide_proposes_too():
    known = masked_pairs.pca()
    exact: Any = known.guide

    def encoder(x):
        return dist.Delta(exact.encoder(x).mean, event_dim=1)

    check_truth(known._replace(guide=guides.VAE(encoder)), run(known, samples=4000))


def test_nothing_seen_leaves_the_prior():
    known = masked_pairs.pca(1)
    assert not known.observed.any()
    result = run(known, samples=4000, prior_share=0.9)
    assert (result.log_likelihood == 0).all()
    mean, covariance = result.moments("z")
    # Some 3800 effective draws: off by 5.5 standard errors once in 2.6e7, and less in 1 / S.
    error = 1 / math.sqrt(float(result.effective_sample_size[0]))
    assert (mean.abs() < SIGMAS * error).all()
    assert ((covariance - torch.eye(2)).abs() < SIGMAS * math.sqrt(2) * error + error**2).all()


def test_a_warped_image_against_quadrature():
    """VITAE, whose guide's second code depends on its first; log p and a mean by quadrature."""
    shape = (1, 5, 5)
    torch.manual_seed(1)
    warp = Translation()
    likelihood = make_likelihood("normal", 1, scale=0.5)
    gamma = torch.nn.Linear(1, warp.parameter_count)
    model = models.VITAE(
        MLPDecoder(1, shape, likelihood, (8,), code_spread=1.0), gamma, warp, 1, 1
    )
    guide = guides.VITAE(
        MLPEncoder(shape, 1, (8,)), MLPEncoder(shape, 1, (8,)), gamma, warp, conditional=True
    )
    with torch.no_grad():
        x = model(size=3).clamp(0, 1)
    observed = torch.zeros(5, 5, dtype=torch.bool)
    observed[:, :3] = True
    axis = torch.linspace(-6, 6, 241)
    p, a = (grid.reshape(-1, 1, 1) for grid in torch.meshgrid(axis, axis, indexing="ij"))
    with torch.no_grad():
        mean = warp(model.canonical(a), model.gamma(p))
    log_p = dist.Normal(mean, 0.5).log_prob(x)[..., observed].sum(-1).flatten(1).double()
    log_p = log_p + dist.Normal(0.0, 1.0).log_prob(torch.cat([p, a], -1)).sum(-1).double()
    evidence = log_p.logsumexp(0) + 2 * math.log(0.05)
    weights = log_p.softmax(0)
    for way in ("importance", "svi"):
        result = masked_posterior(model, guide, x, observed, **WAYS[way], prior_share=0.5)
        assert list(result.latents) == ["perspective", "appearance"]
        assert (result.effective_sample_size > 50).all()
        off = (result.log_evidence - evidence).abs()
        assert (off < SIGMAS * result.log_evidence_error + 1e-4).all()
        for name, grid in (("perspective", p), ("appearance", a)):
            found, error = mean_and_error(result, result.latents[name].squeeze(-1).double())
            truth = (weights * grid.squeeze(-1)).sum(0)
            assert ((found - truth).abs() < SIGMAS * error + 1e-4).all()


@pytest.mark.parametrize("way", WAYS)
def test_hidden_pixels_are_not_looked_at(way):
    known = masked_pairs.pca(2)
    options = {**WAYS[way], "samples": 20, "warmup": 5, "steps": 20}
    results = []
    for hidden in (0.0, 1e3, math.nan):
        x = torch.where(known.observed.unsqueeze(1), known.data["x"], hidden)
        results.append(run(known._replace(data={"x": x}), **options))
    for other in results[1:]:
        assert torch.equal(results[0].latents["z"], other.latents["z"])
        assert torch.equal(results[0].log_weights, other.log_weights)
        assert torch.equal(results[0].completions, other.completions)
        assert torch.equal(results[0].log_evidence, other.log_evidence)


def test_completions_keep_what_is_seen_and_are_the_draws_decoded():
    known = masked_pairs.pca()
    result = run(known, samples=200, draws=6)
    observed, x = known.observed.unsqueeze(1), known.data["x"]
    draws = result.latents["z"].take_along_dim(result.completion_draws.unsqueeze(-1), 1)
    means = masked_pairs.decoder(draws).mean
    expected = torch.where(observed.unsqueeze(1), x.unsqueeze(1), means)
    torch.testing.assert_close(result.completions, expected)
    every = masked_pairs.decoder(result.latents["z"]).mean
    mean = (result.weights[..., None, None, None] * every).sum(1)
    torch.testing.assert_close(result.mean, torch.where(observed, x, mean))
    chosen = result.completion_draws
    assert all(len(set(row)) == 6 for row in chosen.tolist())
    assert torch.equal(result.completion_weights, result.weights.gather(1, chosen))
    assert (result.completion_weights.diff(dim=1) <= 0).all()


def test_completions_are_drawn_by_weight():
    """Of draws with weights w, the first of one drawn is i with probability w_i.

    Chi-squared of 4 classes beyond 33 happens once in 3e6.
    """
    choose = import_module("unbraid.inference.masked_inference").choose
    weights = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    log_weights = weights.log().unsqueeze(1).expand(-1, 20_000)
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(log_weights.shape, generator=generator, dtype=torch.float64)
    drawn = choose(log_weights, 1, noise).flatten()
    expected = 20_000 * weights
    counts = drawn.bincount(minlength=4)
    assert ((counts - expected).square() / expected).sum() < 33


def test_log_likelihoods_are_of_the_seen_pixels():
    known = masked_pairs.pca()
    result = run(known, samples=50)
    for n in range(masked_pairs.COUNT):
        seen = known.observed[n].flatten()
        loc = result.latents["z"][n] @ masked_pairs.WEIGHT[seen].T + masked_pairs.OFFSET[seen]
        normal = dist.Normal(loc, masked_pairs.NOISE)
        expected = normal.log_prob(known.data["x"][n].flatten()[seen]).sum(1)
        torch.testing.assert_close(result.log_likelihood[n], expected)


def test_weights_are_bounded_by_the_share_of_the_prior():
    known = masked_pairs.pca(wrong=True)
    result = run(known, samples=100, prior_share=0.25, rounds=1)
    raw = result.log_weights + result.log_evidence.unsqueeze(1) + math.log(100)
    assert (raw <= result.log_likelihood - math.log(0.25) + 1e-9).all()
    unbounded = run(known, samples=100, prior_share=0.0, rounds=1)
    raw = unbounded.log_weights + unbounded.log_evidence.unsqueeze(1) + math.log(100)
    assert (raw > unbounded.log_likelihood - math.log(0.25)).any()


def test_pixels_whose_channels_depend_on_each_other():
    shape = (3, 2, 3)
    torch.manual_seed(2)
    likelihood = make_likelihood("discretised-logistic", 3)
    decoder = MLPDecoder(2, shape, likelihood, (8,), code_spread=2.0)
    model = models.VAE(decoder, 2)
    guide = guides.VAE(MLPEncoder(shape, 2, (8,)))
    with torch.no_grad():
        x = model(size=2)
    observed = torch.zeros(2, 3, dtype=torch.bool)
    observed[:, :2] = True
    result = masked_posterior(model, guide, x, observed, samples=20)
    with torch.no_grad():
        raw = decoder.raw(result.latents["z"].transpose(0, 1))
        left = likelihood(raw[..., :2]).log_prob(x[..., :2])
    torch.testing.assert_close(result.log_likelihood.T.float(), left)
    channels = observed.expand(2, 3, 2, 3).clone()
    channels[:, 0] = False
    with pytest.raises(ValueError, match="differs between the channels of a pixel"):
        masked_posterior(model, guide, x, channels, samples=20)


def test_channels_can_be_hidden_where_they_are_independent():
    shape = (2, 2, 3)
    model = models.VAE(MLPDecoder(2, shape, make_likelihood("normal", 2), (8,)), 2)
    guide = guides.VAE(MLPEncoder(shape, 2, (8,)))
    with torch.no_grad():
        x = model(size=2)
    observed = torch.zeros(2, *shape, dtype=torch.bool)
    observed[:, 1] = True
    result = masked_posterior(model, guide, x.clamp(0, 1), observed, samples=20)
    with torch.no_grad():
        mean = model.decoder(result.latents["z"].transpose(0, 1)).mean
        second = dist.Normal(mean, 0.1).log_prob(x.clamp(0, 1))[:, :, 1].sum((-2, -1))
    torch.testing.assert_close(result.log_likelihood.T.float(), second)


@pytest.mark.parametrize("way", WAYS)
def test_noise_belongs_to_the_image_and_the_seed(way):
    known = masked_pairs.pca(4)
    options = {**WAYS[way], "samples": 20, "warmup": 5, "steps": 20}
    one = run(known, **options)
    again, other = run(known, **options), run(known, seed=1, **options)
    assert torch.equal(one.log_weights, again.log_weights)
    assert not torch.allclose(one.latents["z"], other.latents["z"])
    first = known._replace(data={"x": known.data["x"][:2]}, observed=known.observed[:2])
    fewer = run(first, rows=64, **options)
    torch.testing.assert_close(fewer.log_evidence, one.log_evidence[:2])
    torch.testing.assert_close(fewer.completions, one.completions[:2])


def test_many_images_come_in_blocks_and_leave_no_trace():
    known = masked_pairs.pca(40)
    state, done = torch.get_rng_state(), []
    result = run(known, samples=5000, progress=done.append)
    assert done == [32, 40]
    assert torch.equal(state, torch.get_rng_state())
    assert result.latents["z"].shape == (40, 5000, 2)
    good = result.evidence_sample_size > 500  # of heavy tails, the error says little
    assert good.sum() > 30
    off = (result.log_evidence - known.log_evidence).abs()
    assert (off < SIGMAS * result.log_evidence_error + 1e-9)[good].all()


def test_moments_are_weighted_and_remarks_warn():
    known = masked_pairs.pca()
    result = run(known, samples=300)
    mean, covariance = result.moments("z")
    for n in range(masked_pairs.COUNT):
        draws, weights = result.latents["z"][n], result.weights[n]
        torch.testing.assert_close(mean[n], weights @ draws)
        expected = draws.T.cov(aweights=weights, correction=0)
        torch.testing.assert_close(covariance[n], expected)
    with pytest.raises(ValueError, match="expected one of 'z'"):
        result.moments("y")
    few = run(known, samples=8, prior_share=0.9, rounds=1)
    assert any("fewer than 10 draws" in remark for remark in few.remarks)
    assert few.summary()["remarks"] == list(few.remarks)
    assert few.resampled(3).shape == (masked_pairs.COUNT, 3)


def test_binary_images_of_nets():
    """Grey fills of black and white images are no error, and a trained mode is put back."""
    shape = (1, 4, 4)
    model = models.VAE(MLPDecoder(3, shape, make_likelihood("bernoulli", 1), (8,)), 3)
    guide = guides.VAE(mlp_encoder := MLPEncoder(shape, 3, (8,)))
    with torch.no_grad():
        x = model(size=3)
    observed = torch.zeros(4, 4, dtype=torch.bool)
    observed[2:] = True
    result = masked_posterior(model, guide, x, observed, samples=30, draws=2)
    assert result.completions.shape == (3, 2, 1, 4, 4)
    assert torch.equal(result.completions[..., 2:, :], x[:, None, :, 2:].expand(3, 2, 1, 2, 4))
    assert model.training and mlp_encoder.training
