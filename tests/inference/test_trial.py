"""Hooks on trial: what is wrong with one is said before anything trains, and nothing is moved."""

from importlib import import_module
from typing import Any

import pytest
import torch
from torch import nn

from unbraid.inference import (
    Adversary,
    AgainstPermuted,
    AgainstPrior,
    CriticLoss,
    CriticSchedule,
    Hook,
    HookError,
    Objective,
    WithAttribute,
    fit,
    try_hooks,
)
from unbraid.nets import MLPCritic

from .pairs import B, D, K, make_pair
from .test_adversary import HOOKS, batch_of


def tried(*hooks, batch=None, size=B) -> None:
    pair = make_pair("plain")
    batch = batch_of(size=size) if batch is None else batch
    try_hooks(Objective(hooks=hooks), *pair[:2], (batch["x"],), batch)


def critic(size=K, outputs=1) -> Any:
    return MLPCritic(size, (7,), outputs).double()


class Gives(Hook):
    """A penalty that is given."""

    def __init__(self, penalty, moves=None) -> None:
        super().__init__()
        self.given, self.moves = penalty, moves

    def penalty(self, terms, batch) -> Any:
        return self.given


class Critic(Hook):
    """A critic in one stage whose loss is given."""

    def __init__(self, told) -> None:
        super().__init__()
        self.told = told

    def critic_loss(self, terms, batch) -> Any:
        return self.told


class TwoStages(Hook):
    def critic_inputs(self, terms, batch) -> Any:
        return [(terms["z"].value,)]

    def critic_loss_of(self, inputs) -> Any:
        return inputs[0]


SCALAR = torch.tensor(1.0)
WRONG: dict[str, Any] = {
    "stream": (
        lambda: Adversary("factor", AgainstPermuted("z", "other"), critic()),
        r"^hook 'factor': the batch has no 'other'; it has 'x', 'label', 'second'\. Train with",
    ),
    "key of the stream": (
        lambda: Adversary("factor", AgainstPermuted("z", keys=("x", "length")), critic()),
        r"^hook 'factor': KeyError: 'length'\. Its sites have shapes z \(5, 3\), x \(5, 4\)$",
    ),
    "label": (
        lambda: Adversary("hide", WithAttribute("z", "pose"), critic(), "flip"),
        r"^hook 'hide': the batch has no 'pose'; it has .*\. Use data with pose, or another key$",
    ),
    "size": (
        lambda: Adversary("prior", AgainstPrior("z"), critic(size=K + 1)),
        r"^hook 'prior': the critic of hook 'prior' fails on inputs of shape \(5, 3\), from sites "
        r"z: .*\. Make it for that size$",
    ),
    "outputs": (
        lambda: Adversary("prior", AgainstPrior("z"), critic(outputs=2)),
        r"^hook 'prior': the critic of hook 'prior' gives shape \(5, 2\); expected one score",
    ),
    "classes": (
        lambda: Adversary("hide", WithAttribute("z"), critic(outputs=2), "uniform"),
        r"^hook 'hide': \w+Error: .*index 2 is out of bounds .*\. Its sites have shapes z",
    ),
    "rule": (
        lambda: Adversary("hide", WithAttribute("z"), critic(outputs=3), "hinge"),
        r"^hook 'hide': rule of hook 'hide' is 'hinge', for two samples; .*Expected one of",
    ),
    "observed site": (
        lambda: Adversary("prior", AgainstPrior("x"), critic(size=D)),
        r"^hook 'prior': site 'x' is not sampled in the guide; .* Choose another site$",
    ),
    "penalty of each datum": (
        lambda: Gives(torch.zeros(B)),
        r"^the penalty of hook 'Gives' is \(5,\); expected a tensor without dims, .*\.mean\(\)$",
    ),
    "number": (lambda: Gives(3.0), r"^the penalty of hook 'Gives' is float; expected a tensor"),
    "side": (
        lambda: Gives(SCALAR, "encoder"),
        r"^hook 'Gives' gives a penalty for 'encoder'; expected 'model' or 'guide'\. Set \.moves",
    ),
    "side of a share": (
        lambda: Gives({"guide": SCALAR, "decoder": SCALAR}),
        r"^hook 'Gives' gives a penalty for 'decoder'; expected 'model' or 'guide'",
    ),
    "no share": (lambda: Gives({}), r"^hook 'Gives' gives a penalty for 'nothing'; expected"),
    "share of None": (
        lambda: Gives({"guide": SCALAR, "model": None}),
        r"^the penalty of hook 'Gives' is NoneType; expected a tensor without dims",
    ),
    "share of each datum": (
        lambda: Gives({"guide": torch.zeros(B, 1)}),
        r"^the penalty of hook 'Gives' is \(5, 1\); expected",
    ),
    "critic's loss": (
        lambda: Critic(torch.zeros(2)),
        r"^the critic's loss of hook 'Critic' is \(2,\); expected a tensor without dims",
    ),
    "critic's loss with figures": (
        lambda: Critic(CriticLoss(torch.zeros(2))),
        r"^the critic's loss of hook 'Critic' is \(2,\); expected",
    ),
    "figure": (
        lambda: Critic(CriticLoss(SCALAR, {"accuracy": torch.zeros(3)})),
        r"^the figure 'accuracy' of hook 'Critic' is \(3,\); expected a tensor without dims",
    ),
    "critic in two stages": (
        TwoStages,
        r"^the critic's loss of hook 'TwoStages' is \(5, 3\); expected a tensor without dims",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_the_hooks_name(case):
    make, message = WRONG[case]
    hook = make()
    before = torch.get_rng_state()
    with pytest.raises(HookError, match=message):
        tried(hook)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "view", [AgainstPrior("z"), AgainstPermuted("z"), AgainstPermuted("z", None)]
)
def test_a_batch_of_one_is_refused(view):
    message = r"^hook 'a': the batch has 1 data; expected at least 2, .* Use a larger batch$"
    with pytest.raises(HookError, match=message):
        tried(Adversary("a", view, critic()), size=1)


@pytest.mark.parametrize("name", ["x", "z", "loss", "elbo"])
def test_a_hook_is_not_named_like_another_part_of_the_loss(name):
    """Its penalty would take the other's place in the metrics, or its guard."""
    message = rf"^hook '{name}' has the name of another part .* loss, elbo, z, x\. Set \.name$"
    with pytest.raises(HookError, match=message):
        tried(Adversary(name, AgainstPrior("z"), critic()))


GOOD: dict[str, Any] = {
    "nothing": lambda: Gives(None),
    "scalar": lambda: Gives(SCALAR),
    "guide": lambda: Gives(SCALAR, "guide"),
    "shares": lambda: Gives({"guide": SCALAR, "model": 2 * SCALAR}),
    "critic": lambda: Critic(SCALAR),
    "critic that has nothing to learn": lambda: Critic(None),
    "figures": lambda: Critic(CriticLoss(SCALAR, {"accuracy": SCALAR})),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_is_right_passes(case):
    tried(GOOD[case]())


class Restless(Hook):
    """Draws from a generator of its own and counts its calls in a buffer."""

    sites = ("z",)
    calls: Any

    def __init__(self) -> None:
        super().__init__()
        self.generator: Any = torch.Generator().manual_seed(5)
        self.register_buffer("calls", torch.zeros(1))
        self.net = nn.Linear(K, 1).double()
        self.counted = 0

    def penalty(self, terms, batch):
        self.calls.add_(1)
        self.counted += 1
        return terms["z"].value.mean() * torch.rand((), generator=self.generator)

    def critic_loss(self, terms, batch):
        self.calls.add_(1)
        return self.net(terms["z"].value).mean() * torch.rand((), generator=self.generator)


def test_nothing_is_changed_by_the_trial():
    """Neither noise, nor weights, nor buffers, nor gradients, of pair, hooks and critics."""
    restless = Restless()
    hooks = [restless, *HOOKS["everything"](), *HOOKS["labels"](), *HOOKS["wasserstein"]()]
    pair, objective = make_pair("plain"), Objective(hooks=hooks)
    batch = batch_of()
    objective.facts(*pair[:2], (batch["x"],))
    modules = [pair.model, pair.guide, objective.as_module()]
    parameters = [p for module in modules for p in module.parameters()]

    def state() -> list[Any]:
        kept = [value for module in modules for value in module.state_dict().values()]
        generators = [torch.get_rng_state(), restless.generator.get_state()]
        return [value.clone() for value in (*kept, *generators)]

    before = state()
    try_hooks(objective, *pair[:2], (batch["x"],), batch)
    assert restless.counted == 1
    assert all(torch.equal(a, b) for a, b in zip(state(), before, strict=True))
    assert all(parameter.grad is None for parameter in parameters)


def test_a_run_with_a_trial_is_the_run_without(monkeypatch):
    """`fit` with and without it, to the bit."""

    class Source:
        def batch(self, step):
            return batch_of(step)

    found = []
    for skipped in (False, True):
        if skipped:
            monkeypatch.setattr(import_module(fit.__module__), "try_hooks", lambda *_: None)
        torch.manual_seed(2)
        pair, hooks = make_pair("plain"), [Restless(), *HOOKS["everything"]()]
        fit(*pair[:2], Source(), steps=3, objective=Objective(hooks=hooks), progress=False)
        found.append([*pair.parameters, *Objective(hooks=hooks).as_module().parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_run_with_a_wrong_hook_takes_no_step(tmp_path):
    class Source:
        def batch(self, step):
            assert step == 0
            return {"x": batch_of()["x"]}

    pair = make_pair("plain")
    hook = Adversary("factor", AgainstPermuted("z"), critic())
    before = [p.detach().clone() for p in pair.parameters]
    with pytest.raises(HookError, match="hook 'factor': the batch has no 'second'"):
        fit(*pair[:2], Source(), steps=3, objective=Objective(hooks=[hook]), folder=tmp_path / "r")
    assert not (tmp_path / "r").exists()
    assert all(torch.equal(p, b) for p, b in zip(pair.parameters, before, strict=True))


def test_memory_that_ran_out_is_no_fault_of_the_hook():
    class Large(Hook):
        def penalty(self, terms, batch):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        tried(Large())


def test_a_site_that_the_pair_lacks_is_refused_earlier():
    with pytest.raises(ValueError, match="hook 'a' reads site 'pose'; the pair has z, x"):
        tried(Adversary("a", AgainstPrior("pose"), critic()))


def test_schedules_are_tried_as_they_stand():
    """One of the critic's steps is enough to see what is wrong with it."""
    hook = Adversary("a", AgainstPrior("z"), critic(), schedule=CriticSchedule(steps=3, warmup=5))
    tried(hook)
    assert float(hook.step) == 0.0
