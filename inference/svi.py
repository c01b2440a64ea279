"""Stochastic variational inference with the interface of `pyro.infer.SVI`."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from .objective import Objective
from .sites import Program
from .step import Mode, Precision, Step

MakeOptimizer = Callable[[Iterable[Tensor]], Optimizer]


def fused_adam(parameters: Iterable[Tensor]) -> Optimizer:
    """Adam with learning rate 1e-3, all parameters in one kernel."""
    return torch.optim.Adam(parameters, lr=1e-3, fused=True)


class SVI:
    """Trains a pair step by step, as `pyro.infer.SVI` does, at the speed of hand-written PyTorch.

    Args:
        model: The generative program, its parameters in plain modules.
        guide: The inference program, called with the same arguments.
        optim: A torch optimiser of the pair's parameters, or a function that makes one of them;
            Adam with learning rate 1e-3 unless given.
        loss: The objective; unit weights and no hooks unless given.
        mode: How a step runs: `"eager"`, `"record"`, `"compile"`, `"fused"` or `"graph"`; see
            `Step`.
        clip_norm: Largest norm of the gradient, or None.
        precision: `"float32"`, or `"bfloat16"` for autocast of the nets.

    Raises:
        PairError: At the first step, if model and guide do not fit.

    Example:
        >>> svi = SVI(model, guide, lambda parameters: torch.optim.Adam(parameters, lr=1e-3))
        >>> loss = svi.step(x)
    """

    def __init__(
        self,
        model: Program,
        guide: Program,
        optim: Optimizer | MakeOptimizer | None = None,
        loss: Objective | None = None,
        *,
        mode: Mode = "record",
        clip_norm: float | None = None,
        precision: Precision = "float32",
    ) -> None:
        self.model, self.guide = model, guide
        self.loss = Objective() if loss is None else loss
        self.optim: Optimizer | MakeOptimizer = fused_adam if optim is None else optim
        self._settings: dict[str, Any] = {
            "mode": mode,
            "clip_norm": clip_norm,
            "precision": precision,
            "summed": True,
        }
        self._step: Step | None = None

    def step(self, *args: Any) -> Tensor:
        """Take one step; return the loss before it, summed over the batch, nats, on the device."""
        if self._step is None:
            facts = self.loss.facts(self.model, self.guide, args)
            if not isinstance(self.optim, Optimizer):
                self.optim = self.optim(facts.require_parameters())
            self._step = Step(self.model, self.guide, self.loss, self.optim, **self._settings)
        parts = self._step(args)
        self.loss.advance()
        return parts["loss"] * self._step.size

    def evaluate_loss(self, *args: Any) -> float:
        """Return the loss summed over the batch, nats, without a step."""
        return self.loss.loss(self.model, self.guide, *args)
