"""The hook of predictability minimisation: no coordinate of a code is told from the others."""

from dataclasses import dataclass
from typing import Literal

from unbraid.inference import (
    LinearWarmup,
    Predictability,
    critic_adam,
)
from unbraid.methods import DataSpec, OptionError, Parts, critic_in_range, in_range
from unbraid.nets import LeaveOneOut

from .adding import Addition, code_size


@dataclass(frozen=True)
class Options:
    """Options of the hook.

    Args:
        weight: Weight of the penalty, at least 0.
        site: The code, of at least two coordinates.
        form: normalised: the share of each coordinate's variance that the others tell. published:
            minus the squared errors of squashed coordinates (Schmidhuber 1992).
        hidden: Widths of the hidden layers of each predictor, comma-separated.
        rate: Learning rate of the predictors.
        steps: Steps of the predictors per step of the pair.
        warmup: Steps over which the weight rises from 0; 0 for none.
    """

    weight: float = 100.0
    site: str = "z"
    form: Literal["normalised", "published"] = "normalised"
    hidden: tuple[int, ...] = (64, 64)
    rate: float = 1e-3
    steps: int = 1
    warmup: int = 0

    def __post_init__(self) -> None:
        in_range("weight", self.weight, 0.0)
        critic_in_range(self.hidden, self.rate, self.steps, prefix="")
        in_range("warmup", self.warmup, 0)


def build(options: Options, data: DataSpec, parts: Parts) -> Addition:
    """Build the hook for a method's parts."""
    size = code_size(parts, options.site)
    if size < 2:
        raise OptionError(
            f"site {options.site!r} has {size} coordinate; expected at least 2, of which each is "
            "told from the others. Choose another site, or a larger code"
        )
    weight = options.weight
    hook = Predictability(
        options.site,
        LeaveOneOut(size, options.hidden),
        LinearWarmup(options.warmup, 0.0, weight) if options.warmup else weight,
        form=options.form,
        steps=options.steps,
        optimizer=critic_adam(options.rate),
    )
    hook.name = "predictability"
    return Addition(hook)
