"""A search finds the codes that a wrong guide missed, and says what they are worth."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from unbraid.analysis import align, search_codes

from . import warp_pair
from .sequence_pair import SHAPE, make_frames


class Astray(warp_pair.BlockGuide):
    """A guide whose perspective is `by` away from the right one, in pixels."""

    def __init__(self, model: warp_pair.BlockModel, by: tuple[float, float]) -> None:
        super().__init__(model)
        self.at_rest = self.at_rest - torch.tensor(by)


def astray(by: tuple[float, float]) -> tuple[warp_pair.BlockModel, Astray]:
    model, _ = warp_pair.make_block()
    return model, Astray(model, by)


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor, Tensor]:
    bright, moves = warp_pair.codes(12)
    return warp_pair.images_of(bright, moves.clamp(-1, 1)), bright, moves.clamp(-1, 1)


def bound_by_hand(model, guide, x: Tensor, perspective: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x | perspective, appearance's mean) + log p(perspective) - KL of the appearance."""
    still = model.transform.inverse(x, model.gamma(perspective))
    mean = (still.sum((-3, -2, -1)) / warp_pair.pattern().sum())[:, None]
    image = model.image(mean, perspective)
    likelihood = dist.Normal(image, 0.1).to_event(3).log_prob(x)
    prior = dist.Normal(torch.zeros(2), torch.tensor([1.0, 0.5])).to_event(1)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, 0.2), torch.distributions.Normal(torch.ones(1), 0.1)
    ).sum(-1)
    return likelihood + prior.log_prob(perspective) - kl, mean


def test_codes_that_the_guide_missed_are_found(images):
    x, bright, moves = images
    model, guide = astray((1.5, -1.0))
    found = search_codes(model, guide, x.split(5), rounds=6, candidates=60)
    assert found.site == "perspective"
    before = found.codes["perspective"] - moves
    assert before.abs().max() < 0.15  # pixels; the guide is 1.8 away
    assert (found.codes["appearance"] - bright).abs().max() < 0.05
    assert (found.gain > 5).all()


def test_the_bound_is_what_it_says(images):
    x, *_ = images
    model, guide = astray((0.7, 0.3))
    found = search_codes(model, guide, [x], rounds=2, candidates=5)
    bound, mean = bound_by_hand(model, guide, x, found.codes["perspective"])
    torch.testing.assert_close(found.bound, bound)
    torch.testing.assert_close(found.codes["appearance"], mean)
    start = warp_pair.centre_of_mass(x) - guide.at_rest
    torch.testing.assert_close(found.before, bound_by_hand(model, guide, x, start)[0])


def test_more_rounds_never_fall_behind_the_guide(images):
    x, *_ = images
    model, guide = warp_pair.make_block()
    few = search_codes(model, guide, [x], rounds=1, candidates=2)
    more = search_codes(model, guide, [x], rounds=4, candidates=2)
    assert (few.gain >= 0).all()
    assert (more.bound >= few.bound).all()
    again = search_codes(model, guide, [x], rounds=4, candidates=2)
    assert torch.equal(again.codes["perspective"], more.codes["perspective"])


def test_a_mode_far_off_is_found():
    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(1), 1.0).to_event(1))
            pyro.sample("x", dist.Normal((z - 1.5).abs() - 0.5 * (z > 0), 0.1).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(torch.full_like(x, -0.4), 0.01).to_event(1))

    # |z - 1.5| = 1.9 at z = -0.4, where the guide is caught; 0 there is reached at z = 2 alone.
    x = torch.full((40, 1), 0.0)
    found = search_codes(model, guide, [x], rounds=5, candidates=40)
    nearest = (found.codes["z"] - 1.5).abs() - 0.5
    assert nearest.abs().max() < 0.05


def test_a_guide_that_is_lost_is_made_good_to_the_mode():
    weight = torch.tensor([[1.0, 0.2, -0.5, 0.3], [0.1, -0.8, 0.4, 0.6]])

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z @ weight, 0.5).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(torch.full((len(x), 2), 30.0), 0.1).to_event(1))

    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(3))
    found = search_codes(model, guide, [x], rounds=9, candidates=60)
    # The mode of a linear-Gaussian posterior is its mean. No step about the guide comes so far,
    # and without steps that grow finer 60 candidates come within 0.1 or so.
    mode = x @ weight.T @ torch.linalg.inv(weight @ weight.T + 0.25 * torch.eye(2))
    assert (found.codes["z"] - mode).abs().max() < 0.02


def test_images_are_aligned_by_codes_that_were_found(images):
    x, bright, _ = images
    model, guide = astray((1.5, -1.0))
    found = search_codes(model, guide, [x], rounds=6, candidates=60)
    plain = align(model, guide, x)
    better = align(model, guide, x, perspective=found.codes["perspective"])
    assert torch.equal(better.perspective, found.codes["perspective"])
    still = bright[..., None, None] * warp_pair.pattern()
    assert (better.aligned - still).abs().max() < 0.1
    assert (plain.aligned - still).abs().max() > 0.3


def test_what_cannot_be_searched_is_refused(images):
    x, *_ = images
    model, guide = warp_pair.make_block()
    with pytest.raises(ValueError, match="site is 'pose', which the guide does not have"):
        search_codes(model, guide, [x], site="pose")
    with pytest.raises(ValueError, match="rounds is 0; expected at least 1"):
        search_codes(model, guide, [x], rounds=0)
    with pytest.raises(ValueError, match="candidates is 1; expected at least 2"):
        search_codes(model, guide, [x], candidates=1)
    with pytest.raises(ValueError, match="there are no batches"):
        search_codes(model, guide, [])
    with pytest.raises(ValueError, match=r"perspective is \(3, 2\); expected \(12, 2\)"):
        align(model, guide, x, perspective=torch.zeros(3, 2))


def test_other_sites_may_be_classes():
    """The class says on which side the code lies; the guide tells it from the code it is given."""

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(1), 1.0).to_event(1))
            side = pyro.sample("side", dist.Categorical(torch.tensor([0.5, 0.5])))
            loc = z.squeeze(-1).abs() * (2.0 * side - 1)
            pyro.sample("x", dist.Normal(loc.unsqueeze(-1), 0.1).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros_like(x), 0.1).to_event(1))
            likely = torch.sigmoid(50 * z.squeeze(-1) * x.squeeze(-1))
            right = (x.squeeze(-1) > 0).float()
            one = likely * right + (1 - likely) * (1 - right)
            pyro.sample("side", dist.Categorical(torch.stack([1 - one, one], -1)))

    x = torch.linspace(-1.5, 1.5, 20).unsqueeze(-1)
    found = search_codes(model, guide, [x], rounds=8, candidates=20)
    assert found.codes["side"].shape == (20,)
    assert torch.equal(found.codes["side"], (x[:, 0] > 0).long())
    assert (found.codes["z"] - x).abs().max() < 0.1


class Stiff(warp_pair.BlockGuide):
    """A guide that does not broadcast: its appearance has the data where its event should be."""

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            perspective = pyro.sample("perspective", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            bright = self.model.transform.inverse(x, self.model.gamma(perspective)).mean((-3, -2))
            pyro.sample("appearance", dist.Normal(bright.mean(-1)[:, None], 0.2).to_event(1))


def test_a_guide_that_does_not_broadcast_is_refused(images):
    x, *_ = images
    model, _ = warp_pair.make_block()
    with pytest.raises(ValueError, match="programs and nets broadcast over one more dim"):
        search_codes(model, Stiff(model), [x])


def test_codes_of_frames_and_classes_are_refused():
    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("label", dist.Categorical(torch.ones(3)))
            pyro.sample("x", dist.Normal(torch.zeros(1), 1.0).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("label", dist.Categorical(torch.ones(3)))

    with pytest.raises(ValueError, match="and discrete; expected a continuous code"):
        search_codes(model, guide, [torch.zeros(4, 1)])
    frames_model, frames_guide = make_frames()
    with pytest.raises(ValueError, match="expected a continuous code"):
        search_codes(frames_model, frames_guide, [torch.rand(2, 3, *SHAPE)], site="dynamic")
