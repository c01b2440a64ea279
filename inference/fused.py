"""Loss, gradients and the Adam update as one compiled graph."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.optim import Adam, AdamW, Optimizer


class FusedAdam:
    """A compiled step of Adam (Kingma & Ba 2015, algorithm 1) or AdamW that shares its state with a torch optimiser.

    Args:
        graph: The recorded `(parameters, inputs) -> (parts, gradients)`.
        optimizer: An `Adam` or `AdamW` with one parameter group; its moments are used and kept up to date.
        bad: Device float that is set to 1, for good, by a non-finite loss or gradient; updates then stop. Or None.
    """

    def __init__(self, graph: fx.GraphModule, optimizer: Optimizer, bad: Tensor | None) -> None:
        self._optimizer, self._group = optimizer, optimizer.param_groups[0]
        self._parameters = [p.detach() for p in self._group["params"]]
        first = self._parameters[0]
        # One element rather than 0-dim: torch 2.13 compiles mutated 0-dim float64 inputs wrongly.
        self._count = torch.zeros(1, dtype=torch.float32, device=first.device)
        self._rate = torch.zeros(1, dtype=torch.float32, device=first.device)
        self._rate_value: float | None = None
        self._bad = torch.zeros(1, device=first.device) if bad is None else bad.view(1)
        self._moments = self._adopt_state()
        self._step = torch.compile(
            _whole_step(graph, self._group, decoupled=isinstance(optimizer, AdamW), guarded=bad is not None),
            fullgraph=True,
            dynamic=False,
        )

    @staticmethod
    def fits(optimizer: Optimizer) -> bool:
        """Whether an optimiser is a plain Adam or AdamW that this graph can stand for."""
        if type(optimizer) not in (Adam, AdamW) or len(optimizer.param_groups) != 1:
            return False
        group = optimizer.param_groups[0]
        return not (group["amsgrad"] or group["maximize"] or isinstance(group["lr"], Tensor))

    def _adopt_state(self) -> tuple[list[Tensor], list[Tensor]]:
        """Take the optimiser's moments, or make them; its step counters become views of one tensor."""
        state = self._optimizer.state
        for parameter in self._group["params"]:
            entry = state[parameter]
            if "exp_avg" not in entry:
                entry["exp_avg"] = torch.zeros_like(parameter, requires_grad=False)
                entry["exp_avg_sq"] = torch.zeros_like(parameter, requires_grad=False)
            else:
                self._count.fill_(float(entry["step"]))
        for parameter in self._group["params"]:
            state[parameter]["step"] = self._count[0]
        entries = [state[parameter] for parameter in self._group["params"]]
        return [e["exp_avg"] for e in entries], [e["exp_avg_sq"] for e in entries]

    def __call__(self, inputs: list[Tensor]) -> Sequence[Tensor]:
        """Take one step; return the parts of the loss."""
        if self._group["lr"] != self._rate_value:
            self._rate_value = self._group["lr"]
            self._rate.fill_(self._rate_value)
        means, squares = self._moments
        return self._step(
            self._parameters, means, squares, self._count, self._rate, self._bad, inputs
        )


def _whole_step(
    graph: fx.GraphModule, group: dict[str, Any], decoupled: bool, guarded: bool
) -> Any:
    beta1, beta2 = group["betas"]
    eps, decay = group["eps"], group["weight_decay"]

    def step(
        parameters: list[Tensor],
        means: list[Tensor],
        squares: list[Tensor],
        count: Tensor,
        rate: Tensor,
        bad: Tensor,
        inputs: list[Tensor],
    ) -> list[Tensor]:
        parts, found = graph(parameters, inputs)
        if guarded:
            finite = torch.isfinite(parts[0])
            for gradient in found:
                if gradient is not None:
                    finite = finite & torch.isfinite(gradient).all()
            bad.copy_(torch.where(finite, bad, torch.ones_like(bad)))
        good = 1.0 - bad
        count.add_(good)
        # 1 - beta**count in float32 would lose four digits at the first steps.
        correction1 = -torch.expm1(count * math.log(beta1))
        correction2 = (-torch.expm1(count * math.log(beta2))).sqrt()
        for parameter, gradient, mean, square in zip(
            parameters, found, means, squares, strict=True
        ):
            if gradient is None:
                continue
            if decay and not decoupled:
                gradient = gradient + decay * parameter
            new_mean = mean + (1 - beta1) * (gradient - mean)
            new_square = beta2 * square + (1 - beta2) * gradient * gradient
            kept = parameter * (1 - rate * decay) if decay and decoupled else parameter
            new = kept - rate * (new_mean / correction1) / (
                new_square.sqrt() / correction2 + eps
            )
            if guarded:
                stop = bad[0] > 0
                new_mean = torch.where(stop, mean, new_mean)
                new_square = torch.where(stop, square, new_square)
                new = torch.where(stop, parameter, new)
            mean.copy_(new_mean)
            square.copy_(new_square)
            parameter.copy_(new)
        return parts

    return step
