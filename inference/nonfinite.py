"""Say where a loss or a gradient stopped being finite."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .hooks import CriticLoss
from .objective import Objective, gradients
from .sites import Program, modules_of


class NonFiniteError(FloatingPointError):
    """A loss or a gradient is not finite; no parameter has been changed by that step.

    Args:
        step: The step, counted from 0.
        report: What `find_nonfinite` found.
        batch: The batch of that step.
        seed: Seed of the run.
    """

    def __init__(self, step: int, report: str, batch: Mapping[str, Any], seed: int) -> None:
        self.step, self.report, self.seed = step, report, seed
        index = batch.get("index")
        self.indices = index.tolist() if isinstance(index, Tensor) else []
        super().__init__(
            f"step {step} is not finite: {report}. The update was held back. "
            "Lower the learning rate, clip gradients, or look at these data"
        )

    def as_dict(self) -> dict[str, Any]:
        """The same for `crash.json`: step, batch indices, report and seed."""
        return {
            "step": self.step,
            "report": self.report,
            "batch_indices": self.indices,
            "seed": self.seed,
        }


def find_nonfinite(
    objective: Objective,
    model: Program,
    guide: Program,
    batch: Mapping[str, Any],
    keys: tuple[str, ...],
) -> str:
    """Run a step without its update and name the input, site, hook or gradient that is bad.

    Args:
        objective: The loss.
        model: The generative program.
        guide: The inference program.
        batch: The batch.
        keys: Keys of the batch that the pair takes.
    """
    args = tuple(batch[key] for key in keys)
    for key, value in zip(keys, args, strict=True):
        bad = _first_bad_row(value)
        if bad is not None:
            return f"input {key!r} has non-finite values, first in row {bad} of the batch"
    loss = objective.mean_loss(model, guide, args, batch)
    for name, term in loss.terms.items():
        for what, value in (("value", term.value), ("log p", term.log_p)):
            bad = _first_bad_row(value)
            if bad is not None:
                return f"the {what} of site {name!r} is, first in row {bad} of the batch"
        if not term.observed and term.q is not None and _first_bad_row(term.kl) is not None:
            return f"the divergence of site {name!r} is, first in row {_first_bad_row(term.kl)}"
    # Hooks and sites come after the loss that they make up.
    for name, part in reversed(loss.parts.items()):
        if not torch.isfinite(part):
            return f"the part {name!r} of the loss is {part.item()}"
    parameters = objective.facts(model, guide, args).parameters
    found = gradients(loss, model, guide, parameters)
    for parameter, gradient in zip(parameters, found, strict=True):
        if gradient is not None and not torch.isfinite(gradient).all():
            return f"the gradient of {_place(parameter, model, guide)} is"
    for hook in objective.hooks:
        told = hook.critic_loss(loss.terms.detach(), batch)
        critic = told.loss if isinstance(told, CriticLoss) else told
        if critic is not None and not torch.isfinite(critic):
            return f"the critic's loss of hook {hook.name!r} is {critic.item()}"
    return "a value that was finite when the step was run again"


def _place(parameter: Tensor, model: Program, guide: Program) -> str:
    """Where a parameter lies, such as `guide.encoder.0.weight`."""
    for role, program in (("model", model), ("guide", guide)):
        for module in modules_of(program):
            for name, other in module.named_parameters():
                if other is parameter:
                    return f"{role}.{name}"
    return f"a parameter of shape {tuple(parameter.shape)}"


def _first_bad_row(value: Any) -> int | None:
    """First row with a value that is NaN or infinite; None where there is none."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return None
    rows = torch.isfinite(value.detach()).reshape(len(value), -1).all(1) if value.dim() else None
    if rows is None or bool(rows.all()):
        return None
    return int((~rows).nonzero()[0])
