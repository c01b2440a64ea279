"""Add hooks to a method's parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from unbraid.methods import DataSpec, OptionError, Parts

from .reading import hook_module, hook_options

if TYPE_CHECKING:
    from unbraid.inference import Hook


@dataclass(frozen=True)
class Addition:
    """A hook and what it needs of the batches.

    Args:
        hook: The hook.
        streams: Keys of further batches of the training data.
    """

    hook: "Hook"
    streams: Sequence[str] = ()


def add_hooks(parts: Parts, texts: Sequence[str], data: DataSpec) -> Parts:
    """Add the hooks that a command line names to a method's own.

    Args:
        parts: The method's parts.
        texts: The hooks, such as `("factor:gamma=6",)`.
        data: What is known of the data.

    Raises:
        OptionError: If a name or value is not accepted, or the data lack what a hook reads.
    """
    hooks, streams = list(parts.hooks), list(parts.streams)
    for text in texts:
        name, options = hook_options(text)
        added: Addition = hook_module(name).build(options, data, parts)
        added.hook.name = _unused(name, [hook.name for hook in hooks])
        hooks.append(added.hook)
        streams += [key for key in added.streams if key not in streams]
    return replace(parts, hooks=tuple(hooks), streams=tuple(streams))


def _unused(name: str, taken: Sequence[str]) -> str:
    number, unique = 2, name
    while unique in taken:
        unique = f"{name}-{number}"
        number += 1
    return unique


def code_size(parts: Parts, site: str) -> int:
    """Number of coordinates of a latent site's codes.

    Raises:
        OptionError: If the model has no such site.
    """
    import pyro
    import torch
    from pyro import poutine
    from pyro.poutine.util import site_is_subsample

    with torch.no_grad(), torch.random.fork_rng(), pyro.validation_enabled(False):
        given = () if parts.given is None else (None, parts.given.example(2))
        trace: Any = poutine.trace(parts.model).get_trace(*given, size=2)
    sampled = {name: trace.nodes[name] for name in trace.stochastic_nodes if name != "x"}
    nodes = {name: node for name, node in sampled.items() if not site_is_subsample(node)}
    if site not in nodes:
        raise OptionError(f"site is {site!r}; expected one of {', '.join(nodes)}. Pass site=NAME")
    return prod(nodes[site]["fn"].event_shape)
