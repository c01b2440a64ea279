"""Divergences, active units and codes equal their closed forms on linear pairs."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from unbraid.analysis import active_units, kl_per_dimension, posterior_means
from unbraid.inference import Objective

from .conftest import SCALES, normal_kl


def batches_of(x):
    return [x[:5], (x[5:],)]


def test_kl_equals_its_closed_form_over_ragged_batches(pair):
    kl = kl_per_dimension(pair.model, pair.guide, batches_of(pair.x))
    pair.guide.eval()
    assert list(kl) == ["appearance", "perspective"]
    for name, loc in pair.guide.locs(pair.x).items():
        expected = normal_kl(loc, SCALES[name]).mean(0).detach().double()
        torch.testing.assert_close(kl[name], expected, rtol=1e-5, atol=1e-6)


def test_kl_sums_to_the_term_of_the_objective(pair):
    kl = kl_per_dimension(pair.model, pair.guide, [pair.x])
    pair.guide.eval()
    parts = Objective().mean_loss(pair.model, pair.guide, (pair.x,)).parts
    for name, nats in kl.items():
        torch.testing.assert_close(nats.sum().float(), parts[name], rtol=1e-5, atol=1e-6)


def test_codes_are_posterior_means(pair):
    codes = posterior_means(pair.model, pair.guide, batches_of(pair.x))
    pair.guide.eval()
    for name, loc in pair.guide.locs(pair.x).items():
        torch.testing.assert_close(codes[name], loc.detach(), rtol=1e-5, atol=1e-6)


def test_units_that_ignore_the_image_are_inactive(pair):
    active = active_units(pair.model, pair.guide, batches_of(pair.x))
    pair.guide.eval()
    for name, loc in pair.guide.locs(pair.x).items():
        assert torch.equal(active[name], loc.var(0, correction=0) > 0.01)
    assert not active["appearance"][2]
    assert active["appearance"][1]


def test_threshold_is_a_variance():
    codes = torch.tensor([[0.0, 0.0], [0.19, 0.21]])  # variances 0.0090 and 0.0110
    model, guide = table_pair(codes)
    active = active_units(model, guide, [torch.zeros(2, 1, 1, 1)])
    assert active["z"].tolist() == [False, True]


def table_pair(codes):
    def model(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(torch.zeros(codes.shape[1]), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(x * 0, 1.0).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(codes, 0.5).to_event(1))

    return model, guide


def test_frames_are_summed_and_a_site_that_does_not_factorise_is_one_number():
    sequences, frames, dims = 3, 5, 2
    covariance = torch.tensor([[0.5, 0.2], [0.2, 0.4]])

    def model(x):
        with pyro.plate("data", sequences, dim=-2):
            prior = dist.MultivariateNormal(torch.zeros(dims), torch.eye(dims))
            pyro.sample("static", prior)
            with pyro.plate("frames", frames, dim=-1):
                pyro.sample("dynamic", dist.Normal(torch.zeros(dims), 1.0).to_event(1))
                pyro.sample("x", dist.Normal(x * 0, 1.0).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", sequences, dim=-2):
            pyro.sample("static", dist.MultivariateNormal(torch.zeros(dims), covariance))
            with pyro.plate("frames", frames, dim=-1):
                loc = x.mean((-3, -2, -1)).unsqueeze(-1).expand(-1, -1, dims)
                pyro.sample("dynamic", dist.Normal(loc, 0.5).to_event(1))

    x = torch.rand(sequences, frames, 1, 4, 6)
    kl = kl_per_dimension(model, guide, [x])
    loc = x.mean((-3, -2, -1)).double()
    expected = normal_kl(loc, torch.tensor(0.5).double()).sum(1).mean()
    torch.testing.assert_close(kl["dynamic"], expected.repeat(dims), rtol=1e-5, atol=1e-6)
    whole = 0.5 * (covariance.trace() - dims - covariance.logdet())
    torch.testing.assert_close(kl["static"], whole.double().reshape(1), rtol=1e-5, atol=1e-6)
    assert posterior_means(model, guide, [x])["dynamic"].shape == (sequences, frames, dims)
    assert active_units(model, guide, [x])["dynamic"].shape == (dims,)


def test_discrete_sites_have_a_divergence_and_a_mode_but_no_activity():
    probabilities = torch.tensor([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]])

    def model(x):
        with pyro.plate("data", len(x)):
            label = pyro.sample("label", dist.Categorical(torch.ones(3) / 3))
            mean = label.float().reshape(-1, 1, 1, 1).expand_as(x)
            pyro.sample("x", dist.Normal(mean, 1.0).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            q = dist.Categorical(probabilities)
            pyro.sample("label", q, infer={"enumerate": "parallel"})

    x = torch.rand(2, 1, 4, 5)
    expected = (probabilities * (3 * probabilities).log()).sum(1).mean().double()
    kl = kl_per_dimension(model, guide, [x])["label"]
    torch.testing.assert_close(kl, expected.reshape(1), rtol=1e-5, atol=1e-6)
    assert posterior_means(model, guide, [x])["label"].tolist() == [1, 0]
    assert active_units(model, guide, [x]) == {}


def test_modes_and_random_state_are_left_alone(pair):
    pair.model.train()
    pair.guide.train()
    pair.guide.dropout.eval()
    state = torch.get_rng_state()
    posterior_means(pair.model, pair.guide, [pair.x])
    assert torch.equal(torch.get_rng_state(), state)
    assert pair.model.training
    assert pair.guide.training
    assert not pair.guide.dropout.training


def test_modes_are_put_back_after_an_error(pair):
    with pytest.raises(RuntimeError):
        posterior_means(pair.model, pair.guide, [torch.rand(3, 1, 2, 2)])
    assert pair.guide.dropout.training


def test_frozen_pairs_are_welcome(plain_pair):
    for module in (plain_pair.model, plain_pair.guide):
        assert isinstance(module, nn.Module)
        module.requires_grad_(False)
    assert len(kl_per_dimension(plain_pair.model, plain_pair.guide, [plain_pair.x])) == 1


def test_nothing_to_measure_is_refused(plain_pair):
    model, guide, x = plain_pair
    with pytest.raises(ValueError, match="batches is empty; expected at least one batch"):
        kl_per_dimension(model, guide, [])
    with pytest.raises(ValueError, match="batches is empty"):
        posterior_means(model, guide, [])
    with pytest.raises(ValueError, match="batches hold 1 datum; expected at least 2"):
        active_units(model, guide, [x[:1]])
