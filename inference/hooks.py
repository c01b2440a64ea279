"""Loss hooks: penalties and adversaries for any pair that has the sites they name."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .terms import Terms

Batch = Mapping[str, Any]


class Hook(nn.Module):
    """Base of loss hooks. Subclasses give `penalty`, `critic_loss`, or both.

    A hook names the `sites` that it reads; a pair without one of them is refused before the first
    step. Its networks, buffers and random generator belong to it: the pair's optimiser never moves
    them, and they are part of a checkpoint.

    Attributes:
        name: Name of its part of the loss in metrics and reports; the class name unless set.
        sites: Names of the sites that it reads.
        moves: Which parameters its penalty moves: None for all of the pair's, or `"model"` or
            `"guide"`.
        generator: The hook's own random generator, on the CPU; None for hooks without noise of
            their own.
    """

    name: str = ""
    sites: tuple[str, ...] = ()
    moves: str | None = None
    generator: torch.Generator | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = cls.__dict__.get("name") or cls.__name__

    def penalty(self, terms: Terms, batch: Batch) -> Tensor | None:
        """Return a scalar to add to the loss, nats per datum, or None."""
        return None

    def critic_loss(self, terms: Terms, batch: Batch) -> Tensor | None:
        """Return the critic's own loss on detached terms, a scalar; None without a critic."""
        return None

    def critic_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that the critic's optimiser moves; all of the hook's unless overridden."""
        return self.parameters()

    def make_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the critic's optimiser."""
        return torch.optim.Adam(parameters, lr=1e-4, betas=(0.5, 0.9), fused=True)

    def after_backward(self) -> None:
        """Change the pair's gradients (gradient surgery) before its optimiser steps."""

    def after_critic_step(self) -> None:
        """Change the critic's parameters (clipping, projection) after its optimiser steps."""

    def advance(self) -> None:
        """Go on to the next step of the hook's schedules."""


def has_critic(hook: Hook) -> bool:
    """Whether the hook's class gives a critic loss of its own."""
    return type(hook).critic_loss is not Hook.critic_loss


def rewrites_gradients(hook: Hook) -> bool:
    """Whether the hook's class changes gradients after the backward pass."""
    return type(hook).after_backward is not Hook.after_backward
