"""Run a guide and a model once and keep what their sites hold.

Two small messengers take the place of Pyro's traces: they record each site's distribution and
value, give the model the guide's values, and expand enumerated sites. Nothing is read back to the
host.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyro
import torch
from pyro.poutine.messenger import Messenger, unwrap
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor, nn
from torch.distributions import Distribution

Program = Callable[..., Any]
"""A Pyro model or guide: a function or module that has sample sites."""


def owner(program: Program) -> Any:
    """The module (or function) behind a bound method or a program with poutine handlers."""
    inner = unwrap(program)
    return getattr(inner, "__self__", inner)


def modules_of(*programs: Program) -> list[nn.Module]:
    """The modules behind programs, in order; functions have none."""
    owners = [owner(program) for program in programs]
    return [module for module in owners if isinstance(module, nn.Module)]


@contextmanager
def in_mode(training: bool, modules: Sequence[nn.Module]) -> Iterator[None]:
    """Put modules in train or evaluation mode, and each of their parts back in its own."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.train(training)
    try:
        yield
    finally:
        for part, before in modes:
            part.training = before


class Plate(NamedTuple):
    """A plate that encloses a site.

    Args:
        name: Its name.
        dim: Its dim, counted from the right.
        size: How many entries it has.
        full_size: How many these stand for: more where the plate subsamples.
    """

    name: str
    dim: int
    size: int
    full_size: int


class Site(NamedTuple):
    """What one sample site held in one run.

    Args:
        name: Name of the site.
        fn: Its distribution, expanded to the enclosing plates.
        value: Its value, `(batch, event)`.
        observed: Whether the value was given as data.
        scale: Factor of the log density, from `poutine.scale` or a subsampling plate.
        mask: Mask of the log density, or None.
        plates: The vectorised plates around it.
        enum_dim: Batch dim, counted from the right, along which its support is laid out; None for
            a sampled site.
    """

    name: str
    fn: Distribution
    value: Tensor
    observed: bool
    scale: float | Tensor
    mask: bool | Tensor | None
    plates: tuple[Plate, ...]
    enum_dim: int | None = None

    def log_prob(self) -> Tensor:
        """Log density of the value, batch shape, nats; masked, not scaled."""
        return apply_mask(self.fn.log_prob(self.value), self.mask)


def apply_mask(log_density: Tensor, mask: bool | Tensor | None) -> Tensor:
    """Zero the log densities where `mask` is false."""
    if mask is None or mask is True:
        return log_density
    if mask is False:
        return torch.zeros_like(log_density)
    return torch.where(mask, log_density, log_density.new_zeros(()))


_ranges: dict[tuple[int, torch.device], Tensor] = {}


def _all_indices(size: int, device: torch.device) -> Tensor:
    """Return `arange(size)`; a plate asks for it at every entry, so it is made once."""
    key = (size, device)
    if key not in _ranges:
        with torch.inference_mode(False):
            _ranges[key] = torch.arange(size, device=device)
    return _ranges[key]


class _Recorder(Messenger):
    """Record the sites of a program; the support of enumerated ones gets a dim of its own.

    Args:
        values: Values to give to latent sites, by name.
        subsamples: Indices to give to subsampling plates, by name.
        first_enum_dim: The rightmost dim free for enumeration, or None where enumeration is off.
    """

    def __init__(
        self,
        values: Mapping[str, Tensor],
        subsamples: Mapping[str, Tensor],
        first_enum_dim: int | None,
    ) -> None:
        super().__init__()
        self.values = values
        self.given_subsamples = subsamples
        self.subsamples: dict[str, Tensor] = {}
        self.next_enum_dim = first_enum_dim
        self.enum_dims: dict[str, int] = {}
        self.sites: dict[str, Site] = {}

    # Messages are Any: Pyro's own type leaves every key of them optional.
    def _pyro_sample(self, msg: Any) -> None:
        name, fn = msg["name"], msg["fn"]
        if type(fn) is _Subsample:
            self._choose_indices(msg, fn)
        elif msg["is_observed"] or msg["done"]:
            return
        elif name in self.values:
            msg["value"], msg["done"] = self.values[name], True
        elif self.next_enum_dim is not None and (msg["infer"] or {}).get("enumerate"):
            support = self._lay_out_support(name, fn, self.next_enum_dim)
            msg["value"], msg["done"] = support, True

    def _choose_indices(self, msg: Any, plate: _Subsample) -> None:
        if msg["name"] in self.given_subsamples:
            msg["value"], msg["done"] = self.given_subsamples[msg["name"]], True
        elif msg["value"] is None and (
            plate.subsample_size is None or plate.subsample_size >= plate.size
        ):
            device = torch.device(plate.device)
            msg["value"], msg["done"] = _all_indices(plate.size, device), True

    def _lay_out_support(self, name: str, fn: Distribution, dim: int) -> Tensor:
        support = fn.enumerate_support(expand=False)
        ones = (1,) * (-1 - dim)
        self.enum_dims[name] = dim
        self.next_enum_dim = dim - 1
        return support.reshape(support.shape[:1] + ones + tuple(fn.event_shape))

    def _pyro_post_sample(self, msg: Any) -> None:
        name, fn = msg["name"], msg["fn"]
        if type(fn) is _Subsample:
            self.subsamples[name] = msg["value"]
            return
        self.sites[name] = Site(
            name,
            fn,
            msg["value"],
            msg["is_observed"],
            msg["scale"],
            msg["mask"],
            tuple(
                Plate(f.name, f.dim, f.size, f.full_size or f.size)
                for f in msg["cond_indep_stack"]
                if f.dim is not None
            ),
            self.enum_dims.get(name),
        )


class Runner(NamedTuple):
    """How a pair is run: how many particles, and where their dim and those of enumeration lie.

    Args:
        nesting: Number of dims that the pair's own plates take.
        particles: Number of particles; more than one adds a plate on the left of the pair's own.
        enumerate: Whether sites marked `infer={"enumerate": "parallel"}` are summed out.
    """

    nesting: int = 1
    particles: int = 1
    enumerate: bool = False

    @property
    def particle_dim(self) -> int:
        """Dim of the particle plate, counted from the right."""
        return -1 - self.nesting

    def run(
        self,
        program: Program,
        args: tuple[Any, ...],
        values: Mapping[str, Tensor] | None = None,
        subsamples: Mapping[str, Tensor] | None = None,
        enumerated: int = 0,
    ) -> _Recorder:
        """Run `program(*args)`; `enumerated` dims left of the particles are already taken."""
        first = self.particle_dim - (self.particles > 1) - enumerated
        recorder = _Recorder(values or {}, subsamples or {}, first if self.enumerate else None)
        with recorder:
            if self.particles > 1:
                with pyro.plate("particles", self.particles, dim=self.particle_dim):
                    program(*args)
            else:
                program(*args)
        return recorder

    def run_pair(
        self, model: Program, guide: Program, args: tuple[Any, ...]
    ) -> tuple[dict[str, Site], dict[str, Site]]:
        """Run the guide, then the model with its values; return the sites of model and guide."""
        q = self.run(guide, args)
        values = {name: site.value for name, site in q.sites.items() if not site.observed}
        p = self.run(model, args, values, q.subsamples, enumerated=len(q.enum_dims))
        return p.sites, q.sites
