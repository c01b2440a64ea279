"""The graph of a program: its sites, which of them depend on which, and their plates."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions import ExpandedDistribution, Independent, MaskedDistribution
from pyro.infer.inspect import TrackProvenance
from pyro.ops.provenance import ProvenanceTensor, get_provenance
from pyro.poutine.messenger import unwrap
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn

from unbraid.inference import Program

from .passes import undisturbed

_WRAPPERS = (Independent, ExpandedDistribution, MaskedDistribution)


@dataclass(frozen=True)
class Node:
    """A site, or an argument that sites depend on.

    Attributes:
        name: Its name.
        kind: `"latent"`, `"observed"` or `"given"`, an argument.
        distribution: Name of the site's distribution; empty of an argument.
        parents: Names of the sites and arguments that the distribution depends on directly, in
            the order of the program; a site between them ends a path.
        plates: Names of the plates that the site is in, the outermost first; of an argument, those
            of all its children whose size is that of its first axes.
    """

    name: str
    kind: str
    distribution: str
    parents: tuple[str, ...]
    plates: tuple[str, ...]


def model_graph(program: Program, *args: Any, **kwargs: Any) -> tuple[Node, ...]:
    """Read the graph of a program off one run of it.

    Which values went into a distribution is tracked through all operations of torch, as Pyro's
    `get_model_relations` does; here arguments are tracked too. What depends on a value through
    Python's own control flow alone, or through numbers that were read from a tensor, is not seen.

    Args:
        program: A model or a guide.
        *args: Its arguments, as for training.
        **kwargs: Further arguments, such as `size` where a model samples.

    Returns:
        The arguments that some site depends on, then the sites, each in its order.
    """
    tracked = dict(zip(_names_of(program, len(args)), args, strict=True)) | kwargs
    given = {
        name: ProvenanceTensor(value.detach(), frozenset({name}))
        for name, value in tracked.items()
        if isinstance(value, Tensor)
    }
    names = _names_of(program, len(args))
    positional = [given.get(name, value) for name, value in zip(names, args, strict=True)]
    keywords = {name: given.get(name, value) for name, value in kwargs.items()}
    with undisturbed(program, seed=0), pyro.validation_enabled(False), TrackProvenance():
        trace = poutine.trace(program).get_trace(*positional, **keywords)
        nodes: dict[str, Any] = dict(trace.nodes)  # Pyro's own type leaves every key optional
        sites = {
            name: site
            for name, site in nodes.items()
            if site["type"] == "sample" and not site_is_subsample(site)
        }
        origins = {name: _origin(site) for name, site in sites.items()}
    found = []
    for name, site in sites.items():
        parents = [p for p in (*given, *sites) if p in origins[name] and p != name]
        frames = sorted(site["cond_indep_stack"], key=lambda frame: frame.dim or 0)
        kind = "observed" if site["is_observed"] else "latent"
        plates = tuple(frame.name for frame in frames)
        found.append(Node(name, kind, _distribution(site["fn"]), tuple(parents), plates))
    sizes = {f.name: f.size for site in sites.values() for f in site["cond_indep_stack"]}
    taken = [
        Node(name, "given", "", (), _common_plates(value.shape, children, sizes))
        for name, value in given.items()
        if name not in sites and (children := [node for node in found if name in node.parents])
    ]
    return (*taken, *found)


def _origin(site: Any) -> frozenset[str]:
    """Names of what the density of a site at its value depends on."""
    fn, value = site["fn"], site["value"]
    seen = get_provenance(fn.log_prob(value)) | get_provenance(list(vars(_inner(fn)).values()))
    mask = site["mask"]
    return seen | (get_provenance(mask) if isinstance(mask, Tensor) else frozenset())


def _common_plates(
    shape: torch.Size, children: list[Node], sizes: dict[str, int]
) -> tuple[str, ...]:
    common = [p for p in children[0].plates if all(p in child.plates for child in children)]
    fitting = [sizes[plate] == size for plate, size in zip(common, shape, strict=False)]
    fitting.append(False)
    return tuple(common[: fitting.index(False)])


def _inner(fn: Any) -> Any:
    while isinstance(fn, _WRAPPERS):
        fn = fn.base_dist
    return fn


def _distribution(fn: Any) -> str:
    return type(_inner(fn)).__name__


def _names_of(program: Callable[..., Any], count: int) -> list[str]:
    """Names of the first positional parameters of a program."""
    inner = unwrap(program)
    called = inner.forward if isinstance(inner, nn.Module) else inner
    names = []
    for name, parameter in inspect.signature(called).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{name}[{i}]" for i in range(count - len(names))]
        elif parameter.kind is not parameter.KEYWORD_ONLY:
            names.append(name)
    return names[:count]
