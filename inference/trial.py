"""One trial of the hooks on a batch: what is wrong with them is said before anything trains."""

from collections.abc import Mapping
from typing import Any

import pyro
import torch
from torch import Tensor

from .hooks import Batch, CriticLoss, Hook, has_critic, in_two_stages
from .objective import Objective
from .sites import Program, modules_of
from .terms import Terms
from .untouched import untouched


class HookError(ValueError):
    """A loss hook cannot be had from a pair and its batches."""


def try_hooks(
    objective: Objective, model: Program, guide: Program, args: tuple[Any, ...], batch: Batch
) -> None:
    """Run every hook's penalty and critic once, with nothing changed by it.

    Args:
        objective: The loss with its hooks.
        model: The generative program.
        guide: The inference program.
        args: The arguments of both.
        batch: The batch that hooks are given.

    Raises:
        HookError: If a penalty or a critic fails, or gives no scalar; names hook and reason.
    """
    if not objective.hooks:
        return
    generators = [hook.generator for hook in objective.hooks if hook.generator is not None]
    modules = [*modules_of(model, guide), *objective.hooks]
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    with untouched(modules, tensors, generators), pyro.validation_enabled(False):
        terms = objective.terms(model, guide, args)
        for hook in objective.hooks:
            if hook.name in ("loss", "elbo", *terms):
                raise HookError(
                    f"hook {hook.name!r} has the name of another part of the loss; expected none "
                    f"of loss, elbo, {', '.join(terms)}. Set .name"
                )
            try:
                _try(hook, terms, batch)
            except (HookError, torch.OutOfMemoryError):
                raise
            except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
                reason = str(error) if isinstance(error, ValueError) else _described(error, terms)
                raise HookError(f"hook {hook.name!r}: {reason}") from error


def _try(hook: Hook, terms: Terms, batch: Batch) -> None:
    penalty = hook.penalty(terms, batch)
    if penalty is not None:
        shares = penalty if isinstance(penalty, Mapping) else {hook.moves: penalty}
        accepted = ("model", "guide") if isinstance(penalty, Mapping) else (None, "model", "guide")
        unknown = [side for side in shares if side not in accepted]
        if unknown or not shares:
            side = unknown[0] if unknown else "nothing"
            raise HookError(
                f"hook {hook.name!r} gives a penalty for {side!r}; expected 'model' or 'guide'. "
                "Set .moves, or return None for no penalty"
            )
        for share in shares.values():
            _check_scalar(hook, "penalty", share)
    if not has_critic(hook):
        return
    detached = terms.detach()
    if in_two_stages(hook):
        with torch.no_grad():
            inputs = hook.critic_inputs(detached, batch)
        told = hook.critic_loss_of(inputs[0])
    else:
        told = hook.critic_loss(detached, batch)
    if told is None:
        return
    loss, figures = told if isinstance(told, CriticLoss) else (told, {})
    _check_scalar(hook, "critic's loss", loss)
    for name, figure in figures.items():
        _check_scalar(hook, f"figure {name!r}", figure)


def _check_scalar(hook: Hook, what: str, value: Tensor) -> None:
    if not isinstance(value, Tensor) or value.dim() != 0:
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise HookError(
            f"the {what} of hook {hook.name!r} is {found}; expected a tensor without dims, a mean "
            "over the data. Call .mean()"
        )


def _described(error: Exception, terms: Terms) -> str:
    """An error that says little by itself, with the shapes of the sites."""
    shapes = ", ".join(f"{name} {tuple(term.value.shape)}" for name, term in terms.items())
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}. Its sites have shapes {shapes}"
