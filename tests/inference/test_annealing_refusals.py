"""What annealing refuses, and how it says so."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor

from unbraid import models
from unbraid.inference import (
    NoLikelihoodError,
    PairError,
    annealed_log_likelihood,
    bidirectional_bounds,
)
from unbraid.nets import MLPDecoder, make_likelihood

from . import oracles

X = torch.randn(5, 1, generator=oracles.generator(0))


def normal(size: int = 2) -> Any:
    return dist.Normal(torch.zeros(size), 1.0).to_event(1)


def observe(z: Tensor, x: Tensor) -> None:
    pyro.sample("x", dist.Normal(z.sum(-1, keepdim=True), 1.0).to_event(1), obs=x)


def with_prior(prior: Any) -> Any:
    """A model with a prior of event shape (2,)."""

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            observe(pyro.sample("z", prior), x)

    return model


def refuse(model, match, error: type[Exception] = NoLikelihoodError, guide=None, **options):
    with pytest.raises(error, match=match):
        annealed_log_likelihood(
            model, guide, X, chains=3, temperatures=4, leapfrog_steps=2, **options
        )


def test_what_is_right_is_not_refused():
    options: Any = {"chains": 3, "temperatures": 4, "leapfrog_steps": 2}
    annealed_log_likelihood(with_prior(normal()), None, X, **options)
    uniform = dist.Uniform(torch.zeros(2), 1.0).to_event(1)
    annealed_log_likelihood(with_prior(uniform), None, X, **options)
    simplex = dist.Dirichlet(torch.ones(2))
    annealed_log_likelihood(with_prior(simplex), None, X, **options)


@pytest.mark.parametrize(
    "prior",
    [
        dist.Bernoulli(torch.full((2,), 0.5)).to_event(1),
        dist.OneHotCategorical(torch.full((2,), 0.5)),
        dist.Poisson(torch.ones(2)).to_event(1),
    ],
)
def test_discrete_latents(prior):
    refuse(with_prior(prior), "'z' is discrete .* estimate it with log_likelihood, which sums out")


def test_categories():
    oracle = oracles.mixture()
    with pytest.raises(NoLikelihoodError, match="'label' is discrete \\(Categorical\\)"):
        annealed_log_likelihood(oracle.model, None, oracle.data)


def test_point_priors():
    refuse(with_prior(dist.Delta(torch.zeros(2), event_dim=1)), "prior .* 'z' is a point")


@pytest.mark.parametrize("some", [False, True])
def test_masked_priors(some):
    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            mask: Any = torch.arange(len(x)) > 3 if some else False
            with poutine.mask(mask=mask):
                z = pyro.sample("z", normal())
            observe(z, x)

    refuse(model, "'z' is masked, so that it has no prior")
    refuse(with_prior(normal().mask(False)), "'z' is masked, so that it has no prior")


def test_nothing_observed():
    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", normal())

    refuse(model, "observes nothing")


def test_nothing_latent():
    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            observe(torch.zeros(len(x), 2), x)

    refuse(model, "no latent site, and nothing to anneal or fit")


def test_scales():
    refuse(poutine.scale(with_prior(normal()), 2.0), "'z' is scaled by 2.0; expected 1")


def test_plates_inside_the_datas():
    oracle = oracles.sequences()
    with pytest.raises(NoLikelihoodError, match=r"plate 'frames' inside .* inner_samples"):
        annealed_log_likelihood(oracle.model, None, oracle.data, keys=oracle.keys)


def test_sites_outside_the_plate():
    def model(x: Tensor) -> None:
        z = pyro.sample("z", normal())
        with pyro.plate("data", len(x)):
            observe(z, x)

    refuse(model, "'z' lies outside the plate of the 32 data")


def test_terms_that_are_no_likelihood():
    decoder = MLPDecoder(2, (1, 3, 2), make_likelihood("bernoulli-grey", 1), hidden=(4,))
    with pytest.raises(NoLikelihoodError, match="'bernoulli-grey' is no likelihood"):
        annealed_log_likelihood(models.VAE(decoder, 2), None, torch.rand(2, 1, 3, 2))
    with pytest.raises(NoLikelihoodError, match="'bernoulli-grey' is no likelihood"):
        bidirectional_bounds(models.VAE(decoder, 2), size=2)


def test_data_that_the_likelihood_is_not_of():
    decoder = MLPDecoder(2, (1, 3, 2), make_likelihood("bernoulli", 1), hidden=(4,))
    with pytest.raises(ValueError, match="bernoulli expects 0 or 1"):
        annealed_log_likelihood(models.VAE(decoder, 2), None, torch.full((2, 1, 3, 2), 0.5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    prior = dist.Normal(torch.zeros(2, dtype=dtype), 1.0).to_event(1)
    refuse(with_prior(prior), "expected float32 or float64", TypeError)


def test_supports_that_differ():
    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            high = pyro.sample("high", dist.LogNormal(torch.zeros(2), 1.0).to_event(1))
            observe(pyro.sample("z", dist.Uniform(torch.zeros(2), high).to_event(1)), x)

    refuse(model, r"support of latent site 'z' \(Uniform\) differs from datum to datum")


def test_nets_that_do_not_broadcast():
    def mixes(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal())
            loc = z.reshape(-1, 2)[:, :1]  # chains become data
            pyro.sample("x", dist.Normal(loc, 1.0).to_event(1), obs=x[:1].expand(len(loc), 1))

    refuse(mixes, "fails on two chains, though not on one: .* must broadcast", PairError)


def test_guides_without_a_latent_site():
    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("w", normal())

    refuse(
        with_prior(normal()), "'z' is in the model but not in the guide", PairError, guide,
        start="guide",
    )  # fmt: skip
    refuse(with_prior(normal()), "guide is None", ValueError, start="guide")


def test_guides_without_noise():
    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Delta(x.expand(-1, 2) / 3, event_dim=1))

    match = "codes do not vary from draw to draw; .* Use start='prior'"
    refuse(with_prior(normal()), match, ValueError, guide, start="guide")
    # From the prior the guide does not matter.
    annealed_log_likelihood(with_prior(normal()), guide, X, chains=3, temperatures=3)


def test_models_that_draw_no_data():
    def model(y: Tensor | None = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(y) if y is not None else int(size or 0)):
            z = pyro.sample("z", normal())
            pyro.sample("y", dist.Normal(z, 1.0).to_event(1), obs=y)

    with pytest.raises(PairError, match="draws no site 'x', only 'z', 'y'"):
        bidirectional_bounds(model)
    bidirectional_bounds(model, keys=("y",), size=2, chains=2, temperatures=3)
    with pytest.raises(ValueError, match="conditions\\['c'\\] has size 3; expected size=2"):
        bidirectional_bounds(model, size=2, conditions={"c": torch.zeros(3)})
