"""The codes of a batch at a site, for hooks on the aggregate posterior.

The aggregate posterior is the guide's distribution averaged over data, `q(z) = E_x q(z|x)`.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from .sites import Site
from .terms import Terms


class Codes(NamedTuple):
    """What the guide says of a batch of data, `(S, B, K)` or `(B, K)`; S counts particles.

    Args:
        value: The sampled codes.
        loc: Means of the guide's Normals.
        scale: Their standard deviations.
    """

    value: Tensor
    loc: Tensor
    scale: Tensor


def normal_codes(terms: Terms, site: str) -> Codes:
    """Return value and moments of a site, in float32 at least.

    Raises:
        ValueError: If the site's guide is no factorised Normal, if the site is masked, enumerated
            or not in a plate of data alone, or if the batch has fewer than two data.
    """
    term = terms[site]
    normal = _dimensions(term.q)
    if term.guide_site is None or normal is None:
        kind = "data" if term.observed else type(getattr(term.q, "base_dist", term.q)).__name__
        raise ValueError(
            f"site {site!r} is {kind} in the guide; expected a factorised Normal, "
            "Normal(loc, scale).to_event(1). Choose another site, or change the guide"
        )
    _check_batch(term.guide_site, site, terms)
    return Codes(*(_at_least_single(t) for t in (term.value, normal.loc, normal.scale)))


def sampled_codes(terms: Terms, site: str) -> Tensor:
    """Return the sampled codes of a site, `(..., B, K)`, in float32 at least.

    The guide may be any distribution with differentiable samples, also a `Delta`; events of other
    than one dim are made one.

    Raises:
        ValueError: If the site is not sampled in the guide, if it is masked, enumerated or not in
            a plate of data alone, or if the batch has fewer than two data.
    """
    term = terms[site]
    if term.guide_site is None or term.guide_site.enum_dim is not None:
        found = "not sampled in the guide" if term.guide_site is None else "enumerated"
        raise ValueError(
            f"site {site!r} is {found}; expected a latent site with a sampled code per datum. "
            "Choose another site"
        )
    _check_batch(term.guide_site, site, terms)
    events = len(term.guide_site.fn.event_shape)
    value = _at_least_single(term.value)
    return value.reshape(*value.shape[: value.dim() - events], -1)


def _dimensions(q: Distribution | None) -> Normal | None:
    """The Normal of each dimension of a code; None where the guide's distribution is another."""
    if not isinstance(q, Independent) or q.reinterpreted_batch_ndims != 1:
        return None
    return q.base_dist if isinstance(q.base_dist, Normal) else None


def _check_batch(guide_site: Site, site: str, terms: Terms) -> None:
    plates = [plate for plate in guide_site.plates if plate.name != "particles"]
    particles = int(terms.runner.particles > 1)
    batch = tuple(guide_site.fn.batch_shape)
    if len(plates) != 1 or plates[0].dim != -1 or len(batch) != 1 + particles:
        names = ", ".join(plate.name for plate in plates) or "none"
        raise ValueError(
            f"site {site!r} has batch shape {batch} in plates {names}; expected the plate of data "
            "alone, at dim -1, without enumerated sites beside it. Choose another site"
        )
    if guide_site.mask is not None:
        raise ValueError(
            f"site {site!r} is masked; expected a site that every datum has. Choose another site"
        )
    if batch[-1] < 2:
        raise ValueError(
            f"the batch has {batch[-1]} data; expected at least 2, over which the codes of site "
            f"{site!r} vary. Use a larger batch"
        )


def _at_least_single(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
