"""Loss, gradients and the Adam update as one compiled graph."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.optim import Adam, AdamW, Optimizer


class AdamState:
    """The moments and the step count of a torch Adam, shared by all compiled steps of it.

    Args:
        optimizer: An `Adam` or `AdamW` with one parameter group; its state is made where it has
            none, and stays the optimiser's own, so that checkpoints, and steps that it takes by
            itself in between, see it.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.group = optimizer.param_groups[0]
        self.decoupled = self.group["decoupled_weight_decay"]
        self._betas = self.group["betas"]
        self.parameters = [p.detach() for p in self.group["params"]]
        # What torch's schedules look at to warn of a step that was left out.
        optimizer._opt_called = True  # pyright: ignore[reportAttributeAccessIssue]
        device = self.parameters[0].device
        # One element rather than 0-dim: torch 2.13 compiles mutated 0-dim float64 inputs wrongly.
        self.count = torch.zeros(1, dtype=torch.float32, device=device)
        self._rate = torch.zeros(1, dtype=torch.float32, device=device)
        self._rate_value: float | None = None
        entries = [optimizer.state[p] for p in self.group["params"]]
        for parameter, entry in zip(self.parameters, entries, strict=True):
            if "step" in entry:
                self.count.fill_(float(entry["step"]))
            else:
                entry["exp_avg"] = torch.zeros_like(parameter)
                entry["exp_avg_sq"] = torch.zeros_like(parameter)
            # Not the count itself: torch's own step adds one to each.
            entry["step"] = torch.zeros((), dtype=torch.float32, device=device)
        self._steps = [entry["step"] for entry in entries]
        optimizer.register_state_dict_pre_hook(self._tell)
        optimizer.register_step_pre_hook(self._tell)
        optimizer.register_step_post_hook(self._hear)
        self.means = [entry["exp_avg"] for entry in entries]
        self.squares = [entry["exp_avg_sq"] for entry in entries]

    def _tell(self, *_: Any) -> None:
        for step in self._steps:
            step.copy_(self.count[0])

    def _hear(self, *_: Any) -> None:
        self.count.fill_(float(self._steps[0]))

    def rate(self) -> Tensor:
        """The learning rate that the optimiser has now, `(1,)`.

        Raises:
            ValueError: If a schedule has changed the betas, which are compiled in.
        """
        if self.group["betas"] != self._betas:
            raise ValueError(
                f"betas are {self.group['betas']}; expected {self._betas} as at the first step. "
                "Use mode 'compile' for schedules of the momentum"
            )
        rate: float = self.group["lr"]
        if rate != self._rate_value:
            self._rate_value = rate
            self._rate.fill_(rate)
        return self._rate


class FusedAdam:
    """A compiled step of Adam (Kingma & Ba 2015, algorithm 1) or AdamW.

    Args:
        graph: The recorded `(parameters, inputs) -> (parts, gradients)`.
        state: The optimiser's moments, which the step keeps up to date.
        bad: Device float that a non-finite loss or gradient sets to 1 for good; updates then
            stop. Or None.
    """

    def __init__(self, graph: fx.GraphModule, state: AdamState, bad: Tensor | None) -> None:
        self._state = state
        self._bad = torch.zeros_like(state.count) if bad is None else bad.view(1)
        step = _whole_step(graph, state.group, state.decoupled, guarded=bad is not None)
        self._step = torch.compile(step, fullgraph=True, dynamic=False)

    @staticmethod
    def fits(optimizer: Optimizer) -> bool:
        """Whether an optimiser is a plain Adam or AdamW that this step can stand for."""
        if type(optimizer) not in (Adam, AdamW) or len(optimizer.param_groups) != 1:
            return False
        group = optimizer.param_groups[0]
        return not (group["amsgrad"] or group["maximize"] or isinstance(group["lr"], Tensor))

    def __call__(self, inputs: list[Tensor]) -> Sequence[Tensor]:
        """Take one step; return the parts of the loss."""
        s = self._state
        return self._step(s.parameters, s.means, s.squares, s.count, s.rate(), self._bad, inputs)


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
        parts, found, _ = graph(parameters, inputs)
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
            new = kept - rate * (new_mean / correction1) / (new_square.sqrt() / correction2 + eps)
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
