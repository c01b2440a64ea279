"""Steps captured as CUDA graphs: all kernels of a step are launched by one call of the host."""

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

WARM_UP = 3
"""Steps of each set of shapes that run plainly first: libraries make their handles, optimisers
their state, none of which may happen in a capture."""

Parts = dict[str, Tensor]


class CaptureError(RuntimeError):
    """A step cannot be captured as a CUDA graph."""


class CapturedSteps:
    """Takes steps by replaying CUDA graphs, one per set of shapes.

    A replay reads its inputs, parameters, moments, learning rates and noise from where they lie,
    so it is the plain step of the same batch and seed, but for the rounding of the learning rate
    to float32. Graphs share one pool of memory: what one left there is copied out before the next.

    Args:
        optimizers: Whose steps are captured; each `fits`.

    Raises:
        ValueError: If an optimiser does not fit.
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        if not all(map(self.fits, optimizers)):
            raise ValueError("an optimiser is no fused Adam or AdamW on a CUDA device")
        self._optimizers = list(optimizers)
        device = self._groups[0]["params"][0].device
        self._rates = [torch.zeros((), device=device) for _ in self._groups]
        self._rate_values: list[float | None] = [None] * len(self._groups)
        self._fixed = self._hyperparameters()
        self._pool: Any = None
        self._plain: dict[Any, int] = {}
        self._captured: dict[Any, _Captured] = {}
        self._state: list[Tensor | None] = []

    @property
    def _groups(self) -> list[dict[str, Any]]:
        """The optimisers' groups, which they replace when they load a state."""
        return [group for optimizer in self._optimizers for group in optimizer.param_groups]

    @staticmethod
    def fits(optimizer: Optimizer) -> bool:
        """Whether an optimiser's step can be captured: fused Adam or AdamW on a CUDA device."""
        return type(optimizer) in (Adam, AdamW) and all(
            group["fused"]
            and not isinstance(group["lr"], Tensor)
            and all(parameter.is_cuda for parameter in group["params"])
            for group in optimizer.param_groups
        )

    def take(self, key: Any, inputs: list[Tensor], step: Callable[[list[Tensor]], Parts]) -> Parts:
        """Take one step.

        Args:
            key: Of the shapes of the inputs and all else that `step` has baked in.
            inputs: The step's data.
            step: The plain step of these data, which returns scalars.

        Raises:
            CaptureError: If the step reads from the device or is otherwise not to be captured.
            ValueError: If a number other than the learning rate was changed since the first step.
        """
        state = self._first_means()
        if len(state) != len(self._state) or any(map(operator.is_not, state, self._state)):
            self._captured.clear()  # an optimiser has loaded another state
            self._state = state
        if key not in self._captured:
            taken = self._plain.get(key, 0)
            if taken < WARM_UP:
                self._plain[key] = taken + 1
                return step(inputs)
            self._captured[key] = self._capture(inputs, step)
        if self._hyperparameters() != self._fixed:
            raise ValueError(
                "betas, eps or weight decay of an optimiser were changed after its first step; "
                "expected those of then, which are captured. Use mode 'record'"
            )
        for i, group in enumerate(self._groups):
            if group["lr"] != self._rate_values[i]:
                self._rate_values[i] = group["lr"]
                self._rates[i].fill_(group["lr"])
        return self._captured[key].replay(inputs)

    def _capture(self, inputs: list[Tensor], step: Callable[[list[Tensor]], Parts]) -> "_Captured":
        elsewhere = [tensor.device for tensor in inputs if not tensor.is_cuda]
        if elsewhere:
            raise CaptureError(
                f"a tensor of the batch is on {elsewhere[0]}; expected all on the GPU, as a "
                "captured step reads nothing else. Move it, or use mode 'record'"
            )
        held = [tensor.clone() for tensor in inputs]
        graph = torch.cuda.CUDAGraph()
        try:
            with self._rates_on_the_device(), torch.cuda.graph(graph, pool=self._pool):
                parts = step(held)
                kind = torch.float64 if _any_double(parts) else torch.float32
                values = torch.stack([value.to(kind) for value in parts.values()])
        except RuntimeError as error:
            _free_noise(self._rates[0].device)
            cause = error.__context__ or error  # the end of a failed capture fails as well
            said = str(cause).partition("\n")[0]
            raise CaptureError(
                f"the step cannot be captured as a CUDA graph: {said}. Use mode 'record'"
            ) from error
        if self._pool is None:
            self._pool = graph.pool()
        return _Captured(graph, held, list(parts), values)

    @contextmanager
    def _rates_on_the_device(self) -> Iterator[None]:
        """Have optimisers read their learning rates from tensors until the block ends."""
        groups = self._groups
        kept = [(group["lr"], group["capturable"]) for group in groups]
        for group, rate in zip(groups, self._rates, strict=True):
            group["lr"], group["capturable"] = rate, True
        try:
            yield
        finally:
            for group, (rate, capturable) in zip(groups, kept, strict=True):
                group["lr"], group["capturable"] = rate, capturable

    def _first_means(self) -> list[Tensor | None]:
        """A tensor of each optimiser's state, which is another one once a state was loaded."""
        firsts = [o.state.get(o.param_groups[0]["params"][0], {}) for o in self._optimizers]
        return [state.get("exp_avg") for state in firsts]

    def _hyperparameters(self) -> list[tuple[Any, ...]]:
        return [(group["betas"], group["eps"], group["weight_decay"]) for group in self._groups]


class _Captured:
    """One captured step: where its inputs are read and its scalars are left."""

    def __init__(
        self, graph: torch.cuda.CUDAGraph, inputs: list[Tensor], names: list[str], values: Tensor
    ) -> None:
        self._graph, self._inputs, self._names, self._values = graph, inputs, names, values

    def replay(self, inputs: list[Tensor]) -> Parts:
        for held, given in zip(self._inputs, inputs, strict=True):
            held.copy_(given)
        self._graph.replay()
        return dict(zip(self._names, self._values.clone().unbind(), strict=True))


def _free_noise(device: torch.device) -> None:
    """Give a device noise again: a failed capture keeps the generator's state for itself."""
    generator = torch.cuda.default_generators[device.index or 0]
    generator.graphsafe_set_state(torch.Generator(device).manual_seed(generator.initial_seed()))


def _any_double(parts: Parts) -> bool:
    return any(value.dtype == torch.float64 for value in parts.values())
