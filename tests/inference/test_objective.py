"""The objective against Pyro's estimators, on the same noise, in float64."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO

from unbraid.inference import Hook, LinearWarmup, Objective

from .pairs import B, D, Guide, K, Model, Pair, Scaled, make_pair, standard

SAMPLED = [
    "plain",
    "no-closed-form",
    "joint",
    "structured",
    "frames",
    "scaled",
    "subsampled",
    "global",
]
ENUMERATED = ["guide-label", "model-label", "mixture", "frames-label", "scaled-label"]


def value_and_gradients(elbo, pair):
    torch.manual_seed(11)
    loss = elbo.differentiable_loss(pair.model, pair.guide, *pair.args)
    return loss, torch.autograd.grad(loss, pair.parameters, allow_unused=True)


def assert_same(ours, theirs):
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-10, atol=1e-10)
    for mine, reference in zip(ours[1], theirs[1], strict=True):
        # The two may leave out a parameter of gradient zero.
        zero = torch.zeros(())
        mine = zero.expand_as(reference) if mine is None and reference is not None else mine
        if mine is not None:
            other = torch.zeros_like(mine) if reference is None else reference
            torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-10, check_dtype=False)


def reference(kind, pair, particles):
    options = {
        "num_particles": particles,
        "vectorize_particles": True,
        "max_plate_nesting": pair.nesting,
    }
    return kind(**options)


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize("kind", [TraceMeanField_ELBO, Trace_ELBO])
def test_it_equals_pyros_estimators(name, kind, particles):
    pair = make_pair(name)
    ours = Objective(particles=particles, analytic_kl=kind is TraceMeanField_ELBO)
    ours.facts(pair.model, pair.guide, pair.args)
    theirs = reference(kind, pair, particles)
    assert_same(value_and_gradients(ours, pair), value_and_gradients(theirs, pair))


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("name", ENUMERATED)
def test_it_sums_discrete_sites_out_as_pyro_does(name, particles):
    pair = make_pair(name)
    ours = Objective(particles=particles, analytic_kl=False)
    theirs = reference(TraceEnum_ELBO, pair, particles)
    assert_same(value_and_gradients(ours, pair), value_and_gradients(theirs, pair))


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("name", [*SAMPLED, *ENUMERATED])
def test_the_bounds_of_the_data_sum_to_the_bound(name, particles):
    pair = make_pair(name)
    objective = Objective(particles=particles)
    torch.manual_seed(3)
    loss = objective.mean_loss(pair.model, pair.guide, pair.args)
    assert loss.terms.elbo.shape == (loss.terms.size,)
    torch.testing.assert_close(loss.terms.elbo.mean(), loss.parts["elbo"], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss.parts["elbo"], -loss.parts["loss"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["plain", "structured", "frames"])
def test_the_bound_of_a_datum_is_made_of_its_own_terms(name):
    pair = make_pair(name)
    terms = Objective().terms(pair.model, pair.guide, pair.args)
    for term in terms.values():
        assert term.log_p.shape == term.model_site.fn.batch_shape
    total = torch.zeros(len(pair.args[0]), dtype=torch.float64)
    for term in terms.values():
        total += (term.log_p if term.observed else -term.kl).reshape(len(total), -1).sum(-1)
    torch.testing.assert_close(terms.elbo, total, rtol=1e-12, atol=1e-12)


def masked_pixels(logits):
    return dist.Bernoulli(logits=logits).mask(torch.tensor([True, False, True, True])).to_event(1)


def masked_images(logits):
    return dist.Bernoulli(logits=logits).to_event(1).mask(torch.arange(len(logits)) < 2)


def masked_numbers(logits):
    """One binary number per datum, without event dims."""
    return dist.Bernoulli(logits=logits[:, 0]).mask(torch.arange(len(logits)) < 2)


@pytest.mark.parametrize("likelihood", [masked_pixels, masked_images, masked_numbers])
def test_a_masked_bernoulli_keeps_its_mask(likelihood):
    """The kernel that sums Bernoulli pixels at once must see masks of every kind."""

    class Masked(Model):
        def forward(self, x: Any = None):
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", standard(K))
                pyro.sample("x", likelihood(self.decoder.loc(z)), obs=x)

    torch.manual_seed(7)
    images = (torch.randn(B, D, dtype=torch.float64) > 0).double()
    seen = images[:, 0] if likelihood is masked_numbers else images

    class Clear(Guide):
        def forward(self, x):
            return super().forward(images)

    pair = Pair(Masked().double(), Clear().double(), (seen,))
    theirs = reference(TraceMeanField_ELBO, pair, 1)
    assert_same(value_and_gradients(Objective(), pair), value_and_gradients(theirs, pair))


def test_scaled_bernoulli_pixels_are_scaled_once():
    class Binary(Model):
        def forward(self, x: Any = None):
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", standard(K))
                pyro.sample("x", dist.Bernoulli(logits=self.decoder.loc(z)).to_event(1), obs=x)

    torch.manual_seed(7)
    images = (torch.randn(B, D, dtype=torch.float64) > 0).double()
    pair = Pair(Scaled(Binary().double()), Scaled(Guide().double()), (images,))
    theirs = reference(TraceMeanField_ELBO, pair, 1)
    assert_same(value_and_gradients(Objective(), pair), value_and_gradients(theirs, pair))


def test_pyros_conventions():
    pair = make_pair("plain")
    objective = Objective()
    objective.facts(pair.model, pair.guide, pair.args)

    def seeded(function):
        torch.manual_seed(5)
        return function()

    loss = seeded(lambda: objective.differentiable_loss(pair.model, pair.guide, *pair.args))
    module = objective(pair.model, pair.guide)
    assert {id(p) for p in module.parameters()} == {id(p) for p in pair.parameters}
    assert torch.equal(seeded(lambda: module(*pair.args)), loss)
    assert seeded(lambda: objective.loss(pair.model, pair.guide, *pair.args)) == loss.item()
    gradients = torch.autograd.grad(loss, pair.parameters)
    for times in (1, 2):
        again = seeded(lambda: objective.loss_and_grads(pair.model, pair.guide, *pair.args))
        assert again == pytest.approx(loss.item(), rel=1e-12)
        for parameter, gradient in zip(pair.parameters, gradients, strict=True):
            torch.testing.assert_close(parameter.grad, times * gradient, rtol=1e-10, atol=1e-10)


def test_a_pair_is_checked_once_and_without_noise():
    pair = make_pair("plain")
    runs = []
    pair.guide.register_forward_hook(lambda *_: runs.append(1))
    objective = Objective()
    state = torch.get_rng_state()
    objective.facts(pair.model, pair.guide, pair.args)
    assert torch.equal(torch.get_rng_state(), state)
    objective.facts(pair.model, pair.guide, pair.args)
    assert len(runs) == 1


@pytest.mark.parametrize("particles", [0, -1, 2.5])
def test_wrong_particles_are_refused(particles):
    with pytest.raises(ValueError, match=f"particles is {particles}; expected an integer"):
        Objective(particles=particles)


def test_names_are_checked_before_the_first_step():
    pair = make_pair("plain")

    class Reader(Hook):
        sites = ("z", "label")

    with pytest.raises(ValueError, match="hook 'Reader' reads site 'label'; the pair has z, x"):
        Objective(hooks=[Reader()]).facts(pair.model, pair.guide, pair.args)
    with pytest.raises(ValueError, match=r"a weight is given for 'y'; .*\(z, x\) or 'kl'"):
        Objective({"y": 2.0}).facts(pair.model, pair.guide, pair.args)
    with pytest.raises(ValueError, match="two hooks are named 'Reader'"):
        Objective(hooks=[Reader(), Reader()])


def test_weights_on_sites_summed_out_together_are_refused():
    pair = make_pair("model-label")
    for weights in ({"kl": 2.0}, {"x": 2.0}, {"label": LinearWarmup(3)}):
        with pytest.raises(ValueError, match=r"label, x are summed out together"):
            Objective(weights).mean_loss(pair.model, pair.guide, pair.args)


def test_the_divergence_from_a_mixture_can_be_weighted():
    pair = make_pair("mixture")
    parts = []
    for weights in ({}, {"kl": 3.0}):
        torch.manual_seed(2)
        parts.append(Objective(weights).mean_loss(pair.model, pair.guide, pair.args).parts)
    divergence = parts[0]["label"] + parts[0]["z"]
    assert parts[0]["loss"] == pytest.approx(float(parts[0]["x"] + divergence), rel=1e-12)
    assert parts[1]["loss"] == pytest.approx(float(parts[0]["x"] + 3 * divergence), rel=1e-12)
    assert parts[1]["elbo"] == parts[0]["elbo"]


def test_one_schedule_is_given_once():
    """Two owners would advance it twice a step."""
    warmup = LinearWarmup(100)
    with pytest.raises(ValueError, match="weight 'z' and weight 'x' are one schedule"):
        Objective({"z": warmup, "x": warmup})
    hooks = [Hook(), Hook()]
    for name, hook in zip("ab", hooks, strict=True):
        hook.name, hook.weight = name, warmup
    with pytest.raises(ValueError, match="hook 'a' and hook 'b' are one schedule"):
        Objective(hooks=hooks)
    Objective({"z": warmup, "x": LinearWarmup(100)})
