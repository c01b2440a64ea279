"""Which pairs have a likelihood that importance sampling can give, and how they are laid out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyro.distributions import MaskedDistribution
from torch import Tensor
from torch.distributions import Distribution

from .check import check_pair
from .sites import Program, Runner, Site


class NoLikelihoodError(ValueError):
    """The pair defines no log-likelihood, or none that can be computed datum by datum."""


@dataclass(frozen=True)
class Layout:
    """How the sites of a pair lie in its batch dims.

    Args:
        nesting: Number of dims of the pair's plates; the data plate is the leftmost of them.
        enumerated: Whether a site is marked for enumeration.
        model_order: Sites of the model that count, in the order in which it ran.
        guide_order: Sites of the guide, likewise.
        observed: Observed sites of the model that count.
        nested: Sites of the model in a plate inside the data plate, such as one code per frame.
        dimensions: Number of observed values per datum, or None where a mask hides some of them.
        rows: Times that the model's nets are evaluated for one sample of one datum: frames times
            discrete values.
    """

    nesting: int
    enumerated: bool
    model_order: tuple[str, ...]
    guide_order: tuple[str, ...]
    observed: tuple[str, ...]
    nested: tuple[str, ...]
    dimensions: int | None
    rows: int

    @property
    def latents(self) -> tuple[str, ...]:
        """Latent sites of the model."""
        return tuple(name for name in self.model_order if name not in self.observed)

    @property
    def particle_dim(self) -> int:
        """Dim of the samples, left of the data plate."""
        return -1 - self.nesting


def require_likelihood(model: Program, guide: Program, args: tuple[Any, ...], size: int) -> Layout:
    """Run a pair with checks and refuse it where `log p(x)` is not defined per datum.

    Args:
        model: The generative program.
        guide: The inference program.
        args: The arguments of both.
        size: Number of data in `args`.

    Raises:
        NoLikelihoodError: If the guide has point latents, a prior is masked, a site is scaled,
            nothing is observed, or a site lies outside the plate of data.
        PairError: If the pair is malformed, as `check_pair` says.
    """
    try:
        model_sites, guide_sites = Runner().run_pair(model, guide, args)
    except Exception:
        check_pair(model, guide, *args)
        raise
    _refuse_without_density(model_sites, guide_sites)
    facts = check_pair(model, guide, *args)
    model_sites, guide_sites = Runner(facts.nesting, 1, facts.enumerated).run_pair(
        model, guide, args
    )
    refuse_outside_data(model_sites, facts.nesting, size)
    counted = {name: site for name, site in model_sites.items() if not is_silent(site)}
    observed = [site for site in counted.values() if site.observed]
    hidden = any(isinstance(mask_of(site), Tensor) for site in observed)
    return Layout(
        nesting=facts.nesting,
        enumerated=facts.enumerated,
        model_order=tuple(counted),
        guide_order=tuple(guide_sites),
        observed=tuple(site.name for site in observed),
        nested=tuple(name for name, site in counted.items() if _inside(site, facts.nesting)),
        dimensions=None if hidden else sum(site.value.numel() for site in observed) // size,
        rows=_rows(counted, guide_sites, facts.nesting),
    )


def require_nested(layout: Layout, inner_samples: int) -> None:
    """Make sure that nested sites can be sampled several times per sample of the others.

    Raises:
        ValueError: If there are none, or a site outside their plates comes after one, and may
            depend on it.
    """
    if inner_samples == 1:
        return
    if not set(layout.nested) & set(layout.latents):
        raise ValueError(
            f"inner_samples is {inner_samples}, but no latent site lies in a plate inside the "
            "data's; expected 1. Raise samples instead"
        )
    for role, order in (("model", layout.model_order), ("guide", layout.guide_order)):
        first = next(i for i, name in enumerate(order) if name in layout.nested)
        late = [name for name in order[first:] if name not in layout.nested]
        if late:
            raise ValueError(
                f"inner_samples is {inner_samples}, but site {late[0]!r} comes after "
                f"{order[first]!r} in the {role} and may depend on it; expected nested sites "
                "last. Reorder the sites, or use inner_samples=1"
            )


def is_silent(site: Site) -> bool:
    """Whether a model's site is masked out of its density, as `pyro.deterministic` is."""
    return site.observed and mask_of(site) is False


def _inside(site: Site, nesting: int) -> bool:
    return any(plate.dim > -nesting for plate in site.plates)


def _rows(p: Mapping[str, Site], q: Mapping[str, Site], nesting: int) -> int:
    frames = max(
        math.prod(plate.size for plate in site.plates if plate.dim > -nesting)
        for site in p.values()
    )
    discrete = [s for s in (*p.values(), *q.values()) if s.enum_dim is not None]
    return frames * math.prod(site.value.shape[0] for site in discrete)


def _refuse_without_density(p: Mapping[str, Site], q: Mapping[str, Site]) -> None:
    for name, site in q.items():
        if any(type(fn).__name__ == "Delta" for fn in layers_of(site.fn)):
            raise NoLikelihoodError(
                f"guide site {name!r} is a point (Delta); an importance weight needs a density. "
                "Anneal single images, which needs no guide (annealed_log_likelihood), give the "
                "guide a distribution with a density, or report reconstructions"
            )
    for name, site in p.items():
        if not site.observed:
            _refuse_masks(name, site, q.get(name))
    for sites in (p, q):
        for name, site in sites.items():
            if not bool(torch.as_tensor(site.scale == 1).all()):
                raise NoLikelihoodError(
                    f"site {name!r} is scaled by {site.scale}; expected 1, since a scale "
                    "would get into the importance weights. Take poutine.scale and "
                    "subsampling out of the pair; weights belong in the objective"
                )
    if not any(site.observed and not is_silent(site) for site in p.values()):
        raise NoLikelihoodError(
            "the model observes nothing; a likelihood needs a site with obs=x. "
            "Observe the data in the model, or compare samples instead"
        )


def _refuse_masks(name: str, p: Site, q: Site | None) -> None:
    masks = [mask_of(site) for site in (p, q) if site is not None]
    if any(mask is False for mask in masks):
        raise NoLikelihoodError(
            f"latent site {name!r} is masked out, so that it has no prior; the model is no "
            "density. Give it a prior without .mask(False), or report reconstructions"
        )
    if q is not None and not _same_mask(*masks):
        raise NoLikelihoodError(
            f"latent site {name!r} is masked differently in model and guide; expected one mask. "
            "Put the same poutine.mask around both"
        )


def refuse_outside_data(p: Mapping[str, Site], nesting: int, size: int) -> None:
    """Refuse a model with a site that is not in the plate of data.

    Raises:
        NoLikelihoodError: If there is one.
    """
    for name, site in p.items():
        if is_silent(site):
            continue
        if not any(plate.dim == -nesting and plate.size == size for plate in site.plates):
            raise NoLikelihoodError(
                f"site {name!r} lies outside the plate of the {size} data, so that the data are "
                "not independent and have no likelihood each. Put the site in "
                "pyro.plate('data', size), leftmost of the pair's plates"
            )


def layers_of(fn: Any) -> list[Distribution]:
    """A distribution and those that it wraps."""
    layers = [fn]
    while hasattr(layers[-1], "base_dist"):
        layers.append(layers[-1].base_dist)
    return layers


def mask_of(site: Site) -> bool | Tensor | None:
    """The mask of a site, set by a handler or on its distribution; None without one."""
    masks = [
        site.mask,
        *(f._mask for f in layers_of(site.fn) if isinstance(f, MaskedDistribution)),
    ]
    given = [mask for mask in masks if mask is not None and mask is not True]
    if any(mask is False for mask in given):
        return False
    return next(iter(given), None)


def _same_mask(a: bool | Tensor | None, b: bool | Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return bool((torch.as_tensor(a) == torch.as_tensor(b)).all())
