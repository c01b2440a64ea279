"""Loss hooks: penalties and adversaries for any pair that has the sites they name."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .terms import Terms
from .weights import Weight

Batch = Mapping[str, Any]
Penalty = Tensor | Mapping[str, Tensor] | None


class CriticLoss(NamedTuple):
    """What a critic minimises, and what is told of it.

    Args:
        loss: A scalar with its graph.
        figures: Detached scalars for the metrics, by name, such as `{"accuracy": ...}`.
    """

    loss: Tensor
    figures: Mapping[str, Tensor] = {}


class Hook(nn.Module):
    """Base of loss hooks. Subclasses give `penalty`, a critic, or both.

    A critic is `critic_loss(terms, batch)`, or in two stages `critic_inputs`, the tensors that it
    learns from, and `critic_loss_of` them. Only in two stages can the pair's step be recorded and
    the critic take several steps, `critic_steps`, per step of the pair.

    A hook names the `sites` that it reads; a pair without one of them is refused before the first
    step. Its networks, buffers and random generator belong to it: the pair's optimiser never moves
    them, and they are part of a checkpoint.

    Attributes:
        name: Name of its part of the loss in metrics and reports; the class name unless set.
        sites: Names of the sites that it reads.
        moves: Which parameters its penalty moves: None for all of the pair's, or `"model"` or
            `"guide"`.
        critic_steps: Steps of a critic in two stages per step of the pair.
        generator: A random generator of the hook's own, on the CPU, kept in checkpoints; None for
            hooks that draw from torch's, which `fit` seeds anew at every step.
    """

    name: str = ""
    sites: tuple[str, ...] = ()
    moves: str | None = None
    critic_steps: int = 1
    generator: torch.Generator | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = cls.__dict__.get("name") or cls.__name__

    def penalty(self, terms: Terms, batch: Batch) -> Penalty:
        """Return a scalar to add to the loss, nats per datum, or None.

        A mapping of `"model"` and `"guide"` to scalars moves each side by its own scalar alone.
        """
        return None

    def critic_loss(self, terms: Terms, batch: Batch) -> Tensor | CriticLoss | None:
        """Return the critic's own loss on detached terms, a scalar; None without a critic."""
        if not in_two_stages(self):
            return None
        return self.critic_loss_of(self.critic_inputs(terms, batch)[0])

    def critic_inputs(self, terms: Terms, batch: Batch) -> list[tuple[Tensor, ...]]:
        """Return the tensors that each of the `critic_steps` steps learns from.

        Args:
            terms: Detached terms of the step.
            batch: The batch.
        """
        raise NotImplementedError(f"hook {self.name!r} has no critic in two stages")

    def critic_loss_of(self, inputs: tuple[Tensor, ...]) -> Tensor | CriticLoss:
        """Return the critic's loss on one step's tensors."""
        raise NotImplementedError(f"hook {self.name!r} has no critic in two stages")

    def critic_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that the critic's optimiser moves; all of the hook's unless overridden."""
        return self.parameters()

    def make_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the critic's optimiser."""
        return critic_adam()(parameters)

    def after_backward(self) -> None:
        """Change the pair's gradients (gradient surgery) before its optimiser steps."""

    def after_critic_step(self) -> None:
        """Change the critic's parameters (clipping, projection) after its optimiser steps."""

    def advance(self) -> None:
        """Go on to the next step of the hook's schedules: of the weights among its attributes."""
        for child in self.children():
            if isinstance(child, Weight):
                child.advance()


def critic_adam(
    rate: float = 1e-4,
) -> Callable[[list[nn.Parameter]], torch.optim.Optimizer]:
    """Return what makes a critic's optimiser: Adam with the short memory of adversarial training.

    Args:
        rate: Learning rate, above 0.

    Source: betas 0.5 and 0.9 as Gulrajani et al. (2017), https://arxiv.org/abs/1704.00028.
    """
    return lambda p: torch.optim.Adam(p, lr=rate, betas=(0.5, 0.9), fused=True)


def has_critic(hook: Hook) -> bool:
    """Whether the hook's class gives a critic of its own."""
    return type(hook).critic_loss is not Hook.critic_loss or in_two_stages(hook)


def in_two_stages(hook: Hook) -> bool:
    """Whether the hook's class gives a critic in two stages, and not in one."""
    kind = type(hook)
    given_whole = kind.critic_loss is not Hook.critic_loss
    return kind.critic_inputs is not Hook.critic_inputs and not given_whole


def rewrites_gradients(hook: Hook) -> bool:
    """Whether the hook's class changes gradients after the backward pass."""
    return type(hook).after_backward is not Hook.after_backward
