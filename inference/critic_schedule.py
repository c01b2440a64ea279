"""How a critic is trained beside the pair."""

from dataclasses import dataclass

from .whole_numbers import whole_number


@dataclass(frozen=True)
class CriticSchedule:
    """How a critic is trained beside the pair.

    Args:
        steps: Critic steps per step of the pair, at least 1. They share the step's batch; what the
            view draws itself (priors, permutations) is drawn anew for each.
        warmup: Steps at first in which the critic learns alone and the penalty is 0.
        smoothing: How far the critic's target of reference examples lies below 1, 0 to 0.5; of a
            critic of labels, the share of the target that is spread over all classes (Salimans et
            al. 2016, section 3.4, https://arxiv.org/abs/1606.03498).
        flips: Share of examples whose target is exchanged in the critic's loss, 0 to 0.5.
        noise: Standard deviation of noise on the critic's inputs, in its own loss and in the
            pair's (Sønderby et al. 2017, https://arxiv.org/abs/1610.04490).
        noise_steps: Steps over which the noise falls to 0; None keeps it.

    Raises:
        ValueError: If a number is out of range.
    """

    steps: int = 1
    warmup: int = 0
    smoothing: float = 0.0
    flips: float = 0.0
    noise: float = 0.0
    noise_steps: int | None = None

    def __post_init__(self) -> None:
        for name, low in (("steps", 1), ("warmup", 0), ("noise_steps", 1)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, whole_number(name, value, low))
        for name in ("smoothing", "flips"):
            value = getattr(self, name)
            if not 0.0 <= value <= 0.5:
                raise ValueError(f"{name} is {value}; expected 0 to 0.5")
        if not 0.0 <= self.noise < float("inf"):
            raise ValueError(f"noise is {self.noise}; expected a finite number of at least 0")
