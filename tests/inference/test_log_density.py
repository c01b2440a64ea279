"""The fast log densities against those of torch's distributions in float64."""

from importlib import import_module
from typing import Any

import pyro.distributions as dist
import pytest
import torch

from unbraid.nets import make_likelihood

log_density = import_module("unbraid.inference.log_density").log_density
Site = import_module("unbraid.inference.sites").Site

SHAPES = [(1, 7, 8), (1, 9, 5), (3, 4, 5)]


def normal(loc, scale, *shape) -> Any:
    return dist.Normal(loc, scale).expand(shape)


def site(fn, value, mask=None):
    return Site("x", fn, value, True, 1.0, mask, ())


def check(fn, value, fused, mask=None):
    expected = fn.log_prob(value).double()
    if mask is not None:
        expected = torch.where(mask, expected, 0.0)
    found = log_density(site(fn, value, mask), fused)
    torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["bernoulli", "bernoulli-grey"])
def test_pixels(name, shape, fused):
    x = torch.rand(6, *shape)
    logits = 5 * torch.randn(4, 6, *shape)
    logits[0, 0] = torch.linspace(-90, 90, logits[0, 0].numel()).view(shape)
    x = x if name == "bernoulli-grey" else x.round()
    fn = make_likelihood(name, shape[0])(logits)
    check(fn, x, fused)
    check(fn, x, fused, mask=torch.arange(6) % 2 == 0)


def test_logits_far_out_stay_finite_and_exact():
    logits = torch.tensor([-300.0, -40.0, 0.0, 40.0, 300.0, 1e4, -1e4, 0.0]).view(1, 1, 2, 4)
    for x in (torch.zeros(1, 1, 2, 4), torch.ones(1, 1, 2, 4)):
        fn = dist.Bernoulli(logits=logits).to_event(3)
        exact = dist.Bernoulli(logits=logits.double()).to_event(3).log_prob(x.double())
        for fused in (False, True):
            found = log_density(site(fn, x), fused)
            torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("fused", [False, True])
def test_normal_codes(fused):
    value = torch.randn(5, 3, 7)
    for fn in (
        dist.Normal(torch.randn(3, 7), torch.rand(3, 7) + 0.1).to_event(1),
        normal(torch.randn(3, 7), torch.rand(3, 7) + 0.1, 5, 3, 7).to_event(1),
        normal(0.3, 1.7, 7).to_event(1),
        normal(0.3, 1.7, 3, 7).to_event(1),
    ):
        check(fn, value, fused)
    image = dist.Normal(torch.randn(2, 1, 4, 5), 0.1).to_event(3)
    check(image, torch.randn(6, 2, 1, 4, 5), fused)


@pytest.mark.parametrize(
    "fn, value",
    [
        (dist.Bernoulli(probs=torch.rand(4, 6)).to_event(1), torch.ones(4, 6)),
        (dist.Bernoulli(logits=torch.randn(6)).to_event(1), torch.ones(4, 6)),
        (dist.Bernoulli(logits=torch.randn(4)), torch.ones(4)),
        (dist.Normal(torch.randn(4), 2.0), torch.randn(4)),
        (normal(0.4, 2.0, 1).to_event(1), torch.randn(4, 6)),
        (dist.LogNormal(torch.randn(4, 6), 1.3).to_event(1), torch.rand(4, 6) + 0.1),
        (dist.Laplace(torch.randn(4, 6), 1.3).to_event(1), torch.randn(4, 6)),
    ],
)
def test_all_else_is_left_to_the_distribution(fn, value):
    assert log_density(site(fn, value), fused=True).equal(fn.log_prob(value))
