"""Moments of codes are those of the linear pairs, and of conditional priors."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from unbraid.analysis import kl_per_dimension, site_codes

from .conftest import SCALES


def test_moments_are_the_guides_and_the_priors(pair):
    codes = site_codes(pair.model, pair.guide, (pair.x,), "appearance")
    pair.guide.eval()
    torch.testing.assert_close(codes.mean.float(), pair.guide.locs(pair.x)["appearance"].detach())
    assert torch.equal(codes.scale.float(), SCALES["appearance"].expand(11, 4))
    assert torch.equal(codes.prior_mean, torch.zeros(11, 4, dtype=torch.float64))
    assert torch.equal(codes.prior_scale, torch.ones(11, 4, dtype=torch.float64))
    assert codes.has_one_prior
    assert not codes.is_point
    kl = kl_per_dimension(pair.model, pair.guide, [pair.x])["appearance"]
    torch.testing.assert_close(codes.kl, kl)
    assert codes.order == kl.argsort(descending=True).tolist()
    assert codes.name(2) == f"appearance[2] ({kl[2]:.2f} nats)"


def conditional(x, label):
    with pyro.plate("data", len(x)):
        loc = label.float().unsqueeze(-1).expand(-1, 2)
        z = pyro.sample("z", dist.Normal(loc, 1 + loc).to_event(1))
        mean = z[..., :1, None].unsqueeze(-1).expand(-1, 1, 4, 5)
        pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)


def conditional_guide(x, label):
    with pyro.plate("data", len(x)):
        loc = x.mean((1, 2, 3))[:, None] + torch.stack([label, -label], 1)
        pyro.sample("z", dist.Normal(loc, 0.5).to_event(1))


def test_many_data_keep_their_conditions():
    """More than one pass: rows and conditions stay together."""
    x = torch.rand(300, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    label = torch.arange(300) % 3
    codes = site_codes(conditional, conditional_guide, (x, label))
    loc = x.mean((1, 2, 3))[:, None] + torch.stack([label, -label], 1)
    torch.testing.assert_close(codes.mean.float(), loc)
    assert torch.equal(codes.prior_mean[:, 0], label.double())
    assert torch.equal(codes.prior_scale[:, 1], 1 + label.double())
    assert not codes.has_one_prior


def test_images_are_not_decoded_for_their_priors(plain_pair):
    model, guide, x = plain_pair
    decoded = []
    inner = model.mean
    model.mean = lambda codes: decoded.append(len(codes["appearance"])) or inner(codes)
    site_codes(model, guide, (x,), kl=torch.zeros(4))
    assert decoded == [1]  # the one run that finds the sites


def test_priors_that_depend_on_codes_are_at_the_guides():
    def model(x):
        with pyro.plate("data", len(x)):
            first = pyro.sample("first", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            z = pyro.sample("z", dist.Normal(3 * first, 2.0).to_event(1))
            mean = z[..., :1, None].unsqueeze(-1).expand(-1, 1, 4, 5)
            pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            first = pyro.sample("first", dist.Normal(x[:, 0, 0, :2], 0.5).to_event(1))
            pyro.sample("z", dist.Normal(first + 1, 0.1).to_event(1))

    x = torch.rand(5, 1, 4, 5)
    codes = site_codes(model, guide, (x,), "z")
    torch.testing.assert_close(codes.prior_mean.float(), 3 * x[:, 0, 0, :2])
    torch.testing.assert_close(codes.mean.float(), x[:, 0, 0, :2] + 1)
    assert (codes.prior_scale == 2).all()


def test_draws_have_the_moments_of_the_mixture(pair):
    """120 000 draws: 6 standard errors of a mean of unit scale are below 0.02."""
    codes = site_codes(pair.model, pair.guide, (pair.x,), "perspective")
    draws = codes.draw(120_000, 0)
    assert len(draws) == 120_000 + 10 - (120_000 + 10) % 11
    variance = codes.scale.square().mean(0) + codes.mean.var(0, correction=0)
    torch.testing.assert_close(draws.mean(0), codes.mean.mean(0), atol=0.02, rtol=0)
    torch.testing.assert_close(draws.var(0), variance, atol=0.02, rtol=0)
    torch.testing.assert_close(draws[::11].mean(0), codes.mean[0], atol=0.05, rtol=0)


def test_codes_of_frames_are_refused():
    def model(x):
        with pyro.plate("data", len(x), dim=-2), pyro.plate("frames", 3, dim=-1):
            z = pyro.sample("dynamic", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            mean = z[..., :1, None, None].expand(-1, -1, 1, 5, 7)
            pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", len(x), dim=-2), pyro.plate("frames", 3, dim=-1):
            pyro.sample("dynamic", dist.Normal(torch.zeros(len(x), 3, 2), 0.1).to_event(1))

    with pytest.raises(ValueError, match=r"'dynamic' has codes \(2, 3, 2\); expected one per dat"):
        site_codes(model, guide, (torch.rand(2, 3, 1, 5, 7),))
