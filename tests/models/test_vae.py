"""The VAE's model: sites, sampling, Pyro's estimators, and a closed form."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS, Predictive, RenyiELBO, Trace_ELBO, TraceMeanField_ELBO
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from unbraid import guides, models
from unbraid.nets import (
    LIKELIHOODS,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    make_likelihood,
)

SHAPE, K, B = (3, 9, 14), 5, 7


def make_pair(name="bernoulli", kind="mlp"):
    likelihood = make_likelihood(name, SHAPE[0])
    if kind == "mlp":
        encoder = MLPEncoder(SHAPE, K, hidden=(13, 11))
        decoder = MLPDecoder(K, SHAPE, likelihood, hidden=(11, 13))
    else:
        encoder = ConvEncoder(SHAPE, K, channels=(6, 7), hidden=12)
        decoder = ConvDecoder(K, SHAPE, likelihood, channels=(7, 6), hidden=12)
    return models.VAE(decoder, K), guides.VAE(encoder)


def images():
    return torch.randint(0, 2, (B, *SHAPE)).float()


def sites(program, *args, **kwargs) -> dict[str, Any]:
    """Run a Pyro program once and return its sites, with their log-densities, by name."""
    trace = poutine.trace(program).get_trace(*args, **kwargs)
    trace.compute_log_prob()
    return {
        name: trace.nodes[name] for name in trace.nodes if trace.nodes[name]["type"] == "sample"
    }


def test_sites_are_those_of_the_contract():
    model, _ = make_pair()
    z, x = (sites(model, images())[name] for name in ("z", "x"))
    assert set(sites(model, images())) == {"data", "z", "x"}
    assert z["fn"].batch_shape == x["fn"].batch_shape == (B,)
    assert (z["fn"].event_shape, x["fn"].event_shape) == ((K,), SHAPE)
    assert (z["is_observed"], x["is_observed"]) == (False, True)
    for site in (z, x):
        (frame,) = site["cond_indep_stack"]
        assert (frame.name, frame.dim, frame.size) == ("data", -1, B)


def test_the_joint_density_is_prior_times_likelihood():
    model, _ = make_pair()
    x, z = images(), torch.randn(B, K)
    found = sites(poutine.condition(model, {"z": z}), x)
    prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    torch.testing.assert_close(found["z"]["log_prob"], prior)
    torch.testing.assert_close(found["x"]["log_prob"], model.decoder(z).log_prob(x))


def test_codes_are_standard_normal():
    """Mean and variance of 20000 draws within 5.5 standard errors: alarm below 1e-6."""
    model, _ = make_pair()
    z = sites(model, size=4000)["z"]["value"].flatten()
    assert abs(float(z.mean())) < 5.5 / len(z) ** 0.5
    assert abs(float(z.var()) - 1) < 5.5 * (2 / len(z)) ** 0.5


@pytest.mark.parametrize("name", [*LIKELIHOODS])
def test_it_samples_images(name):
    model, _ = make_pair(name)
    assert model(size=4).shape == (4, *SHAPE)
    draws = Predictive(model, num_samples=2)(size=4)
    assert draws["x"].shape == (2, 4, *SHAPE)
    assert draws["z"].shape == (2, 4, K)
    parallel = Predictive(model, num_samples=2, parallel=True)(size=4)
    assert parallel["x"].shape == (2, 4, *SHAPE)


def test_exactly_one_of_x_and_size_is_needed():
    model, _ = make_pair()
    message = r"{} of x and size given; expected exactly one. Call model\(x\) to score"
    with pytest.raises(ValueError, match=message.format("neither")):
        model()
    with pytest.raises(ValueError, match=message.format("both")):
        model(images(), size=B)


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("name", [*LIKELIHOODS])
@pytest.mark.parametrize(
    "estimator",
    [
        TraceMeanField_ELBO(),
        Trace_ELBO(),
        Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1),
    ],
    ids=["mean-field", "trace", "particles"],
)
def test_pyro_trains_every_parameter(estimator, name, kind):
    model, guide = make_pair(name, kind)
    x = images()
    loss = estimator.differentiable_loss(model, guide, x)
    parameters = [*model.parameters(), *guide.parameters()]
    for gradient in torch.autograd.grad(loss, parameters):
        assert (gradient != 0).any()
        assert torch.isfinite(gradient).all()


def test_replay_scores_the_guides_codes():
    model, guide = make_pair()
    x = images()
    guide_trace = poutine.trace(guide).get_trace(x)
    z = sites(poutine.replay(model, guide_trace), x)["z"]["value"]
    assert z is sites(poutine.replay(guide, guide_trace), x)["z"]["value"]


def test_prior_follows_dtype_and_is_no_parameter():
    model, guide = make_pair()
    names = {name for name, _ in model.named_parameters()}
    assert set(model.state_dict()) == names
    assert all(name.startswith("decoder.") for name in names)
    model.double()
    guide.double()
    assert model(size=4).dtype == guide(images().double()).dtype == torch.float64
    assert sites(model, images().double())["z"]["value"].dtype == torch.float64


def test_a_step_traces_to_a_straight_line():
    model, guide = make_pair()

    def step(x):
        guide_trace = poutine.trace(guide).get_trace(x)
        model_trace = poutine.trace(poutine.replay(model, guide_trace)).get_trace(x)
        return model_trace.log_prob_sum() - guide_trace.log_prob_sum()

    with pyro.validation_enabled(False):
        traced = make_fx(step)(images())
        x = images()
        torch.manual_seed(3)
        ours = traced(x)
        torch.manual_seed(3)
        torch.testing.assert_close(ours, step(x), rtol=0, atol=0)


class LinearDecoder(nn.Module):
    """A linear map of the codes and a Normal of fixed scale: probabilistic PCA."""

    def __init__(self, scale):
        super().__init__()
        self.linear = nn.Linear(2, 6)
        self.likelihood: Any = make_likelihood("normal", 1, scale=scale)

    def forward(self, z):
        return self.likelihood(self.linear(z).unflatten(-1, (1, 2, 3)))


def exact_posterior(decoder, x):
    """Return the posterior (Bishop 2006, eq. 12.42) and log evidence of probabilistic PCA."""
    weight, bias = decoder.linear.weight.detach(), decoder.linear.bias.detach()
    variance = decoder.likelihood.scale**2
    flat = x.flatten(-3)
    precision = torch.eye(2, dtype=x.dtype) + weight.T @ weight / variance
    loc = torch.linalg.solve(precision, weight.T @ (flat - bias).T / variance).T
    covariance = weight @ weight.T + variance * torch.eye(6, dtype=x.dtype)
    evidence = dist.MultivariateNormal(bias, covariance).log_prob(flat)
    return dist.MultivariateNormal(loc, precision_matrix=precision), evidence


@pytest.mark.parametrize(
    "estimator",
    [
        Trace_ELBO(),
        RenyiELBO(num_particles=4, vectorize_particles=True, max_plate_nesting=1),
    ],
    ids=["trace", "renyi"],
)
def test_elbo_is_the_evidence_at_the_exact_posterior(estimator):
    decoder = LinearDecoder(0.3).double()
    x = torch.rand(B, 1, 2, 3, dtype=torch.float64)
    posterior, evidence = exact_posterior(decoder, x)
    loss = estimator.loss(models.VAE(decoder, 2).double(), guides.VAE(lambda _: posterior), x)
    assert -loss == pytest.approx(float(evidence.sum()), rel=1e-10)


def test_elbo_of_a_wrong_posterior_is_below_by_the_divergence():
    """Mean of 4000 particles, within 5.5 standard errors of the closed form: alarm below 1e-6."""
    decoder = LinearDecoder(0.3).double()
    model = models.VAE(decoder, 2).double()
    x = torch.rand(B, 1, 2, 3, dtype=torch.float64)
    posterior, evidence = exact_posterior(decoder, x)
    wrong = dist.MultivariateNormal(posterior.loc + 0.1, 1.5 * posterior.covariance_matrix)
    gap = torch.distributions.kl_divergence(wrong, posterior)
    z = wrong.sample((4000,))
    with torch.no_grad(), pyro.plate("particles", 4000, dim=-2):
        found = sites(poutine.condition(model, {"z": z}), x)
    log_weight = found["z"]["log_prob"] + found["x"]["log_prob"] - wrong.log_prob(z)
    error = log_weight.mean(0) - (evidence - gap)
    assert (error.abs() < 5.5 * log_weight.std(0) / 4000**0.5).all()


def test_nuts_finds_the_exact_posterior():
    """Means of 300 correlated draws, taken as at least 30 free ones: within 5.5 errors."""
    decoder = LinearDecoder(0.5).double().requires_grad_(False)
    model = models.VAE(decoder, 2).double()
    x = torch.rand(2, 1, 2, 3, dtype=torch.float64)
    posterior, _ = exact_posterior(decoder, x)
    sampler = MCMC(NUTS(model), num_samples=300, warmup_steps=100, disable_progbar=True)
    sampler.run(x)
    draws = sampler.get_samples()["z"]
    assert draws.shape == (300, 2, 2)
    error = (draws.mean(0) - posterior.mean).abs() / posterior.variance.sqrt()
    assert float(error.max()) < 5.5 / 30**0.5
