"""The adversaries' own steps, taken beside those of the pair."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .guard import Guard
from .hooks import Batch, CriticLoss, Hook, in_two_stages
from .objective import laid_out
from .terms import Terms

CriticInputs = list[list[tuple[Tensor, ...]]]
"""What the critics learn from: of each hook, of each of its steps, tensors."""


class Critics:
    """The hooks with a critic and the critics' optimisers.

    Args:
        hooks: The hooks.
        guard: Holds updates back once something is not finite; None steps always.

    Attributes:
        optimizers: The critics' optimisers by the hooks' names.
    """

    def __init__(self, hooks: Sequence[Hook], guard: Guard | None) -> None:
        self.hooks, self._guard = hooks, guard
        self._parameters = {hook.name: list(hook.critic_parameters()) for hook in hooks}
        self.optimizers = {
            hook.name: hook.make_optimizer(self._parameters[hook.name]) for hook in hooks
        }
        if guard is not None:
            for optimizer in self.optimizers.values():
                guard.watch(optimizer)

    @property
    def recordable(self) -> bool:
        """Whether every critic learns from tensors that a recorded step can give out."""
        return all(map(in_two_stages, self.hooks))

    @torch.no_grad()
    def inputs(self, terms: Terms, batch: Batch) -> CriticInputs:
        """What the critics in two stages learn from; nothing for the others.

        Args:
            terms: The pair's terms.
            batch: The batch.
        """
        if not self.hooks:
            return []
        detached = terms.detach()
        return [
            hook.critic_inputs(detached, batch) if in_two_stages(hook) else []
            for hook in self.hooks
        ]

    def step(
        self, inputs: CriticInputs, terms: Terms | None = None, batch: Batch | None = None
    ) -> dict[str, Tensor]:
        """Move every critic.

        Args:
            inputs: From `inputs`.
            terms: The pair's terms, detached, for critics in one stage.
            batch: The batch, likewise.

        Returns:
            The critics' losses as `<hook>_critic` and their figures as `<hook>_<figure>`, detached
            scalars; of the last step where there are several.
        """
        told: dict[str, Tensor] = {}
        for hook, steps in zip(self.hooks, inputs, strict=True):
            if in_two_stages(hook):
                for tensors in steps:
                    told.update(self._move(hook, hook.critic_loss_of(tensors)))
            elif terms is not None and batch is not None:
                told.update(self._move(hook, hook.critic_loss(terms, batch)))
        return told

    def _move(self, hook: Hook, told: Tensor | CriticLoss | None) -> dict[str, Tensor]:
        if told is None:
            return {}
        loss, figures = told if isinstance(told, CriticLoss) else (told, {})
        parameters = self._parameters[hook.name]
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, laid_out(found, parameters), strict=True):
            parameter.grad = gradient
        if self._update(hook, parameters, loss.detach()):
            hook.after_critic_step()
        named = {f"{hook.name}_{name}": value for name, value in figures.items()}
        return {f"{hook.name}_critic": loss.detach(), **named}

    def _update(self, hook: Hook, parameters: Sequence[nn.Parameter], loss: Tensor) -> bool:
        optimizer = self.optimizers[hook.name]
        if self._guard is not None:
            return self._guard.step(optimizer, parameters, loss)
        optimizer.step()
        return True
