"""Terms: densities by site, divergences, replay, encode, detach."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import nn
from torch.distributions import kl_divergence

from unbraid.inference import Objective

from .pairs import B, C, D, K, Pair, T, make_pair


def terms_of(name, particles=1, **options) -> tuple[Pair, Any]:
    pair = make_pair(name)
    torch.manual_seed(4)
    objective = Objective(particles=particles, **options)
    return pair, objective.terms(pair.model, pair.guide, pair.args)


def densities(program, args) -> dict[str, Any]:
    """The sites of one run of Pyro's, with their log densities."""
    trace = poutine.trace(program).get_trace(*args)
    trace.compute_log_prob()
    return dict(trace.nodes)


def conditioned(pair, values, site):
    """Log density of a site of the model, run by Pyro with its latents given."""
    return densities(poutine.condition(pair.model, values), pair.args)[site]["log_prob"]


def values_of(terms):
    return {name: terms[name].value for name in terms.latents}


@pytest.mark.parametrize("name", ["plain", "structured", "frames", "global"])
def test_densities_are_those_of_the_programs(name):
    pair, terms = terms_of(name)
    for site in terms:
        expected = conditioned(pair, values_of(terms), site)
        torch.testing.assert_close(terms[site].log_p, expected, rtol=1e-12, atol=1e-12)
    sites = densities(poutine.condition(pair.guide, values_of(terms)), pair.args)
    for site in terms.latents:
        expected = sites[site]["log_prob"]
        torch.testing.assert_close(terms[site].log_q, expected, rtol=1e-12, atol=1e-12)


def test_latent_sites_come_first_and_a_wrong_name_is_told():
    _, terms = terms_of("structured")
    assert list(terms) == ["pose", "content", "x"]
    assert (terms.latents, terms.observed) == (("pose", "content"), ("x",))
    assert len(terms) == 3 and terms.size == B
    with pytest.raises(KeyError, match="no site 'label'; the pair has pose, content, x"):
        terms["label"]
    with pytest.raises(ValueError, match="site 'x' has no guide distribution"):
        _ = terms["x"].kl


@pytest.mark.parametrize("particles", [1, 3])
def test_divergences_are_torchs(particles):
    _, terms = terms_of("structured", particles)
    batch = (B,) if particles == 1 else (particles, B)
    for name, size in (("pose", C), ("content", K)):
        term = terms[name]
        expected = kl_divergence(term.q, term.p)
        torch.testing.assert_close(term.kl, expected, rtol=1e-12, atol=1e-12)
        assert term.kl.shape == batch
        assert term.kl_per_dimension.shape == (*batch, size)
        torch.testing.assert_close(term.kl_per_dimension.sum(-1), term.kl, rtol=1e-12, atol=0)


def test_masked_frames_have_no_divergence():
    pair, terms = terms_of("frames")
    _, mask = pair.args
    term = terms["dynamic"]
    for value in (term.kl, term.log_p, term.log_q, term.kl_per_dimension.sum(-1)):
        assert value.shape == (B, T)
        assert ((value != 0) == mask).all()


def test_without_a_closed_form_the_divergence_is_sampled():
    _, terms = terms_of("no-closed-form")
    term = terms["z"]
    assert torch.equal(term.kl, term.log_q - term.log_p)
    assert term.kl_per_dimension is None
    _, terms = terms_of("joint")
    assert torch.equal(terms["z"].kl, terms["z"].log_q - terms["z"].log_p)
    assert terms["z"].kl_per_dimension is None
    _, terms = terms_of("plain", analytic_kl=False)
    assert torch.equal(terms["z"].kl, terms["z"].log_q - terms["z"].log_p)


@pytest.mark.parametrize("name", ["plain", "structured", "frames"])
def test_replay_of_the_same_values_changes_nothing(name):
    _, terms = terms_of(name)
    again = terms.replay(values_of(terms))
    for site in terms:
        assert torch.equal(again[site].log_p, terms[site].log_p)
    assert torch.equal(again.elbo, terms.elbo)


def test_replay_of_swapped_values_is_the_model_given_them():
    pair, terms = terms_of("structured")
    swapped = terms["pose"].value.roll(1, 0)
    again = terms.replay({"pose": swapped})
    assert torch.equal(again["content"].value, terms["content"].value)
    for site in ("pose", "content", "x"):
        given = {"pose": swapped, "content": terms["content"].value}
        expected = conditioned(pair, given, site)
        torch.testing.assert_close(again[site].log_p, expected, rtol=1e-12, atol=1e-12)
        assert not torch.allclose(again["x"].log_p, terms["x"].log_p)
    assert again["pose"].q is terms["pose"].q
    with pytest.raises(KeyError, match="no latent site 'x'; the pair has pose, content"):
        terms.replay({"x": swapped})


def test_replay_takes_leading_dims():
    pair, terms = terms_of("structured")
    many = torch.randn(2, 1, B, C, dtype=torch.float64)
    log_p = terms.replay({"pose": many})["x"].log_p
    assert log_p.shape == (2, 1, B)
    for i in range(2):
        given = {**values_of(terms), "pose": many[i, 0]}
        torch.testing.assert_close(log_p[i, 0], conditioned(pair, given, "x"))


def test_encode_runs_the_guide_on_other_data():
    pair, terms = terms_of("structured")
    other = torch.randn(B + 1, D, dtype=torch.float64)
    sites = terms.encode(other)
    assert list(sites) == ["pose", "content"]
    expected = pair.guide.pose(other)
    torch.testing.assert_close(sites["pose"].fn.base_dist.loc, expected.base_dist.loc)
    assert sites["content"].value.shape == (B + 1, K)


@pytest.mark.parametrize("name", ["plain", "structured", "frames", "joint", "guide-label"])
def test_detached_terms_have_the_same_numbers_and_no_graph(name):
    _, terms = terms_of(name)
    detached = terms.detach()
    assert terms.elbo.requires_grad
    for site, term in detached.items():
        tensors = [term.value, term.log_p]
        if term.q is not None:
            tensors += [term.log_q, term.kl]
        assert not any(tensor.requires_grad for tensor in tensors)
        torch.testing.assert_close(term.log_p, terms[site].log_p, rtol=0, atol=0)
    torch.testing.assert_close(detached.elbo, terms.elbo.detach(), rtol=0, atol=0)


def test_a_global_term_is_shared_out():
    """Its share of each datum's bound is a `B`th, with particles and without."""
    for particles in (1, 3):
        _, terms = terms_of("global", particles)
        divergence = terms["weight"].kl.mean()
        rest = terms.per_datum(terms["x"].log_p - terms["z"].kl)
        expected = rest - divergence / B
        torch.testing.assert_close(terms.elbo, expected, rtol=1e-12, atol=1e-12)


def test_the_plate_of_data_is_the_one_of_that_name():
    """Else the leftmost; what lies outside of any plate is one datum."""
    z = torch.zeros(K, dtype=torch.float64)

    class Both(nn.Module):
        def __init__(self, names, observe):
            super().__init__()
            self.names, self.observe = names, observe
            self.loc = nn.Parameter(z.clone())

        def forward(self, x):
            left = pyro.plate(self.names[0], 4, dim=-2)
            right = pyro.plate(self.names[1], 6, dim=-1)
            with left, right:
                pyro.sample("z", dist.Normal(self.loc, 1.0).to_event(1))
                if self.observe:
                    pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    x = torch.randn(4, 6, K, dtype=torch.float64)
    for names, size in ((("a", "b"), 4), (("rows", "data"), 6), (("data", "b"), 4)):
        terms = Objective().terms(Both(names, True), Both(names, False), (x,))
        assert terms.size == size
        assert terms.elbo.shape == (size,)

    class One(nn.Module):
        def __init__(self, observe):
            super().__init__()
            self.observe = observe
            self.loc = nn.Parameter(z.clone())

        def forward(self, x):
            pyro.sample("z", dist.Normal(self.loc, 1.0).to_event(1))
            if self.observe:
                pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    terms = Objective().terms(One(True), One(False), (x[0, 0],))
    assert terms.size == 1
    assert terms.elbo.shape == (1,)


class _PriorMaskedOut(nn.Module):
    """A program whose latent distribution is masked out, as a term without a prior is written."""

    def __init__(self, program):
        super().__init__()
        self.program = program

    def forward(self, x):
        with _MaskLatents():
            return self.program(x)


class _MaskLatents(poutine.messenger.Messenger):
    def _pyro_sample(self, msg):
        if msg["name"] == "z":
            msg["fn"] = msg["fn"].mask(False)


@pytest.mark.parametrize("particles", [1, 3])
def test_a_latent_whose_distributions_are_masked_out_costs_nothing(particles):
    pair = make_pair("plain")
    model, guide = _PriorMaskedOut(pair.model), _PriorMaskedOut(pair.guide)
    found = Objective(particles=particles).mean_loss(model, guide, pair.args)
    assert float(found.parts["z"]) == 0.0
    assert float(found.parts["elbo"]) == -float(found.parts["x"])
