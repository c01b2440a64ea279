"""The latent sites of a datum as one vector of real coordinates."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import biject_to, constraints
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import Transform

from .sites import Site

_BOUNDS = ("lower_bound", "upper_bound")


class FlatSite(NamedTuple):
    """Where a site's coordinates lie in the vector.

    Args:
        name: Name of the site.
        shape: Shape of its event in real coordinates.
        transform: From real coordinates to its support; None where they are the same.
    """

    name: str
    shape: torch.Size
    transform: Transform | None

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return math.prod(self.shape)


class FlatLatents:
    """How latent sites are laid out as vectors `(..., K)`.

    Sites with a bounded support, such as a Beta's, are mapped to it from real coordinates.

    Args:
        sites: Continuous sites, each with a value.
    """

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = [_flat(site) for site in sites]
        self.dimension = sum(site.size for site in self._sites)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sites, in order."""
        return tuple(site.name for site in self._sites)

    def vectors(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the coordinates `(batch, K)` of values `(batch, event)` by name."""
        parts = []
        for site in self._sites:
            value = values[site.name]
            if site.transform is not None:
                inverse: Any = site.transform.inv
                value = inverse(value)
            parts.append(value.reshape(*value.shape[: value.dim() - len(site.shape)], site.size))
        return torch.cat(parts, -1)

    def values(self, vectors: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return values `(batch, event)` by name, and the log Jacobian `(batch)` of the map."""
        parts = vectors.split([site.size for site in self._sites], -1)
        jacobian = vectors.new_zeros(())
        values = {}
        for site, part in zip(self._sites, parts, strict=True):
            real = part.reshape(*vectors.shape[:-1], *site.shape)
            values[site.name] = real
            if site.transform is not None:
                values[site.name] = site.transform(real)
                change = site.transform.log_abs_det_jacobian(real, values[site.name])
                jacobian = jacobian + change
        return values, jacobian.expand(vectors.shape[:-1])


def _flat(site: Site) -> FlatSite:
    event = site.fn.event_shape
    support = constant_support(site)
    if support is None or is_real(support):
        return FlatSite(site.name, event, None)
    transform = biject_to(support)
    return FlatSite(site.name, transform.inverse_shape(event), transform)


def constant_support(site: Site) -> Constraint | None:
    """The support of a site, its bounds as numbers; None where there is no one support for all."""
    wrapped, support = 0, site.fn.support
    while isinstance(support, constraints.independent):
        wrapped += support.reinterpreted_batch_ndims
        support = support.base_constraint
    bounds = {
        name: torch.as_tensor(getattr(support, name)) for name in _BOUNDS if hasattr(support, name)
    }
    if any(bool((bound != bound.flatten()[0]).any()) for bound in bounds.values()):
        return None
    if bounds:
        support = type(support)(
            **{name: float(bound.flatten()[0]) for name, bound in bounds.items()}
        )
    return constraints.independent(support, wrapped) if wrapped else support


def is_real(support: Constraint) -> bool:
    """Whether a support is all of the real coordinates."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support is constraints.real
