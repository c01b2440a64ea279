"""The hook against an attribute: a critic reads it from a code, and the code is to hide it."""

from dataclasses import dataclass
from typing import Literal

from unbraid.inference import (
    Adversary,
    CriticSchedule,
    SigmoidWarmup,
    WithAttribute,
    critic_adam,
)
from unbraid.methods import DataSpec, Parts, critic_in_range, in_range
from unbraid.nets import MLPCritic

from .adding import Addition, code_size
from .attributes import find_attribute


@dataclass(frozen=True)
class Options:
    """Options of the hook.

    Args:
        name: `label`, or the name of a factor.
        weight: Weight of the penalty, at least 0.
        site: The code that is to hide it.
        rule: What the code aims at: to be told wrong (reverse, flip), or not at all (uniform).
        hidden: Widths of the critic's hidden layers, comma-separated.
        rate: Learning rate of the critic.
        steps: Critic steps per step of the pair.
        warmup: Steps over which the weight rises, 2 / (1 + exp(-10 p)) - 1 (Ganin & Lempitsky
            2015); 0 for none.
    """

    name: str = "label"
    weight: float = 1.0
    site: str = "z"
    rule: Literal["reverse", "flip", "uniform"] = "uniform"
    hidden: tuple[int, ...] = (256, 256)
    rate: float = 1e-3
    steps: int = 1
    warmup: int = 0

    def __post_init__(self) -> None:
        in_range("weight", self.weight, 0.0)
        critic_in_range(self.hidden, self.rate, self.steps, prefix="")
        in_range("warmup", self.warmup, 0)


def build(options: Options, data: DataSpec, parts: Parts) -> Addition:
    """Build the hook for a method's parts."""
    known = find_attribute(options.name, data)
    weight = options.weight
    hook = Adversary(
        "attribute",
        WithAttribute(options.site, known.key, known.column, discrete=True),
        MLPCritic(code_size(parts, options.site), options.hidden, known.classes),
        options.rule,
        SigmoidWarmup(options.warmup, weight) if options.warmup else weight,
        moves="guide",
        schedule=CriticSchedule(steps=options.steps),
        optimizer=critic_adam(options.rate),
    )
    return Addition(hook)
