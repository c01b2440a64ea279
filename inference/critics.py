"""The adversaries' own steps: every critic is moved once per step of the pair."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .guard import Guard
from .hooks import Batch, Hook
from .terms import Terms


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
        self._parameters = [list(hook.critic_parameters()) for hook in hooks]
        self.optimizers = {
            hook.name: hook.make_optimizer(parameters)
            for hook, parameters in zip(hooks, self._parameters, strict=True)
        }
        if guard is not None:
            for optimizer in self.optimizers.values():
                guard.watch(optimizer)

    def step(self, terms: Terms, batch: Batch) -> dict[str, Tensor]:
        """Move every critic once.

        Args:
            terms: The pair's terms, detached.
            batch: The batch.

        Returns:
            The critics' losses as `<hook>_critic`, detached scalars.
        """
        losses: dict[str, Tensor] = {}
        for hook, parameters in zip(self.hooks, self._parameters, strict=True):
            loss = hook.critic_loss(terms, batch)
            if loss is None:
                continue
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter.grad = gradient
            losses[f"{hook.name}_critic"] = loss.detach()
            if self._move(hook, parameters, loss.detach()):
                hook.after_critic_step()
        return losses

    def _move(self, hook: Hook, parameters: Sequence[Tensor], loss: Tensor) -> bool:
        optimizer = self.optimizers[hook.name]
        if self._guard is not None:
            return self._guard.step(optimizer, parameters, loss)
        optimizer.step()
        return True
