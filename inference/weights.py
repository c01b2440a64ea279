"""Weights of the terms of the bound: numbers, schedules, functions of each dimension.

A weight maps a site's divergence (mean per datum, nats) to its share of the loss. Schedules count
steps in a device tensor, so that a recorded or compiled step sees them change.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .whole_numbers import whole_number


class Weight(nn.Module, ABC):
    """Turns a site's term into its share of the loss.

    Attributes:
        needs_dimensions: Whether it asks for the divergence by dimension.
        logged: Whether the term is among the parts of the loss that are logged.
        ends_as_bound: Whether the loss moves with the term, in the end, as the bound does.
        is_factor: Whether the share is the cost times a number, so that costs of single draws can
            be weighed as well.
    """

    needs_dimensions = False
    is_factor = False
    logged = True
    ends_as_bound = False

    @abstractmethod
    def forward(self, cost: Tensor, per_dimension: Tensor | None) -> Tensor:
        """Weigh one term.

        Args:
            cost: Mean per datum of the divergence (or of `-log p(x|z)`), scalar, nats.
            per_dimension: The same by latent dimension, `(K,)`, or None where the site does not
                factorise.

        Returns:
            The share of the loss, scalar, nats per datum.
        """

    def advance(self) -> None:
        """Go on to the next step; does nothing where the weight does not change."""


class Constant(Weight):
    """A fixed factor, such as the beta of a beta-VAE (Higgins et al. 2017, eq. 4).

    Args:
        value: The factor, at least 0.
    """

    is_factor = True

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = _at_least("weight", value, 0.0)
        self.ends_as_bound = self.value == 1.0

    def forward(self, cost: Tensor, per_dimension: Tensor | None = None) -> Tensor:  # noqa: D102
        return cost if self.value == 1.0 else cost * self.value


class LeftOut(Weight):
    """No share of the loss, also of a term that is not finite, which a factor of 0 would keep.

    Args:
        logged: Whether the term is logged all the same. Where it is not, a recorded step leaves
            out whatever leads to it alone, such as a decoder.
        constant: Whether training cannot change the term, so that the bound does not miss it.
    """

    def __init__(self, logged: bool = True, constant: bool = False) -> None:
        super().__init__()
        self.logged, self.ends_as_bound = logged, constant

    def forward(self, cost: Tensor, per_dimension: Tensor | None = None) -> Tensor:  # noqa: D102
        # No zeros_like: in a recording this zero must not depend on the term.
        return torch.zeros((), dtype=cost.dtype, device=cost.device)


class _Schedule(Weight):
    """A value that goes from `start` to `end` over `steps` steps, linearly, and then stays."""

    step: Tensor

    def __init__(self, steps: int, start: float, end: float) -> None:
        super().__init__()
        self.steps, self.start, self.end = whole_number("steps", steps, 1), start, end
        # One element rather than 0-dim: torch 2.13 compiles mutated 0-dim float64 inputs wrongly.
        self.register_buffer("step", torch.zeros(1))

    def current(self) -> Tensor:
        """The scheduled value at this step, scalar."""
        share = (self.step[0] / self.steps).clamp(max=1.0)
        return self.start + (self.end - self.start) * share

    def advance(self) -> None:
        self.step.add_(1.0)


class LinearWarmup(_Schedule):
    """A factor that rises linearly, so that the divergence joins the loss gradually.

    Source: Bowman et al. (2016), section 3.1, https://arxiv.org/abs/1511.06349.

    Args:
        steps: Steps until `end` is reached, at least 1.
        start: Factor at the first step, at least 0.
        end: Factor from `steps` on, at least 0.

    Raises:
        ValueError: If a number is out of range.
    """

    is_factor = True

    def __init__(self, steps: int, start: float = 0.0, end: float = 1.0) -> None:
        super().__init__(steps, _at_least("start", start, 0.0), _at_least("end", end, 0.0))
        self.ends_as_bound = self.end == 1.0

    def forward(self, cost: Tensor, per_dimension: Tensor | None = None) -> Tensor:  # noqa: D102
        return cost * self.current()


class SigmoidWarmup(_Schedule):
    """A factor that rises from 0 as `2 / (1 + exp(-10 p)) - 1`, p the share of the steps.

    Source: Ganin & Lempitsky (2015), section 4.1, https://arxiv.org/abs/1409.7495.

    Args:
        steps: Steps over which p runs from 0 to 1, at least 1.
        end: What the rising share multiplies, at least 0. The share ends at 0.99991, as published.

    Raises:
        ValueError: If a number is out of range.
    """

    is_factor = True

    def __init__(self, steps: int, end: float = 1.0) -> None:
        super().__init__(steps, 0.0, _at_least("end", end, 0.0))
        self.ends_as_bound = self.end == 1.0

    def forward(self, cost: Tensor, per_dimension: Tensor | None = None) -> Tensor:  # noqa: D102
        share = (self.step[0] / self.steps).clamp(max=1.0)
        return cost * (self.end * torch.tanh(5.0 * share))


class Capacity(_Schedule):
    """`gamma * |KL - C|` with a capacity `C` that rises linearly (Burgess et al. 2018, eq. 8).

    Args:
        gamma: How strongly the divergence is held at the capacity, at least 0.
        start: Capacity at the first step, nats.
        end: Capacity from `steps` on, nats.
        steps: Steps until `end` is reached, at least 1.
    """

    def __init__(self, gamma: float, start: float, end: float, steps: int) -> None:
        super().__init__(steps, _at_least("start", start, 0.0), _at_least("end", end, 0.0))
        self.gamma = _at_least("gamma", gamma, 0.0)

    def forward(self, cost: Tensor, per_dimension: Tensor | None = None) -> Tensor:  # noqa: D102
        return self.gamma * (cost - self.current()).abs()


class FreeBits(Weight):
    """`sum_k max(KL_k, nats)`: no pressure below a floor per dimension.

    Source: Kingma et al. (2016), eq. 15, https://arxiv.org/abs/1606.04934.

    Args:
        nats: Divergence per latent dimension that costs nothing more, at least 0.

    Raises:
        ValueError: If that is negative; in a step, if the site's divergence is none of dimensions.
    """

    needs_dimensions = True

    def __init__(self, nats: float) -> None:
        super().__init__()
        self.nats = _at_least("nats", nats, 0.0)

    def forward(self, cost: Tensor, per_dimension: Tensor | None = None) -> Tensor:  # noqa: D102
        if per_dimension is None:
            raise ValueError(
                "free bits need a divergence per dimension; "
                "this site's distributions do not factorise. Use Constant or LinearWarmup"
            )
        return per_dimension.clamp(min=self.nats).sum()


def as_weight(value: float | Weight) -> Weight:
    """Wrap a number as a constant weight."""
    return value if isinstance(value, Weight) else Constant(value)


def _at_least(name: str, value: float, low: float) -> float:
    if not low <= value < float("inf"):
        raise ValueError(f"{name} is {value}; expected a finite number of at least {low:g}")
    return float(value)
