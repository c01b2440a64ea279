"""What log_likelihood refuses, and how it says so."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from unbraid import guides, models
from unbraid.inference import NoLikelihoodError, PairError, log_likelihood
from unbraid.nets import MLPDecoder, MLPEncoder, make_likelihood

from . import oracles


def normal(size: int = 2) -> Any:
    return dist.Normal(torch.zeros(size), 1.0).to_event(1)


def observe(z: torch.Tensor, x: torch.Tensor) -> None:
    pyro.sample("x", dist.Normal(z.sum(-1, keepdim=True), 1.0).to_event(1), obs=x)


def model(x):
    with pyro.plate("data", len(x)):
        observe(pyro.sample("z", normal()), x)


def guide(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", normal())


X = torch.randn(5, 1, generator=oracles.generator(0))


def refuse(model, guide, match, error: type[ValueError] = NoLikelihoodError):
    with pytest.raises(error, match=match):
        log_likelihood(model, guide, X, samples=3)


def test_point_latents():
    def points(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Delta(x.expand(-1, 2)).to_event(1))

    refuse(model, points, "'z' is a point .* report reconstructions")


@pytest.mark.parametrize("where", ["model", "both", "handler"])
def test_masked_priors(where):
    def unmasked(x):
        with pyro.plate("data", len(x)):
            observe(pyro.sample("z", normal().mask(False)), x)

    def mask_in_guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", normal().mask(False))

    def by_handler(x):
        with pyro.plate("data", len(x)):
            with poutine.mask(mask=False):
                z = pyro.sample("z", normal())
            observe(z, x)

    pairs = {
        "model": (unmasked, guide),
        "both": (unmasked, mask_in_guide),
        "handler": (by_handler, guide),
    }
    refuse(*pairs[where], "'z' is masked out")


def test_masks_that_differ():
    def half(x):
        with pyro.plate("data", len(x)):
            first: Any = torch.arange(len(x)) < 3
            with poutine.mask(mask=first):
                z = pyro.sample("z", normal())
            observe(z, x)

    refuse(half, guide, "masked differently in model and guide")


def test_scaled_sites():
    refuse(poutine.scale(model, 4.0), poutine.scale(guide, 4.0), "'z' is scaled by 4.0")


def test_a_scale_on_the_observation_alone():
    def scaled(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal())
            with poutine.scale(scale=0.5):
                observe(z, x)

    refuse(scaled, guide, "'x' is scaled by 0.5")


def test_subsampling():
    def subsampled_model(x):
        with pyro.plate("data", 1000, subsample=torch.arange(len(x))):
            observe(pyro.sample("z", normal()), x)

    def subsampled_guide(x):
        with pyro.plate("data", 1000, subsample=torch.arange(len(x))):
            pyro.sample("z", normal())

    refuse(subsampled_model, subsampled_guide, "is scaled by .* subsampling")


def test_nothing_observed():
    def unobserved(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal())
            pyro.deterministic("image", z.sum(-1))

    refuse(unobserved, guide, "observes nothing")


def test_a_latent_that_the_data_share():
    def shared(x):
        w = pyro.sample("w", dist.Normal(torch.zeros(()), 1.0))
        with pyro.plate("data", len(x)):
            observe(pyro.sample("z", normal()) + w, x)

    def shared_guide(x):
        pyro.sample("w", dist.Normal(torch.zeros(()), 1.0))
        guide(x)

    refuse(shared, shared_guide, "'w' lies outside the plate of the 32 data")


def test_a_malformed_pair():
    def misnamed(x):
        with pyro.plate("data", len(x)):
            pyro.sample("code", normal())

    refuse(model, misnamed, "latent site 'z' is in the model but not in the guide", PairError)

    def misshaped(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", normal(3))

    refuse(model, misshaped, "'z'", PairError)


@pytest.mark.parametrize("name", ["samples", "inner_samples", "rows"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True])
def test_numbers_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"{name} is {value}; expected an integer of at least 1"):
        log_likelihood(model, guide, X, **{name: value})


def test_a_negative_seed():
    with pytest.raises(ValueError, match="seed is -1; expected an integer of at least 0"):
        log_likelihood(model, guide, X, seed=-1)


def test_nested_samples_without_nested_sites():
    with pytest.raises(ValueError, match="inner_samples is 4, but no latent site lies in a plate"):
        log_likelihood(model, guide, X, inner_samples=4)


def test_nested_samples_where_the_static_code_depends_on_the_frames():
    oracle = oracles.sequences()

    def reversed_guide(x, length):
        with pyro.plate("data", len(x), dim=-2):
            with pyro.plate("frames", oracles.FRAMES, dim=-1):
                pyro.sample("dynamic", dist.Normal(x.new_zeros(3), 1.0).to_event(1))
            pyro.sample("static", dist.Normal(x.new_zeros(2), 1.0).to_event(1))

    def unmasked(x, length):
        with pyro.plate("data", len(x), dim=-2):
            f = pyro.sample("static", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            with pyro.plate("frames", oracles.FRAMES, dim=-1):
                z = pyro.sample("dynamic", dist.Normal(x.new_zeros(3), 1.0).to_event(1))
                loc = z @ oracles.FROM_DYNAMIC.T + f @ oracles.FROM_STATIC.T
                pyro.sample("x", dist.Normal(loc, 1.0).to_event(1), obs=x)

    with pytest.raises(ValueError, match="'static' comes after 'dynamic' in the guide"):
        log_likelihood(
            unmasked, reversed_guide, oracle.data, keys=oracle.keys, samples=2, inner_samples=2
        )


def test_no_data():
    with pytest.raises(ValueError, match="data has no entries"):
        log_likelihood(model, guide, [])
    with pytest.raises(ValueError, match="data has no entries"):
        log_likelihood(model, guide, X[:0])


def test_missing_and_unfit_entries():
    with pytest.raises(ValueError, match="data have no 'x'; they have 'image'"):
        log_likelihood(model, guide, {"image": X})
    with pytest.raises(ValueError, match="expected a mapping with 'x', 'length'"):
        log_likelihood(model, guide, X, keys=("x", "length"))
    with pytest.raises(ValueError, match=r"have sizes \{'x': 5, 'length': 4\}"):
        log_likelihood(model, guide, {"x": X, "length": X[:4]}, keys=("x", "length"))
    with pytest.raises(TypeError, match="is a list; expected a tensor"):
        log_likelihood(model, guide, [{"x": [1.0]}])
    wrong: Any = X.numpy()
    with pytest.raises(TypeError, match=r"data are a NumPy array; .*torch\.as_tensor"):
        log_likelihood(model, guide, wrong)
    wrong = [(X,)]
    with pytest.raises(TypeError, match="a batch of the data is a tuple; expected a mapping with"):
        log_likelihood(model, guide, wrong)
    wrong = 3
    with pytest.raises(TypeError, match=r"data are a int; .*Pass unbraid.data.Batches"):
        log_likelihood(model, guide, wrong)


def test_data_that_the_likelihood_is_not_of():
    shape = (1, 5, 6)
    decoder = MLPDecoder(3, shape, make_likelihood("bernoulli", 1), hidden=(8,))
    pair = models.VAE(decoder, 3), guides.VAE(MLPEncoder(shape, 3, hidden=(7,)))
    with pytest.raises(ValueError, match=r"grey values .* bernoulli expects 0 or 1"):
        log_likelihood(*pair, torch.full((2, 1, 5, 6), 0.5), samples=2)
