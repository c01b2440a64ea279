"""What masked_posterior refuses before any work, and how it says so."""

import re
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.distributions import transforms

from unbraid import guides, models
from unbraid.inference import NoLikelihoodError, PairError, masked_posterior
from unbraid.nets import (
    CompletingDecoder,
    ConditionalEncoder,
    MLPDecoder,
    MLPEncoder,
    ObservedCondition,
    make_likelihood,
)

SHAPE = (1, 2, 4)
X = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0))
SEEN = torch.zeros(2, 4, dtype=torch.bool)
SEEN[0] = True


def pair(likelihood: str = "normal") -> Any:
    decoder = MLPDecoder(2, SHAPE, make_likelihood(likelihood, 1), (4,))
    return models.VAE(decoder, 2), guides.VAE(MLPEncoder(SHAPE, 2, (4,)))


def fails(_: Any) -> Any:
    raise AssertionError("the pair ran")


@pytest.mark.parametrize(
    ("observed", "error", "message"),
    [
        (SEEN[:, :3], ValueError, r"shape \(2, 3\); expected \(2, 4\), one for all images"),
        (SEEN.expand(2, 2, 4), ValueError, r"shape \(2, 2, 4\); expected .* \(3, 2, 4\) or"),
        (SEEN.expand(3, 2, 2, 4), ValueError, r"shape \(3, 2, 2, 4\); expected"),
        (SEEN.float(), TypeError, r"observed is torch.float32; expected a bool tensor"),
        (SEEN.tolist(), TypeError, "observed is list; expected a bool tensor"),
        (torch.ones(2, 4, dtype=torch.bool), ValueError, "true everywhere for image 0"),
        (
            torch.stack([SEEN, SEEN | True, SEEN]),
            ValueError,
            "true everywhere for image 1; expected at least one hidden pixel",
        ),
    ],
)
def test_masks(observed, error, message):
    with pytest.raises(error, match=message):
        masked_posterior(fails, fails, X, observed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "vi"}, "by is 'vi'; expected one of importance, svi, nuts"),
        ({"draws": 0}, "draws is 0; expected an integer of at least 1"),
        ({"draws": 2.0}, "draws is 2.0; expected an integer of at least 1"),
        ({"samples": 0}, "samples is 0; expected an integer of at least 1"),
        ({"samples": 4}, "draws is 5, but samples is 4; expected at most as many"),
        ({"seed": -1}, "seed is -1; expected an integer of at least 0"),
        ({"fills": 0}, "fills is 0; expected an integer of at least 1"),
        ({"rounds": 0}, "rounds is 0; expected an integer of at least 1"),
        ({"steps": 0}, "steps is 0; expected an integer of at least 1"),
        ({"warmup": 0}, "warmup is 0; expected an integer of at least 1"),
        ({"prior_share": 1.0}, "prior_share is 1.0; expected a number of at least 0 and below 1"),
        ({"prior_share": float("nan")}, "prior_share is nan; expected a number"),
        ({"by": "nuts", "samples": 101}, "samples is 101 and chains is 2; expected a multiple"),
        ({"by": "nuts", "samples": 10}, "with 10 draws in each at least"),
        ({"keys": ("y",)}, "data have no 'y'; they have 'x'"),
        ({"keys": ("x", "observed")}, "keys name 'observed'"),
    ],
)
def test_settings(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        masked_posterior(fails, fails, {"x": X}, SEEN, **options)


def test_sequences():
    clips = X.unsqueeze(1).expand(3, 5, *SHAPE)
    with pytest.raises(ValueError, match=r"expected \(N, C, H, W\), single images. Sequences"):
        masked_posterior(fails, fails, clips, SEEN)


def refused(model: Any, message: str, error: type = NoLikelihoodError, **options: Any) -> None:
    _, guide = pair()
    with pytest.raises(error, match=message):
        masked_posterior(model, guide, X, SEEN, samples=20, **options)


def test_discrete_latents():
    def model(x):
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.Categorical(torch.ones(3)), infer={"enumerate": "parallel"})
            loc = y.float()[..., None, None, None].expand(*y.shape, *SHAPE)
            pyro.sample("x", dist.Normal(loc, 1.0).to_event(3), obs=x)

    refused(model, "latent site 'y' is discrete; .* a cvae")


def test_frames():
    def model(x):
        with pyro.plate("data", len(x), dim=-2):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 1), 1.0))
            with pyro.plate("frames", 1, dim=-1):
                loc = z[..., None, None, None].expand(len(x), 1, *SHAPE)
                pyro.sample("x", dist.Normal(loc, 1.0).to_event(3), obs=x.unsqueeze(1))

    refused(model, "a plate inside the data's, such as frames of a sequence")


def test_pixels_that_depend_on_each_other():
    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(8), 1.0).to_event(1))
            flat = dist.MultivariateNormal(z, torch.eye(8) + 0.5)
            reshape = transforms.ReshapeTransform(torch.Size((8,)), torch.Size(SHAPE))
            pyro.sample("x", dist.TransformedDistribution(flat, [reshape]), obs=x)

    refused(model, "TransformedDistribution, whose log_prob is of whole images")


def test_a_site_that_is_not_there():
    refused(
        pair()[0], "site is 'y', which the model does not observe; .* 'x'", PairError, site="y"
    )


def test_terms_that_are_no_likelihood():
    refused(pair("bernoulli-grey")[0], "'bernoulli-grey' is no likelihood")


def test_a_pair_that_completes_by_itself():
    hidden = ~SEEN
    condition = ObservedCondition(SHAPE, hidden, 3)
    decoder = MLPDecoder(2 + condition.width, SHAPE, make_likelihood("normal", 1), (4,))
    model = models.CVAE(CompletingDecoder(decoder, condition), 2)
    guide = guides.CVAE(ConditionalEncoder(SHAPE, 2, condition, (4,)))
    with pytest.raises(NoLikelihoodError, match="'x' is masked by the model itself"):
        masked_posterior(model, guide, {"x": X, "c": X}, SEEN, keys=("x", "c"))


def test_a_guide_that_lacks_a_site():
    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(torch.zeros(2), 1.0).to_event(1))

    with pytest.raises(PairError, match="'z' is in the model but not in the guide"):
        masked_posterior(pair()[0], guide, X, SEEN)


def test_data_that_the_likelihood_is_not_of():
    model, guide = pair("bernoulli")
    with pytest.raises(ValueError, match="bernoulli"):
        masked_posterior(model, guide, X, SEEN)
