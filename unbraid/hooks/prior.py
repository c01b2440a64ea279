"""The hook of adversarial autoencoders: a critic that tells codes from draws of their prior."""

from dataclasses import dataclass
from typing import Literal

from unbraid.inference import (
    GRADIENT_PENALTIES,
    Adversary,
    AgainstPrior,
    CriticSchedule,
    LinearWarmup,
    critic_adam,
)
from unbraid.methods import DataSpec, Parts, in_range
from unbraid.nets import MLPCritic

from .adding import Addition, code_size

TwoSampleName = Literal[
    "logistic", "density-ratio", "least-squares", "wasserstein", "hinge", "reverse", "uniform"
]


@dataclass(frozen=True)
class Options:
    """Options of the hook.

    Args:
        weight: Weight of the penalty, at least 0.
        site: The code.
        rule: The objectives of critic and code.
        hidden: Widths of the critic's hidden layers, comma-separated.
        rate: Learning rate of the critic.
        steps: Critic steps per step of the pair.
        noise: Standard deviation of noise on the critic's inputs.
        warmup: Steps over which the weight rises from 0; 0 for none.
    """

    weight: float = 1.0
    site: str = "z"
    rule: TwoSampleName = "logistic"
    hidden: tuple[int, ...] = (256, 256)
    rate: float = 1e-3
    steps: int = 1
    noise: float = 0.0
    warmup: int = 0

    def __post_init__(self) -> None:
        in_range("weight", self.weight, 0.0)
        for width in self.hidden:
            in_range("hidden", width, 1, 65_536)
        in_range("rate", self.rate, 0.0, 10.0, open_low=True)
        in_range("steps", self.steps, 1, 1000)
        in_range("noise", self.noise, 0.0)
        in_range("warmup", self.warmup, 0)


def build(options: Options, data: DataSpec, parts: Parts) -> Addition:
    """Build the hook for a method's parts."""
    weight = options.weight
    hook = Adversary(
        "prior",
        AgainstPrior(options.site),
        MLPCritic(code_size(parts, options.site), options.hidden),
        options.rule,
        LinearWarmup(options.warmup, 0.0, weight) if options.warmup else weight,
        moves="guide",
        schedule=CriticSchedule(steps=options.steps, noise=options.noise),
        gradient_penalty=GRADIENT_PENALTIES.get(options.rule, 0.0),
        optimizer=critic_adam(options.rate),
    )
    return Addition(hook)
