"""Importance weights of a chunk of samples as one compiled function."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from .eligibility import Layout
from .guide_draws import Draw
from .log_weights import log_weights
from .recording import ParameterSlots, record
from .sites import Program, modules_of


class CompiledWeights:
    """`log_weights` for chunks of one shape: what one run did to tensors, compiled.

    Args:
        model: The generative program.
        args: Its arguments for the first chunk.
        draws: The guide's samples for it.
        layout: How the pair is laid out.
        inner: Samples of the nested sites per sample of the others.
        prior_share: Share of the prior among the samples.
    """

    def __init__(
        self,
        model: Program,
        args: tuple[Tensor, ...],
        draws: list[Draw],
        layout: Layout,
        inner: int,
        prior_share: float = 0.0,
    ) -> None:
        settings: dict[str, Any] = {"inner": inner, "fused": True, "prior_share": prior_share}

        def function(state: list[Tensor], tensors: list[Tensor]) -> Tensor:
            inputs = iter(tensors)
            own_args = tuple(next(inputs) for _ in args)
            own_draws = [
                draw._replace(
                    value=next(inputs), log_q=None if draw.log_q is None else next(inputs)
                )
                for draw in draws
            ]
            with slots.holding(state):
                return log_weights(model, own_args, own_draws, layout, **settings)

        modules = modules_of(model)
        parameters = {id(p): p for module in modules for p in module.parameters()}
        self._parameters = [parameter.detach() for parameter in parameters.values()]
        slots = ParameterSlots(modules, list(parameters.values()))
        tensors = _tensors(args, draws)
        graph = record(function, self._parameters, tensors, _UNFUSED, real=False)
        self._function = _compile(graph, [*self._parameters, *tensors])

    def __call__(self, args: tuple[Tensor, ...], draws: list[Draw]) -> Tensor:
        """Log-weights, float64 `(k, B)`, of a chunk of the same shape."""
        return self._function(self._parameters, _tensors(args, draws))


def _addmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """A product whose bias is added where its output is next read, not copied beforehand."""
    return bias * beta + a.mm(b) * alpha if (beta, alpha) != (1, 1) else a.mm(b) + bias


_UNFUSED = {torch.ops.aten.addmm.default: _addmm}
# The pattern matcher would make the products copy their biases again.
_OPTIONS: dict[str, Any] = {"pattern_matcher": False}
_KEPT, _SMALL = 8, 64
_compiled: dict[tuple[Any, ...], Any] = {}
"""The latest compiled recordings, by their text, constants and inputs' layouts."""


def _compile(graph: fx.GraphModule, tensors: Sequence[Tensor]) -> Any:
    """Compile a recording, or find an equal one that was compiled before.

    Weights are inputs of a recording. One that holds large tensors of its own is compiled anew.
    """
    names = [str(node.target) for node in graph.graph.nodes if node.op == "get_attr"]
    constants = [getattr(graph, name) for name in names]
    shareable = all(isinstance(c, Tensor) and c.numel() <= _SMALL for c in constants)
    if not shareable:
        return torch.compile(graph, fullgraph=True, dynamic=False, options=_OPTIONS)
    for name, constant in zip(names, constants, strict=True):
        setattr(graph, name, constant.clone())  # its owner may change it later
    key = (
        graph.code,
        tuple((*_layout(c), tuple(c.flatten().tolist())) for c in constants),
        tuple(map(_layout, tensors)),
        torch.get_num_threads(),
    )
    found = _compiled.pop(key, None)
    if found is None:
        found = torch.compile(graph, fullgraph=True, dynamic=False, options=_OPTIONS)
    _compiled[key] = found
    if len(_compiled) > _KEPT:
        del _compiled[next(iter(_compiled))]
    return found


def _layout(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def _tensors(args: tuple[Tensor, ...], draws: Sequence[Draw]) -> list[Tensor]:
    pairs = [tensor for draw in draws for tensor in (draw.value, draw.log_q)]
    return [*args, *(tensor for tensor in pairs if tensor is not None)]
