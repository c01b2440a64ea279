"""One step of stochastic variational inference: loss, gradients, update, in five modes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal, get_args

import pyro
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils import _pytree as pytree

from .critics import CriticInputs, Critics
from .cuda_graph import CapturedSteps
from .fused import AdamState, FusedAdam
from .guard import Guard
from .hooks import Batch, has_critic, rewrites_gradients
from .objective import Objective, gradients
from .recording import NotStaticError, ParameterSlots, record
from .sites import Program, modules_of
from .terms import Terms
from .untouched import untouched

logger = logging.getLogger("unbraid")

Mode = Literal["eager", "record", "compile", "fused", "graph"]
Precision = Literal["float32", "bfloat16"]
Recorded = Callable[[list[Tensor], list[Tensor]], tuple[list[Tensor], list[Tensor], CriticInputs]]


class Step:
    """Moves a pair's parameters by one optimiser step per call.

    Nothing is read on the host. `size` is the number of data that the last batch stands for. With
    `guard`, a step whose loss or gradient is not finite changes nothing, nor does any later one,
    until `bad` is read and the cause is dealt with. Critics step after the pair: where only a
    critic's loss is not finite, the pair has taken that one step, and neither takes another.

    Args:
        model: The generative program.
        guide: The inference program.
        objective: The loss, with its weights and hooks.
        optimizer: A torch optimiser of the pair's parameters.
        mode: `"eager"` runs Pyro at every step; `"record"` runs it once per shape and replays its
            tensor operations; `"compile"` compiles the recording; `"fused"` compiles it together
            with the (Adam or AdamW) update; `"graph"` captures the recording, the (fused Adam or
            AdamW) update and the critics' steps as one CUDA graph, and leaves no `.grad`.
        clip_norm: Largest norm of the gradient, or None.
        precision: `"bfloat16"` runs the nets under autocast; densities stay in float32.
        summed: Whether gradients are those of the loss summed over the batch, as Pyro's, not of
            the mean per datum.
        guard: Whether steps with a non-finite loss or gradient are held back.

    Raises:
        ValueError: If `mode`, `precision` or `clip_norm` is none of the accepted.
    """

    def __init__(
        self,
        model: Program,
        guide: Program,
        objective: Objective,
        optimizer: Optimizer,
        *,
        mode: Mode = "record",
        clip_norm: float | None = None,
        precision: Precision = "float32",
        summed: bool = False,
        guard: bool = False,
    ) -> None:
        _one_of("mode", mode, get_args(Mode))
        _one_of("precision", precision, get_args(Precision))
        if clip_norm is not None and not 0 < clip_norm < float("inf"):
            raise ValueError(
                f"clip_norm is {clip_norm}; expected a finite number above 0, or None"
            )
        self.model, self.guide, self.objective, self.optimizer = model, guide, objective, optimizer
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.clip_norm, self.precision, self.summed = clip_norm, precision, summed
        self.guard = Guard(self.parameters[0].device) if guard else None
        if self.guard is not None:
            self.guard.watch(optimizer)
        self.critics = Critics([h for h in objective.hooks if has_critic(h)], self.guard)
        self.mode: Mode = self._possible_mode(mode)
        self._modules = modules_of(model, guide)
        self._submodules = [part for module in self._modules for part in module.modules()]
        self._slots = ParameterSlots(self._modules, self.parameters)
        self._compiled: dict[Any, Any] = {}
        self._detached: list[Tensor] = []
        self._adam: AdamState | None = None
        optimizers = [optimizer, *self.critics.optimizers.values()]
        self._graphs = CapturedSteps(optimizers) if self.mode == "graph" else None
        self.size = 0

    def _possible_mode(self, mode: Mode) -> Mode:
        if mode != "eager" and not self.critics.recordable:
            logger.info(
                "mode %s: a critic in one stage needs the terms of each step; using eager", mode
            )
            return "eager"
        hooks = self.objective.hooks
        apart = self.clip_norm is not None or any(map(rewrites_gradients, hooks))
        apart = apart or bool(self.critics.hooks)
        if mode == "fused" and (apart or not FusedAdam.fits(self.optimizer)):
            logger.warning(
                "mode fused needs plain Adam or AdamW, and no clipping or hook that has a critic "
                "or changes gradients; using compile"
            )
            return "compile"
        if mode == "graph" and not all(
            map(CapturedSteps.fits, [self.optimizer, *self.critics.optimizers.values()])
        ):
            logger.warning(
                "mode graph needs a CUDA device and fused Adam or AdamW, of the pair and of "
                "critics; using record"
            )
            return "record"
        if mode == "graph" and any(hook.generator is not None for hook in hooks):
            logger.warning(
                "mode graph needs hooks that draw by torch's own generator; using record"
            )
            return "record"
        return mode

    @property
    def bad(self) -> Tensor:
        """1 once a loss or gradient was not finite, else 0: a scalar float on the device.

        Raises:
            RuntimeError: If the step was made without a guard.
        """
        if self.guard is None:
            raise RuntimeError("this step has no guard; expected Step(..., guard=True)")
        return self.guard.bad

    def __call__(self, args: tuple[Any, ...], batch: Batch | None = None) -> dict[str, Tensor]:
        """Take one step.

        Args:
            args: The arguments of model and guide.
            batch: What hooks are given as batch.

        Returns:
            Detached scalars in nats per datum: `loss`, `elbo`, each site's and each hook's part.

        Raises:
            CaptureError: In mode `"graph"`, if a hook reads from the device or data lie elsewhere.
        """
        # Freed first, so that this step's memory is the last step's, still in the cache.
        for parameter in self.parameters:
            parameter.grad = None
        if self.mode == "eager":
            return self._eager_step(args, batch)
        tensors, key, rebuild = _flatten(args, batch)
        key = (key, tuple(part.training for part in self._submodules))
        if key not in self._compiled:
            run, names = self._build(args, batch, tensors, rebuild)
            self._compiled[key] = (run, names, self.size)
        run, names, self.size = self._compiled[key]
        if run is None:
            return self._eager_step(args, batch)
        with torch.no_grad():
            if isinstance(run, FusedAdam):
                return dict(zip(names, run(tensors), strict=True))
        if self._graphs is not None:
            parts = self._graphs.take(key, tensors, partial(self._recorded_step, run, names))
            for parameter in self.parameters:
                parameter.grad = None  # its memory is the next replay's
            return parts
        return self._recorded_step(run, names, tensors)

    def _recorded_step(
        self, run: Recorded, names: list[str], tensors: list[Tensor]
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            values, found, inputs = run(self._detached, tensors)
        parts = dict(zip(names, values, strict=True))
        for parameter, gradient in zip(self.parameters, found, strict=True):
            parameter.grad = gradient
        self._update(values[0])
        return parts | self.critics.step(inputs) if self.critics.hooks else parts

    def _loss_and_gradients(
        self, args: tuple[Any, ...], batch: Batch | None, parameters: Sequence[Tensor]
    ) -> tuple[dict[str, Tensor], list[Tensor | None], Terms, CriticInputs]:
        with self._autocast(), pyro.validation_enabled(False):
            loss = self.objective.mean_loss(self.model, self.guide, args, batch)
        self.size = size = loss.terms.population
        if self.summed:
            summed = [share._replace(penalty=share.penalty * size) for share in loss.routed]
            loss = loss._replace(total=loss.total * size, routed=summed)
        found = gradients(loss, self.model, self.guide, parameters)
        with self._autocast(), pyro.validation_enabled(False):
            inputs = self.critics.inputs(loss.terms, _given(args, batch))
        return loss.parts, found, loss.terms, inputs

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.parameters[0].device.type, torch.bfloat16, cache_enabled=False)

    def _eager_step(self, args: tuple[Any, ...], batch: Batch | None) -> dict[str, Tensor]:
        parts, found, terms, inputs = self._loss_and_gradients(args, batch, self.parameters)
        for parameter, gradient in zip(self.parameters, found, strict=True):
            parameter.grad = gradient
        self._update(parts["loss"])
        if self.critics.hooks:
            whole = None if self.critics.recordable else terms.detach()
            parts.update(self.critics.step(inputs, whole, _given(args, batch)))
        return parts

    def _update(self, loss: Tensor) -> None:
        for hook in self.objective.hooks:
            hook.after_backward()
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        if self.guard is None:
            self.optimizer.step()
        else:
            self.guard.step(self.optimizer, self.parameters, loss)

    def _build(
        self,
        args: tuple[Any, ...],
        batch: Batch | None,
        tensors: list[Tensor],
        rebuild: Callable[[list[Tensor]], tuple[tuple[Any, ...], Batch | None]],
    ) -> tuple[Recorded | FusedAdam | None, list[str]]:
        """Record the step for one set of shapes; None where it must run eagerly.

        Returns:
            The recorded step and the names of the parts that it returns.
        """
        names: list[str] = []

        def loss_and_gradients(
            parameters: list[Tensor], inputs: list[Tensor]
        ) -> tuple[list[Tensor], list[Tensor | None], CriticInputs]:
            leaves = [p.detach().requires_grad_() for p in parameters]
            with self._slots.holding(leaves):
                parts, found, _, given = self._loss_and_gradients(*rebuild(inputs), leaves)
            names[:] = parts
            return list(parts.values()), found, given

        self.objective.facts(self.model, self.guide, args)
        self._detached = detached = [p.detach() for p in self.parameters]
        hooks = self.objective.hooks
        generators = [hook.generator for hook in hooks if hook.generator is not None]
        try:
            with untouched([*self._modules, *hooks], self.parameters, generators):
                graph = record(loss_and_gradients, detached, tensors)
                _compare(graph, loss_and_gradients, detached, tensors)
        except NotStaticError as error:
            logger.warning("%s; every step runs Pyro instead (mode eager)", error)
            return None, names
        if self.mode in ("record", "graph"):
            return graph, names
        if self.mode == "compile":
            return torch.compile(graph, fullgraph=True, dynamic=False), names
        if self._adam is None:
            self._adam = AdamState(self.optimizer)
        bad = None if self.guard is None else self.guard.bad
        return FusedAdam(graph, self._adam, bad), names


def _given(args: tuple[Any, ...], batch: Batch | None) -> Batch:
    """What hooks are given as batch."""
    return {"x": args[0]} if batch is None else batch


def _one_of(name: str, value: str, accepted: Sequence[str]) -> None:
    if value not in accepted:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(accepted)}")


def _flatten(
    args: tuple[Any, ...], batch: Batch | None
) -> tuple[
    list[Tensor], Any, Callable[[list[Tensor]], tuple[tuple[Any, ...], Mapping[str, Any] | None]]
]:
    """Split arguments into tensors, a key of all else, and a function that joins them again."""
    if batch is None and all(isinstance(arg, Tensor) for arg in args):
        return list(args), tuple(map(_layout, args)), lambda new: (tuple(new), None)
    leaves, spec = pytree.tree_flatten((args, None if batch is None else dict(batch)))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    tensors = [leaves[i] for i in places]
    fixed = tuple(leaf for leaf in leaves if not isinstance(leaf, Tensor))
    key = (spec, fixed, tuple(map(_layout, tensors)))

    def rebuild(new: list[Tensor]) -> tuple[tuple[Any, ...], Mapping[str, Any] | None]:
        filled = list(leaves)
        for i, tensor in zip(places, new, strict=True):
            filled[i] = tensor
        return pytree.tree_unflatten(filled, spec)

    return tensors, key, rebuild


def _layout(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, tensor.device


def _compare(graph: Any, function: Any, parameters: list[Tensor], inputs: list[Tensor]) -> None:
    """Refuse a recording whose loss differs from an eager run's on fresh noise."""
    losses = []
    for run in (function, graph):
        torch.manual_seed(20_001)
        losses.append(run(parameters, inputs)[0][0].detach())
    if not torch.allclose(losses[0], losses[1], rtol=1e-4, atol=1e-6, equal_nan=True):
        raise NotStaticError(
            f"the recording gives a loss of {losses[1]:.6g} where an eager run gives "
            f"{losses[0]:.6g}"
        )
