"""The hook of a scene discriminator: two frames' codes are not to tell whether they are of one."""

from dataclasses import dataclass
from typing import Literal

from unbraid.inference import CriticSchedule, LinearWarmup, SceneDiscriminator, critic_adam
from unbraid.methods import DataSpec, OptionError, Parts, critic_in_range, in_range
from unbraid.nets import make_pair_critic

from .adding import Addition, code_size

EXAMPLE = "static-dynamic --data moving-mnist --out runs/hidden --set companions=1"
"""A training that the hook can join."""


@dataclass(frozen=True)
class Options:
    """Options of the hook.

    Args:
        weight: Weight of the penalty, in nats of a sequence, at least 0.
        site: The code of a frame that is to hide which sequence it is of.
        critic: What the discriminator is: `pair`, which embeds both codes with one net and
            compares the embeddings, or `mlp`, a net on both codes side by side.
        hidden: Widths of its hidden layers, comma-separated; of `pair` at least one.
        rate: Learning rate of the discriminator, above 0 and at most 10.
        steps: Its steps per step of the pair, 1 to 1000.
        warmup: Steps over which the weight rises from 0; 0 for none.
        standardised: Whether it sees codes standardised over the batch, from which small codes
            cannot hide.
    """

    weight: float = 100.0
    site: str = "dynamic"
    critic: Literal["pair", "mlp"] = "pair"
    hidden: tuple[int, ...] = (128, 64)
    rate: float = 1e-3
    steps: int = 2
    warmup: int = 0
    standardised: bool = True

    def __post_init__(self) -> None:
        in_range("weight", self.weight, 0.0)
        critic_in_range(self.hidden, self.rate, self.steps, kind=self.critic, prefix="")
        in_range("warmup", self.warmup, 0)


def build(options: Options, data: DataSpec, parts: Parts) -> Addition:
    """Build the hook for a method's parts.

    Raises:
        OptionError: If the pair has no such code, or takes no companions of frames.
    """
    if not parts.companions or "companions" not in parts.keys:
        raise OptionError(
            "hook scene compares a frame with a companion, which this pair is not given; expected "
            "a method of sequences with companions. Set companions=1 of static-dynamic"
        )
    size = code_size(parts, options.site)
    weight = options.weight
    hook = SceneDiscriminator(
        options.site,
        make_pair_critic(options.critic, size, options.hidden),
        LinearWarmup(options.warmup, 0.0, weight) if options.warmup else weight,
        standardised=options.standardised,
        schedule=CriticSchedule(steps=options.steps),
        optimizer=critic_adam(options.rate),
    )
    return Addition(hook)
