"""Adversaries, their pairs and their training, for the tests of them."""

from typing import Any

import torch

from unbraid.inference import (
    Adversary,
    AgainstPermuted,
    AgainstPrior,
    CriticSchedule,
    LinearWarmup,
    Objective,
    Step,
    WithAttribute,
)
from unbraid.nets import MLPCritic

from .pairs import B, D, K, make_pair

LABEL = torch.tensor([0, 2, 1, -1, 2])


def critic(outputs=1) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return MLPCritic(K, (7,), outputs).double()


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def batch_of(step=0, size=B) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(step)
    x, second = torch.randn(2, 7, D, dtype=torch.float64, generator=generator)
    return {"x": x[:size], "label": LABEL[:size], "second": {"x": second}}


HOOKS: dict[str, Any] = {
    "prior": lambda: [Adversary("prior", AgainstPrior("z"), critic(), "logistic", 0.7)],
    "permuted": lambda: [
        Adversary(
            "factor",
            AgainstPermuted("z"),
            critic(),
            "density-ratio",
            LinearWarmup(4, 0.0, 2.0),
        )
    ],
    "labels": lambda: [
        Adversary(
            "label",
            WithAttribute("z"),
            critic(3),
            "uniform",
            1.5,
            moves="guide",
            schedule=CriticSchedule(smoothing=0.1, flips=0.2),
        )
    ],
    "wasserstein": lambda: [
        Adversary(
            "wasserstein",
            AgainstPrior("z"),
            critic(),
            "wasserstein",
            schedule=CriticSchedule(steps=3),
            gradient_penalty=10.0,
            clip=0.5,
            optimizer=lambda p: torch.optim.RMSprop(p, lr=0.01),
        )
    ],
    "everything": lambda: [
        Adversary(
            "everything",
            AgainstPermuted("z", stream=None),
            critic(),
            "reverse",
            moves="guide",
            schedule=CriticSchedule(
                steps=2, warmup=2, smoothing=0.1, flips=0.2, noise=0.3, noise_steps=4
            ),
        )
    ],
    "two": lambda: [*HOOKS["prior"](), *HOOKS["labels"]()],
}


def step_of(hooks, mode: Any = "eager", make=sgd, **options) -> Any:
    pair = make_pair("plain")
    return pair, Step(
        *pair[:2], Objective(hooks=hooks), make(pair.parameters), mode=mode, **options
    )


def copies(parameters):
    return [p.detach().clone() for p in parameters]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def run(name, mode: Any, steps=6, hooks=None, **options) -> Any:
    """Losses, weights, buffers and moments of pair and critics; the last batch is ragged."""
    adam = torch.optim.Adam
    hooks = HOOKS[name]() if hooks is None else hooks
    pair, step = step_of(hooks, mode, lambda p: adam(p, lr=1e-2, fused=True), **options)
    parts = []
    for i in range(steps):
        batch = batch_of(i, B - 1 if i == steps - 2 else B)
        torch.manual_seed(100 + i)
        parts.append(step((batch["x"],), batch))
        step.objective.advance()
    optimizers = [step.optimizer, *step.critics.optimizers.values()]
    moments = [
        value
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
        for value in optimizer.state[parameter].values()
        if isinstance(value, torch.Tensor)
    ]
    told = [value for row in parts for value in row.values()]
    state = list(step.objective.as_module().state_dict().values())
    return step, parts, [*told, *pair.parameters, *state, *moments]


OWN = torch.tensor([-1.0, 0.5, -2.0, 0.2], dtype=torch.float64)
REFERENCE = torch.tensor([0.1, -0.3, 2.0, 4.0, 0.45], dtype=torch.float64)
