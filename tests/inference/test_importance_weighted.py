"""Importance-weighted training against Pyro's estimator, exact posteriors and its own formula."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import RenyiELBO

from unbraid.inference import (
    SVI,
    Capacity,
    FreeBits,
    Hook,
    ImportanceWeighted,
    LinearWarmup,
    Objective,
    PairError,
    Step,
)

from .oracles import pca
from .pairs import B, Guide, K, Model, make_pair, standard
from .test_objective import assert_same, value_and_gradients

OF_DATA = ["plain", "no-closed-form", "joint", "structured", "frames"]


@pytest.mark.parametrize("particles", [2, 5])
@pytest.mark.parametrize("name", [*OF_DATA, "scaled"])
def test_it_equals_pyros_estimator(name, particles):
    pair = make_pair(name)
    ours = ImportanceWeighted(particles)
    ours.facts(pair.model, pair.guide, pair.args)
    torch.manual_seed(12)  # whose draws have no weights of 1e12 nats, as those of 11 do
    loss = ours.differentiable_loss(pair.model, pair.guide, *pair.args)
    found = torch.autograd.grad(loss, pair.parameters, allow_unused=True)
    theirs = RenyiELBO(
        alpha=0,
        num_particles=particles,
        vectorize_particles=True,
        max_plate_nesting=pair.nesting,
    )

    def named(program: Any) -> Any:
        def run(*args: Any) -> Any:
            pyro.module("pair", torch.nn.ModuleList([pair.model, pair.guide]))
            return program(*args)

        return run

    torch.manual_seed(12)
    expected_loss = theirs.loss_and_grads(named(pair.model), named(pair.guide), *pair.args)
    pyro.clear_param_store()
    assert loss.item() == pytest.approx(expected_loss, rel=1e-10)
    for parameter, gradient in zip(pair.parameters, found, strict=True):
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        ours_here = torch.zeros_like(parameter) if gradient is None else gradient
        torch.testing.assert_close(ours_here, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [*OF_DATA, "scaled", "subsampled"])
def test_a_single_draw_is_the_plain_bound(name):
    pair = make_pair(name)
    pairs = [ImportanceWeighted(1), Objective(analytic_kl=False)]
    for objective in pairs:
        objective.facts(pair.model, pair.guide, pair.args)
    assert_same(*(value_and_gradients(objective, pair) for objective in pairs))


@pytest.mark.parametrize("particles", [1, 2, 7])
def test_with_the_posterior_as_guide_it_is_log_p(particles):
    oracle = pca(size=6)
    loss = ImportanceWeighted(particles).loss(oracle.model, oracle.guide, oracle.data["x"])
    assert -loss == pytest.approx(float(oracle.log_p.sum()), abs=1e-9)


def test_more_draws_raise_the_bound_towards_log_p():
    """Of a guide 1.6 times too wide; means over 4200 data, seed 0.

    Each edge is 8 standard errors or more away, by twelve other seeds.
    """
    oracle = pca(size=7, width=1.6)
    x = oracle.data["x"].repeat(600, 1)
    torch.manual_seed(0)
    bounds = [
        -ImportanceWeighted(count).loss(oracle.model, oracle.guide, x) / len(x)
        for count in (1, 4, 64)
    ]
    truth = float(oracle.log_p.mean())
    assert bounds[0] + 0.1 < bounds[1] < bounds[2] - 0.02
    assert truth - 0.05 < bounds[2] < truth + 0.01


def test_data_that_are_drawn_by_a_plate_are_not_weighed_more():
    """The weight of a draw is that of its datum, however many data that stands for."""
    pair = make_pair("subsampled")
    torch.manual_seed(11)
    loss = ImportanceWeighted(4).mean_loss(pair.model, pair.guide, pair.args)
    terms, scale = loss.terms, loss.terms.population / loss.terms.size
    assert scale == 4
    ratio = sum(
        (t.log_p if t.observed else t.log_p - t.log_q for t in terms.values()), torch.zeros(())
    )
    assert ratio.shape == (4, B)
    expected = -(torch.logsumexp(ratio, 0) - math.log(4)).mean()
    torch.testing.assert_close(loss.total, expected, rtol=1e-12, atol=1e-12)


def test_weights_multiply_each_draws_ratio():
    pair = make_pair("structured")
    warmup = LinearWarmup(10)
    warmup.step.fill_(3.0)
    objective = ImportanceWeighted(4, {"pose": 2.5, "kl": warmup, "x": 0.5})
    torch.manual_seed(11)
    loss = objective.mean_loss(pair.model, pair.guide, pair.args)
    pose, content, x = (loss.terms[name] for name in ("pose", "content", "x"))
    weighed = 0.5 * x.log_p + 2.5 * (pose.log_p - pose.log_q)
    weighed = weighed + 0.3 * (content.log_p - content.log_q)
    expected = -(torch.logsumexp(weighed, 0) - math.log(4)).mean()
    torch.testing.assert_close(loss.total, expected, rtol=1e-6, atol=1e-6)
    bound = (x.log_p + pose.log_p - pose.log_q + content.log_p - content.log_q).mean()
    torch.testing.assert_close(loss.parts["elbo"], bound, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(loss.parts["x"], -x.log_p.mean(), rtol=1e-12, atol=1e-12)


def test_hooks_see_all_draws_and_their_penalty_is_added():
    class Square(Hook):
        name = "square"
        sites = ("z",)

        def penalty(self, terms: Any, batch: Any) -> Any:
            assert terms["z"].value.shape == (3, B, K)
            return terms["z"].value.square().mean()

    pair = make_pair("plain")
    losses = []
    for hooks in ([], [Square()]):
        objective = ImportanceWeighted(3, hooks=hooks)
        objective.facts(pair.model, pair.guide, pair.args)
        torch.manual_seed(11)
        losses.append(objective.mean_loss(pair.model, pair.guide, pair.args))
    penalty = losses[1].terms["z"].value.square().mean()
    torch.testing.assert_close(losses[1].total, losses[0].total + penalty)
    torch.testing.assert_close(losses[1].parts["square"], penalty.detach())


@pytest.mark.parametrize("mode", ["record", "compile"])
@pytest.mark.parametrize("name", ["structured", "frames"])
def test_recorded_steps_are_eager_ones(name, mode):
    found = []
    for chosen in ("eager", mode):
        pair = make_pair(name)
        objective = ImportanceWeighted(3, {"kl": LinearWarmup(4)})
        objective.facts(pair.model, pair.guide, pair.args)
        step = Step(
            pair.model, pair.guide, objective, torch.optim.SGD(pair.parameters, 0.01), mode=chosen
        )
        torch.manual_seed(5)
        losses = []
        for _ in range(3):
            losses.append(step(pair.args)["loss"])
            objective.advance()
        found.append((torch.stack(losses), [p.detach().clone() for p in pair.parameters]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)


def test_training_finds_a_noise_that_the_plain_bound_misses():
    """With the prior as guide and data of variance 1.25, each bound asks for a noise of its own.

    log p(x) asks for 0.5 and the ELBO for 1.5, in closed form; the bound of 32 draws for 0.72, by
    a scan of its formula over 20 000 data. Seed 0.
    """

    class Noisy(Model):
        def __init__(self) -> None:
            super().__init__()
            self.log_noise = torch.nn.Parameter(torch.zeros(()))

        def forward(self, x: Any = None) -> Any:
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", standard(1))
                noise = self.log_noise.exp()
                return pyro.sample("x", dist.Normal(z, noise).to_event(1), obs=x)

    class Prior(Guide):
        def forward(self, x: Any) -> Any:
            with pyro.plate("data", len(x)):
                pyro.sample("z", dist.Normal(torch.zeros_like(x), 1.0).to_event(1))

    torch.manual_seed(0)
    x = math.sqrt(1.25) * torch.randn(4000, 1, dtype=torch.float64)
    found = []
    for particles in (1, 32):
        model = Noisy().double()
        svi = SVI(
            model,
            Prior().double(),
            torch.optim.Adam([model.log_noise], lr=0.02),
            ImportanceWeighted(particles),
            mode="eager",
        )
        for _ in range(200):
            svi.step(x)
        found.append(model.log_noise.exp().item())
    assert found[0] == pytest.approx(1.5, abs=0.1)
    assert found[1] == pytest.approx(0.72, abs=0.06)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("guide-label", "sums out classes"),
        ("global", "outside of the plate of data"),
    ],
)
def test_pairs_without_such_a_bound_are_refused(name, message):
    pair = make_pair(name)
    objective = ImportanceWeighted(2)
    for _ in "12":  # asked again, too
        with pytest.raises(PairError, match=f"{message}.*Train with particles=1"):
            objective.facts(pair.model, pair.guide, pair.args)


def test_points_are_refused_and_nothing_is_drawn_for_the_trial():
    class Point(Guide):
        def forward(self, x: Any) -> Any:
            with pyro.plate("data", len(x)):
                pyro.sample("z", dist.Delta(self.encoder.loc(x)).to_event(1))

    pair = make_pair("plain")
    with pytest.raises(PairError, match="guide site 'z' is a point"):
        ImportanceWeighted(2).facts(pair.model, Point().double(), pair.args)
    state = torch.random.get_rng_state()
    ImportanceWeighted(2).facts(pair.model, pair.guide, pair.args)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("weight", [FreeBits(0.5), Capacity(1.0, 0.0, 5.0, 10)])
def test_weights_that_are_no_factors_are_refused(weight):
    with pytest.raises(ValueError, match=f"weight of 'kl' is a {type(weight).__name__}"):
        ImportanceWeighted(4, {"kl": weight})


@pytest.mark.parametrize("particles", [0, 1.5, True])
def test_numbers_of_draws_that_are_none_are_refused(particles):
    with pytest.raises(ValueError, match="particles is"):
        ImportanceWeighted(particles)
