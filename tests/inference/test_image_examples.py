"""Images that a critic is shown: which are the pair's, from which draws, and whom they move."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import nn

from unbraid.inference import AgainstData, Objective, from_prior

from .image_pair import CHILD, ROOT, SHAPE, chain

FALSE_ALARM = 1e-6


def terms_of(count=7, particles=1):
    model, guide, x = chain(count)
    return model, guide, Objective(particles=particles).terms(model, guide, (x,)), x


@pytest.mark.parametrize("particles", [1, 3])
def test_reconstructions_are_means_of_the_guides_codes_and_references_are_the_data(particles):
    model, _, terms, x = terms_of(particles=particles)
    own, reference = AgainstData(samples=False)(terms, {}, True)
    assert reference is not None
    codes = torch.cat([terms["a"].value, terms["b"].value], -1)
    expected = model.net(codes).reshape(-1, *SHAPE)
    torch.testing.assert_close(own[0], expected)
    assert own[0].shape == (7 * particles, *SHAPE)
    assert torch.equal(reference[0], x)


def test_with_both_kinds_they_alternate():
    """Every second one is a reconstruction, so that half of them are in any first part."""
    _, _, terms, _ = terms_of()
    recon = AgainstData(samples=False)(terms, {}, False).own[0]
    torch.manual_seed(11)
    alone = AgainstData(reconstructions=False)(terms, {}, False).own[0]
    torch.manual_seed(11)
    own = AgainstData()(terms, {}, False).own[0]
    assert own.shape == (14, *SHAPE)
    assert torch.equal(own[0::2], recon)
    assert torch.equal(own[1::2], alone)


@pytest.mark.parametrize("particles", [1, 2])
def test_samples_are_drawn_from_the_prior_one_site_given_the_other(particles):
    """Kolmogorov-Smirnov at 1e-6, of the first code and of the second's distance from it."""
    _, _, terms, _ = terms_of(4000, particles)
    drawn = from_prior(terms)
    a, b = (drawn[name].value.flatten().numpy() for name in "ab")
    assert a.shape == (4000 * particles,)
    assert stats.kstest((a - ROOT[0]) / ROOT[1], "norm").pvalue > FALSE_ALARM
    assert stats.kstest((b - 2 * a) / CHILD, "norm").pvalue > FALSE_ALARM
    own = terms["a"].value.detach().flatten().numpy()
    assert stats.kstest((own - ROOT[0]) / ROOT[1], "norm").pvalue < FALSE_ALARM
    assert len(set(a)) == len(a)


def test_images_of_the_prior_are_decoded_from_its_draws():
    model, _, terms, _ = terms_of()
    torch.manual_seed(3)
    own = AgainstData(reconstructions=False)(terms, {}, False).own[0]
    torch.manual_seed(3)
    drawn = from_prior(terms)
    codes = torch.cat([drawn["a"].value, drawn["b"].value], -1)
    torch.testing.assert_close(own, model.net(codes).reshape(-1, *SHAPE))


def gradients_of(view):
    model, guide, terms, _ = terms_of()
    loss = view(terms, {}, False).own[0].square().sum()
    sides = [*model.parameters()], [*guide.parameters()]
    found = [torch.autograd.grad(loss, side, None, True, allow_unused=True) for side in sides]
    return [[g is not None and bool((g != 0).any()) for g in side] for side in found]


def test_reconstructions_move_both_sides_and_samples_the_model_alone():
    assert gradients_of(AgainstData(samples=False)) == [[True, True], [True, True]]
    assert gradients_of(AgainstData(reconstructions=False)) == [[True, True], [False, False]]


def test_detached_terms_give_the_same_reconstructions_without_a_graph():
    _, _, terms, _ = terms_of()
    view = AgainstData(samples=False)
    with torch.no_grad():
        own = view(terms.detach(), {}, False).own[0]
    assert torch.equal(own, view(terms, {}, False).own[0])
    assert not own.requires_grad


def test_a_view_of_nothing_is_refused():
    with pytest.raises(ValueError, match="reconstructions and samples are both False; expected"):
        AgainstData(reconstructions=False, samples=False)


class Known(nn.Module):
    """Images with a distribution that a test chooses."""

    def __init__(self, fn, guide=False) -> None:
        super().__init__()
        self.fn, self.guide = fn, guide
        self.loc = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(self.loc.expand(1), 1.0).to_event(1))
            if not self.guide:
                pyro.sample("x", self.fn(z), obs=x)


@pytest.mark.parametrize(
    ("fn", "view", "message"),
    [
        (
            lambda z: dist.Normal(z, 1.0).to_event(1).mask(torch.tensor([True, False])),
            AgainstData(),
            "site 'x' is masked; expected data that are all there",
        ),
        (
            lambda z: dist.Normal(z, 1.0).to_event(1),
            AgainstData("z"),
            "site 'z' is latent; expected the site of the data",
        ),
    ],
)
def test_sites_without_images_of_every_datum_are_refused(fn, view, message):
    x = torch.zeros(2, 1)
    terms = Objective().terms(Known(fn), Known(fn, guide=True), (x,))
    with pytest.raises(ValueError, match=message):
        view(terms, {}, True)
