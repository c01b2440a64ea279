"""One validated pass of a pair: what is wrong with it is said by site before anything trains."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from pyro.poutine.trace_struct import Trace
from torch import Tensor, nn

from .sites import Program, modules_of
from .untouched import untouched

RECIPE = (
    "Keep parameters in plain nn.Modules (self.net = ...) and pass the modules as model and "
    "guide, without pyro.param or pyro.module"
)


class PairError(ValueError):
    """A model and its guide do not fit each other or the contract of a pair."""


@dataclass(frozen=True)
class PairFacts:
    """What one pass of a pair showed.

    Args:
        nesting: Number of dims that the pair's plates take.
        enumerated: Whether a site is marked for enumeration.
        size: Number of data in the batch.
        latents: Latent sites that both have, in the model's order.
        observed: Observed sites.
        parameters: The trainable parameters of both modules, each once.
    """

    nesting: int
    enumerated: bool
    size: int
    latents: tuple[str, ...]
    observed: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...] = field(repr=False)

    def require_parameters(self) -> tuple[nn.Parameter, ...]:
        """The trainable parameters.

        Raises:
            PairError: If there are none.
        """
        if not self.parameters:
            raise PairError(f"model and guide have no trainable parameters. {RECIPE}")
        return self.parameters


def check_pair(model: Program, guide: Program, *args: Any) -> PairFacts:
    """Run guide and model once, with checks, and say by site what does not fit.

    Random number generators and module state are left as they were.

    Args:
        model: The generative program.
        guide: The inference program, called with the same arguments.
        *args: The arguments of both.

    Returns:
        What the pass showed.

    Raises:
        PairError: If sites, shapes or plates of the two differ, a plate is missing, nothing is
            observed, a guide site can be neither differentiated nor enumerated, parameters live
            outside of the modules, or an argument is an array of NumPy.
    """
    require_tensors(args)
    trial = untouched(modules_of(model, guide), [a for a in args if isinstance(a, Tensor)])
    with trial, torch.no_grad(), pyro.validation_enabled(True):
        with _told_of("guide", args):
            guide_trace = poutine.trace(guide).get_trace(*args)
        with _told_of("model", args), _FittingValues(guide_trace):
            model_trace = poutine.trace(model).get_trace(*args)
        p, q = dict(_sample_sites(model_trace)), dict(_sample_sites(guide_trace))
        _refuse_parameters(model_trace, guide_trace)
        _compare_names(p, q)
        for name in q:
            _compare_site(name, p[name], q[name])
        for role, trace in (("guide", guide_trace), ("model", model_trace)):
            with _told_of(role, args):
                trace.compute_log_prob()
    for role, sites in (("model", p), ("guide", q)):
        for name, site in sites.items():
            _check_shapes(role, name, site)
    for name, site in q.items():
        _check_differentiable(name, site)
    observed = tuple(name for name, site in p.items() if site["is_observed"])
    if not observed:
        raise PairError(
            "the model has no observed site; expected pyro.sample(..., obs=x). "
            "Pass the data to the model and observe it"
        )
    plates = [f for s in (*p.values(), *q.values()) for f in s["cond_indep_stack"] if f.vectorized]
    return PairFacts(
        nesting=-min((frame.dim for frame in plates), default=0),
        enumerated=any(s["infer"].get("enumerate") for s in (*p.values(), *q.values())),
        size=next((f.size for f in plates if f.name == "data"), plates[0].size if plates else 1),
        latents=tuple(name for name, site in p.items() if not site["is_observed"]),
        observed=observed,
        parameters=pair_parameters(model, guide),
    )


def require_tensors(args: Sequence[Any]) -> None:
    """Refuse arrays, which notebooks give in place of tensors, before a net fails on them.

    Args:
        args: Arguments of a pair or of a function of images, data first.

    Raises:
        PairError: If one is an array of NumPy.
    """
    for place, given in enumerate(args):
        if isinstance(given, np.ndarray):
            what = f"argument {place} beside the data is" if place else "the data are"
            floats = "" if place else ".float() / 255" if given.dtype == np.uint8 else ".float()"
            raise PairError(
                f"{what} a NumPy array of {given.dtype}; expected a tensor. "
                f"Convert it: torch.as_tensor(x){floats}"
            )


@contextmanager
def told_of_bytes(args: Sequence[Any]) -> Iterator[None]:
    """Say so where a program fails on 8-bit values: some take them, nets of images do not.

    Raises:
        PairError: If it fails, and the data, which come first, are such values.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if isinstance(error, PairError):
            raise
        if args and isinstance(args[0], Tensor) and args[0].dtype == torch.uint8:
            reason = " ".join(str(error).partition("Trace Shapes:")[0].split())
            raise PairError(
                "the data are torch.uint8; expected floats in [0, 1]. Divide 8-bit values by 255 "
                f"({reason})"
            ) from error
        raise


def require_floats(name: str, images: Tensor) -> None:
    """Refuse images that are arrays of NumPy or no floats.

    Raises:
        PairError: If they are.
    """
    require_tensors((images,))
    if not images.is_floating_point():
        raise PairError(
            f"{name} is {images.dtype}; expected floats in [0, 1]. Divide 8-bit values by 255"
        )


def pair_parameters(
    model: Program, guide: Program, *others: nn.Module
) -> tuple[nn.Parameter, ...]:
    """Trainable parameters of the modules, each once however often it is shared."""
    found: dict[int, nn.Parameter] = {}
    for module in modules_of(model, guide, *others):
        found.update({id(p): p for p in module.parameters() if p.requires_grad})
    return tuple(found.values())


@contextmanager
def _told_of(role: str, args: tuple[Any, ...]) -> Iterator[None]:
    """Say which program an error came from; Pyro's table of shapes is left out."""
    try:
        with told_of_bytes(args):
            yield
    except PairError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        shapes = ", ".join(str(tuple(a.shape)) for a in args if isinstance(a, Tensor))
        reason = " ".join(str(error).partition("Trace Shapes:")[0].split())
        raise PairError(
            f"the {role} failed on arguments of shape {shapes or 'none'}: {reason}"
        ) from error


class _FittingValues(Messenger):
    """Give a model the guide's values where they fit; where not, sites are compared later."""

    def __init__(self, guide_trace: Trace) -> None:
        super().__init__()
        self._given = dict(_nodes(guide_trace))

    def _pyro_sample(self, msg: Any) -> None:
        given = self._given.get(msg["name"])
        if given is None or msg["is_observed"] or given["type"] != "sample":
            return
        if _draws(msg["fn"]) == _draws(given["fn"]):
            msg["value"], msg["done"] = given["value"], True


def _draws(fn: Any) -> tuple[Any, ...]:
    """What two distributions, or two plates, must have in common to stand for each other."""
    if type(fn) is _Subsample:
        return fn.size, fn.subsample_size
    return tuple(fn.batch_shape), tuple(fn.event_shape)


def _nodes(trace: Trace) -> Iterable[tuple[str, Any]]:
    return trace.nodes.items()


def _sample_sites(trace: Trace) -> Iterator[tuple[str, Any]]:
    for name, site in _nodes(trace):
        if site["type"] == "sample" and type(site["fn"]) is not _Subsample:
            yield name, site


def _refuse_parameters(*traces: Trace) -> None:
    for trace in traces:
        for name, site in _nodes(trace):
            if site["type"] == "param":
                raise PairError(f"parameter {name!r} lies in Pyro's parameter store. {RECIPE}")


def _compare_names(p: dict[str, Any], q: dict[str, Any]) -> None:
    latents = {n for n, s in p.items() if not s["is_observed"]}
    for name, site in p.items():
        if name not in q and name in latents and not site["infer"].get("enumerate"):
            raise PairError(
                f"latent site {name!r} is in the model but not in the guide, which has "
                f"{_listed(q)}. Sample {name!r} in the guide too, or mark it for enumeration"
            )
    for name, site in q.items():
        if site["is_observed"]:
            raise PairError(f"guide site {name!r} is observed; expected latent sites only")
        if name in p and p[name]["is_observed"]:
            raise PairError(
                f"site {name!r} is sampled in the guide but observed in the model. "
                "Drop one of them"
            )
        if name not in p:
            raise PairError(
                f"site {name!r} is in the guide but not in the model, which has {_listed(p)}. "
                "Rename it, or sample it in the model too"
            )


def _listed(sites: dict[str, Any]) -> str:
    return ", ".join(repr(name) for name in sites) or "no sites"


def _compare_site(name: str, p: Any, q: Any) -> None:
    for what in ("event_shape", "batch_shape"):
        in_model, in_guide = tuple(getattr(p["fn"], what)), tuple(getattr(q["fn"], what))
        if in_model != in_guide:
            raise PairError(
                f"site {name!r} has {what.replace('_', ' ')} {in_model} in the model and "
                f"{in_guide} in the guide; expected one shape. Check sizes and .to_event of both"
            )
    plates = [
        {(f.name, f.dim, f.size, f.full_size) for f in s["cond_indep_stack"] if f.vectorized}
        for s in (p, q)
    ]
    if plates[0] != plates[1]:
        raise PairError(
            f"site {name!r} lies in plates {_plates(p)} in the model and {_plates(q)} in the "
            "guide; expected the same plates"
        )
    if not _same_scale(p["scale"], q["scale"]):
        raise PairError(
            f"site {name!r} is scaled by {p['scale']} in the model and {q['scale']} in the guide; "
            "expected one scale. Subsample or scale both alike"
        )


def _same_scale(a: float | Tensor, b: float | Tensor) -> bool:
    return bool(torch.as_tensor(a == b).all())


def _plates(site: Any) -> str:
    frames = [f for f in site["cond_indep_stack"] if f.vectorized]
    return ", ".join(f"{f.name!r} (dim {f.dim}, size {f.size})" for f in frames) or "none"


def _check_shapes(role: str, name: str, site: Any) -> None:
    plates = {f.dim: f for f in site["cond_indep_stack"] if f.vectorized}
    shape = tuple(site["log_prob"].shape)
    for dim in range(-len(shape), 0):
        size = shape[dim]
        if size == 1:
            continue
        if dim not in plates:
            raise PairError(
                f"site {name!r} of the {role} has batch shape {shape}, but no plate declares "
                f"dim {dim}. Put it in pyro.plate('data', size), or call .to_event on its "
                "distribution"
            )
        if plates[dim].size != size:
            raise PairError(
                f"site {name!r} of the {role} has size {size} at dim {dim}, "
                f"but plate {plates[dim].name!r} has size {plates[dim].size}"
            )


def _check_differentiable(name: str, site: Any) -> None:
    if not site["fn"].has_rsample and not site["infer"].get("enumerate"):
        raise PairError(
            f"guide site {name!r} has a {type(site['fn']).__name__} without reparameterised "
            "samples. Sum it out with pyro.infer.config_enumerate, or train with "
            "pyro.infer.Trace_ELBO"
        )
