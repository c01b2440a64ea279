"""The FactorVAE's hook: total correlation by a critic's density ratio."""

from dataclasses import dataclass

from unbraid.inference import (
    Adversary,
    AgainstPermuted,
    CriticSchedule,
    LinearWarmup,
    critic_adam,
)
from unbraid.methods import DataSpec, Parts, critic_in_range, in_range
from unbraid.nets import MLPCritic

from .adding import Addition, code_size


@dataclass(frozen=True)
class Options:
    """Options of the hook.

    Args:
        gamma: Weight of the total correlation (Kim & Mnih 2018, eq. 2), at least 0; 6 to 40 in the
            literature.
        site: The code.
        hidden: Widths of the critic's hidden layers, comma-separated; six of 1000 as published.
        rate: Learning rate of the critic.
        steps: Critic steps per step of the pair, each with permutations of its own.
        warmup: Steps over which the weight rises from 0 to gamma; 0 for none.
    """

    gamma: float = 10.0
    site: str = "z"
    hidden: tuple[int, ...] = (512, 512, 512)
    rate: float = 1e-4
    steps: int = 1
    warmup: int = 0

    def __post_init__(self) -> None:
        in_range("gamma", self.gamma, 0.0)
        critic_in_range(self.hidden, self.rate, self.steps, prefix="")
        in_range("warmup", self.warmup, 0)


def build(options: Options, data: DataSpec, parts: Parts) -> Addition:
    """Build the hook for a method's parts."""
    weight = options.gamma
    hook = Adversary(
        "factor",
        AgainstPermuted(options.site, keys=parts.keys),
        MLPCritic(code_size(parts, options.site), options.hidden),
        "density-ratio",
        LinearWarmup(options.warmup, 0.0, weight) if options.warmup else weight,
        schedule=CriticSchedule(steps=options.steps),
        optimizer=critic_adam(options.rate),
    )
    return Addition(hook, ("second",))
