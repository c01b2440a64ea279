"""Turn a function that runs a Pyro pair into a straight line of tensor operations.

`record` runs the function once under `make_fx`, its backward pass included; what comes back is a
graph of ATen calls in which Pyro, torch's distributions and autograd no longer run. Shapes,
dtypes, devices, train flags and Python numbers are baked in; parameters and inputs are arguments,
and tensors that the function closes over, such as a schedule's step, are read where they lie, so
changing them in place is seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

Tensors = Sequence[Tensor]


def _normal(
    mean: Tensor | float, std: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """Draw what `torch.normal` draws, which reads on the host whether a scale is negative."""
    shape = torch.broadcast_shapes(getattr(mean, "shape", ()), std.shape)
    like: dict[str, Any] = {"dtype": std.dtype, "device": std.device}
    if generator is not None:
        like["generator"] = generator
    return torch.randn(shape, **like) * std + mean


UNCHECKED: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.normal.Tensor_Tensor: _normal,
    torch.ops.aten.normal.float_Tensor: _normal,
}
"""Draws that are recorded without their checks, which would make the host wait for a GPU."""


class NotStaticError(RuntimeError):
    """The function depends on tensor values in Python, so that one run cannot stand for all."""


class ParameterSlots:
    """The places in modules where given parameters lie, so that other tensors can stand there.

    Args:
        roots: The modules to search.
        parameters: The parameters to find, by identity.
    """

    def __init__(self, roots: Iterable[nn.Module], parameters: Tensors) -> None:
        places = {id(parameter): i for i, parameter in enumerate(parameters)}
        owners = {id(module): module for root in roots for module in root.modules()}
        self._slots = [
            (module._parameters, key, places[id(parameter)])
            for module in owners.values()
            for key, parameter in module._parameters.items()
            if id(parameter) in places
        ]

    @contextmanager
    def holding(self, tensors: Tensors) -> Iterator[None]:
        """Put `tensors`, in the order of the parameters, in their places until the block ends."""
        kept = [slots[key] for slots, key, _ in self._slots]
        for slots, key, i in self._slots:
            slots[key] = tensors[i]  # pyright: ignore[reportArgumentType]
        try:
            yield
        finally:
            for (slots, key, _), parameter in zip(self._slots, kept, strict=True):
                slots[key] = parameter


def record(
    function: Callable[[list[Tensor], list[Tensor]], Any],
    parameters: Tensors,
    inputs: Tensors,
    decompositions: Mapping[Any, Callable[..., Any]] | None = None,
    real: bool = True,
) -> fx.GraphModule:
    """Record `function(parameters, inputs)` as a graph of ATen calls.

    Args:
        function: Maps tensors to (nested lists of) tensors; gradients taken inside it become part
            of the graph.
        parameters: Example parameters, detached.
        inputs: Example inputs.
        decompositions: Functions to record in place of ATen calls, by overload.
        real: Whether the calls are carried out, which takes the memory of all their outputs.

    Returns:
        A callable of the same signature.

    Raises:
        NotStaticError: If the function reads a tensor's value on the host.
    """
    try:
        traced = make_fx(
            function,
            {**UNCHECKED, **(decompositions or {})},
            tracing_mode="real" if real else "fake",
            _allow_non_fake_inputs=not real,
        )
        graph = traced(list(parameters), list(inputs))
    except RuntimeError as error:
        raise NotStaticError(f"the step cannot be recorded: {error}") from error
    for node in list(graph.graph.nodes):
        if node.target is torch.ops.aten.detach.default:
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
        elif node.target is torch.ops.aten._local_scalar_dense.default:
            raise NotStaticError("the step reads a tensor's value on the host")
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph
