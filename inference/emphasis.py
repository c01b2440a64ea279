"""A schedule that leans on the data at first and lets the bound come in by halves."""

import math

import torch
from torch import Tensor

from .weights import Weight
from .whole_numbers import whole_number


class Emphasis(Weight):
    r"""The factor \( 1 + a \), or its inverse, with an `a` that is halved time and again.

    On the reconstruction, with the inverse on the divergences, codes carry information from the
    first step on: `weights={"x": Emphasis(1.0, 500), "kl": Emphasis(1.0, 500, inverse=True)}`.
    The loss is no bound while `a` is above 0; it becomes the bound as `a` vanishes.

    Source: the published code of Edwards & Storkey (2017), https://arxiv.org/abs/1606.02185, where
    `a` is 1 at first and is halved after every epoch.

    Args:
        start: `a` at the first step, at least 0.
        steps: Steps after which it is halved, each time, at least 1.
        inverse: Whether the factor is `1 / (1 + a)`.

    Raises:
        ValueError: If a number is out of range.
    """

    ends_as_bound = True
    step: Tensor

    def __init__(self, start: float, steps: int, inverse: bool = False) -> None:
        super().__init__()
        if not 0.0 <= start < math.inf:
            raise ValueError(f"start is {start}; expected a finite number of at least 0")
        self.steps = whole_number("steps", steps, 1)
        self.start, self.inverse = float(start), inverse
        # One element rather than 0-dim, as in the other schedules.
        self.register_buffer("step", torch.zeros(1))

    def current(self) -> Tensor:
        """The factor at this step, scalar."""
        halvings = (self.step[0] / self.steps).floor()
        factor = 1.0 + self.start * torch.exp2(-halvings)
        return factor.reciprocal() if self.inverse else factor

    def forward(self, cost: Tensor, per_dimension: Tensor | None = None) -> Tensor:  # noqa: D102
        return cost * self.current()

    def advance(self) -> None:  # noqa: D102
        self.step.add_(1.0)
