"""The adversary: whose parameters its losses move, its schedules, and that nothing is lost."""

import math
from importlib import import_module
from typing import Any

import pytest
import torch
from torch.nn.functional import softplus

from unbraid.inference import (
    Adversary,
    AgainstPrior,
    CriticSchedule,
    Objective,
    SigmoidWarmup,
    TwoSamples,
    gradients,
)
from unbraid.nets import MLPCritic

from .adversaries import HOOKS, OWN, REFERENCE, batch_of, copies, critic, run, same, step_of
from .pairs import D, make_pair
from .shown import Scores, Shows, penalty_of


def test_each_side_gets_the_gradient_of_its_own_loss():
    """Written out: the pair's with the critic as it was, the critic's on fixed codes."""
    [hook] = HOOKS["prior"]()
    pair, step = step_of([hook])
    parameters, batch = list(hook.critic.parameters()), batch_of()
    torch.manual_seed(9)
    terms = step.objective.terms(*pair[:2], (batch["x"],))
    z, drawn = terms["z"].value, terms["z"].p.sample()
    plain = (terms["z"].kl - terms["x"].log_p).mean()
    penalty = 0.7 * softplus(-hook.critic(z)).mean()
    cost = softplus(hook.critic(z.detach())).mean() + softplus(-hook.critic(drawn)).mean()
    expected = torch.autograd.grad(plain + penalty, pair.parameters)
    of_critic = torch.autograd.grad(cost, parameters)
    torch.manual_seed(9)
    parts = step((batch["x"],), batch)
    found = [p.grad for p in (*pair.parameters, *parameters)]
    for mine, theirs in zip(found, (*expected, *of_critic), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    assert set(parts) == {"loss", "elbo", "x", "z", "prior", "prior_critic", "prior_accuracy"}
    torch.testing.assert_close(parts["prior"], penalty.detach())
    torch.testing.assert_close(parts["prior_critic"], cost.detach())
    torch.testing.assert_close(parts["loss"], (plain + penalty).detach())


@pytest.mark.parametrize("moves", [None, "guide"])
def test_without_a_critic_step_the_critic_is_left_alone(moves):
    """As when Pyro's own SVI takes the objective: the penalty fills the pair's gradients only."""
    [hook] = HOOKS["prior"]()
    hook.moves = moves
    pair = make_pair("plain")
    before = copies(hook.critic.parameters())
    Objective(hooks=[hook]).loss_and_grads(*pair[:2], *pair.args)
    assert all(p.grad is not None for p in pair.parameters)
    assert all(p.grad is None for p in hook.critic.parameters())
    assert same(hook.critic.parameters(), before)


class Images:
    """The mean image against the data: both sides of the pair have a part in it."""

    sites = ("x",)

    def __call__(self, terms, batch, reference) -> TwoSamples:
        return TwoSamples((terms["x"].p.mean,), (batch["x"],) if reference else None)


@pytest.mark.parametrize("side", ["model", "guide", None])
def test_a_penalty_moves_the_side_that_it_names(side):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        judge: Any = MLPCritic(D, (7,)).double()
    hook = Adversary("images", Images(), judge, "hinge", 5.0, moves=side)
    pair = make_pair("plain")
    found = {}
    for name, hooks in (("plain", []), ("with", [hook])):
        torch.manual_seed(9)
        loss = Objective(hooks=hooks).mean_loss(*pair[:3])
        found[name] = gradients(loss, pair.model, pair.guide, pair.parameters)
    sides = {id(p): "model" for p in pair.model.parameters()}
    seen = set()
    for parameter, plain, extra in zip(pair.parameters, *found.values(), strict=True):
        assert plain is not None and extra is not None
        if not torch.equal(plain, extra):
            seen.add(sides.get(id(parameter), "guide"))
    assert seen == ({"model", "guide"} if side is None else {side})


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("moves", [None, "guide"])
def test_with_weight_0_it_is_the_plain_pair_to_the_bit(name, moves):
    """Whatever the critic draws comes after the pair's own noise."""
    hooks = HOOKS[name]()
    for hook in hooks:
        hook.weight, hook.moves = (
            Adversary("a", AgainstPrior("z"), critic(), weight=0.0).weight,
            moves,
        )
    pair = make_pair("plain")
    batch = batch_of()
    found: Any = []
    for chosen in ([], hooks):
        torch.manual_seed(9)
        loss = Objective(hooks=chosen).mean_loss(*pair[:2], (batch["x"],), batch)
        pulls = gradients(loss, pair.model, pair.guide, pair.parameters)
        found.append([loss.total, loss.parts["loss"], loss.parts["elbo"], *pulls])
    assert all(torch.equal(plain, mine) for plain, mine in zip(*found, strict=True))


@pytest.mark.parametrize("name", HOOKS)
def test_recorded_steps_are_eager_ones_to_the_bit(name):
    (_, parts, eager), (step, recorded_parts, recorded) = run(name, "eager"), run(name, "record")
    assert step.mode == "record"
    assert len(step._compiled) == 2
    assert all(graph is not None for graph, *_ in step._compiled.values())
    assert [list(row) for row in parts] == [list(row) for row in recorded_parts]
    assert len(eager) > 40
    assert same(eager, recorded)
    moving = parts[0].keys() - {"everything"}
    assert all(len({float(row[key]) for row in parts}) > 3 for key in moving if "accu" not in key)


@pytest.mark.slow
def test_compiled_steps_are_close_to_recorded_ones():
    inductor: Any = import_module("torch._inductor.config")
    _, _, recorded = run("permuted", "record")
    with inductor.patch(fallback_random=True):
        step, _, compiled = run("permuted", "compile")
    assert step.mode == "compile"
    for mine, theirs in zip(compiled, recorded, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-8)


def test_no_step_is_fused_with_the_pairs_optimiser(caplog):
    _, step = step_of(HOOKS["prior"](), "fused", lambda p: torch.optim.Adam(p, fused=True))
    assert step.mode == "compile"
    assert "hook that has a critic" in caplog.text


@pytest.mark.parametrize("mode", ["eager", "record"])
def test_in_its_warm_up_the_critic_learns_alone(mode):
    """The pair is the plain one to the bit for two steps, and then no more."""

    def found(hooks, steps):
        make = lambda p: torch.optim.Adam(p, lr=1e-2, fused=True)  # noqa: E731
        pair, step = step_of(hooks, mode, make)
        parts = []
        for i in range(steps):
            batch = batch_of(i)
            torch.manual_seed(100 + i)
            parts.append(step((batch["x"],), batch))
            step.objective.advance()
        return parts, copies(pair.parameters)

    def hook() -> Any:
        schedule = CriticSchedule(warmup=2)
        return Adversary("prior", AgainstPrior("z"), critic(), schedule=schedule)

    for steps in (2, 3):
        learning = hook()
        before = copies(learning.critic.parameters())
        parts, mine = found([learning], steps)
        _, plain = found([], steps)
        assert same(mine, plain) == (steps == 2)
        assert [float(row["prior"]) != 0 for row in parts] == [False, False, True][:steps]
        assert not any(map(torch.equal, learning.critic.parameters(), before))


def test_the_weight_rises_along_a_sigmoid():
    """2 / (1 + exp(-10 p)) - 1 of the end, p the share of the steps (Ganin & Lempitsky 2015)."""
    weight = SigmoidWarmup(8, 3.0)
    hook = Adversary("a", Shows(OWN, REFERENCE), Scores(), "wasserstein", weight)
    for step in range(11):
        share = 3 * (2 / (1 + math.exp(-10 * min(step / 8, 1))) - 1)
        found = float(penalty_of(hook).detach())
        assert found == pytest.approx(-share * float(OWN.mean()), rel=1e-6)
        hook.advance()
