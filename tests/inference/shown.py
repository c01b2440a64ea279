"""Views and critics whose examples and scores are given, for tests of adversaries."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from unbraid.inference import Adversary, Labelled, TwoSamples


@dataclass(frozen=True)
class Shows:
    """A view of given samples, whatever the pair."""

    own: Tensor
    reference: Tensor
    sites: tuple[str, ...] = ()

    def __call__(self, terms: Any, batch: Any, reference: bool) -> TwoSamples:
        return TwoSamples((self.own,), (self.reference,) if reference else None)


@dataclass(frozen=True)
class ShowsLabels:
    """A view of given examples with given labels."""

    inputs: Tensor
    labels: Tensor
    sites: tuple[str, ...] = field(default=())

    def __call__(self, terms: Any, batch: Any, reference: bool) -> Labelled:
        return Labelled((self.inputs,), self.labels)


class Scores(nn.Module):
    """A critic that is a given function, with a factor and a shift that can be learned."""

    def __init__(self, function: Callable[..., Tensor] | None = None) -> None:
        super().__init__()
        self.function = function or (lambda x: x)
        self.factor = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.shift = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.factor * self.function(*inputs) + self.shift


def penalty_of(hook: Adversary) -> Tensor:
    """The penalty of a hook whose view needs neither terms nor batch."""
    nothing: Any = None
    return hook.penalty(nothing, {})


def critic_of(hook: Adversary) -> Any:
    """The critic's loss of such a hook, and its figures."""
    nothing: Any = None
    return hook.critic_loss_of(hook.critic_inputs(nothing, {})[0])
