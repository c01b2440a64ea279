"""Sum discrete sites out of the bound and out of log densities, exactly.

A site marked `infer={"enumerate": "parallel"}` has its support laid out along a batch dim of its
own. Where the guide has the site, its terms are averaged under q; where only the model has it, it
is marginalised by a log-sum-exp. Each site is taken to be summed out within its own plates, as
`pyro.infer.TraceEnum_ELBO` does for such models.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .eligibility import mask_of
from .sites import Site


class Factor(NamedTuple):
    """A batch-shaped summand of a log density or bound.

    Args:
        name: The site that it comes from.
        value: Batch-shaped tensor, enumeration dims on the left.
        plates: Dims of the plates that it lies in.
        scale: Factor that multiplies it once all sums are done.
        sites: All sites whose densities were summed out together to make it; empty for one alone.
    """

    name: str
    value: Tensor
    plates: frozenset[int]
    scale: float | Tensor = 1.0
    sites: tuple[str, ...] = ()


def plate_dims(site: Site) -> frozenset[int]:
    """Dims of the plates around a site, the particle plate left out."""
    return frozenset(plate.dim for plate in site.plates if plate.name != "particles")


def _varies_along(value: Tensor, dim: int) -> bool:
    return value.dim() >= -dim and value.shape[dim] > 1


def marginalise(factors: list[Factor], enumerated: list[Site]) -> list[Factor]:
    """Sum the support of each enumerated model site out of the factors, innermost plates first.

    Args:
        factors: Log densities of the model's sites.
        enumerated: The sites to sum out, each with an `enum_dim`.

    Returns:
        Factors that no longer vary along those dims; what a site was summed out of bears its name.

    Raises:
        ValueError: If factors that a site links have different scales.
    """
    for dim, site in sorted(_laid_out(enumerated), key=lambda pair: -len(plate_dims(pair[1]))):
        plates = plate_dims(site)
        linked = [f for f in factors if f.name == site.name or _varies_along(f.value, dim)]
        scales = {f.scale if isinstance(f.scale, float | int) else None for f in linked}
        if len(scales) > 1 or None in scales:
            raise ValueError(
                f"sites {', '.join(f.name for f in linked)} have different scales; "
                f"expected one number where {site.name!r} is summed out"
            )
        joint = sum((_sum_out_plates(f, plates) for f in linked), start=torch.zeros(()))
        summed = torch.logsumexp(joint, dim=dim, keepdim=True) + masked_share(site)
        rest = [f for f in factors if all(f is not other for other in linked)]
        sites = tuple(name for f in linked for name in f.sites or (f.name,))
        factors = [*rest, Factor(site.name, summed, plates, linked[0].scale, sites)]
    return factors


def masked_share(site: Site) -> Tensor | float:
    """Log weight of each value of an enumerated site where it is masked out, 0 elsewhere.

    A masked density is 1 at every value, so that a sum over its `K` values would count what it is
    multiplied with `K` times: each has the weight 1 / K.
    """
    mask = mask_of(site)
    if mask is None or mask is True or site.enum_dim is None:
        return 0.0
    each = -math.log(site.value.shape[site.enum_dim - len(site.fn.event_shape)])
    if mask is False:
        return each
    return torch.where(mask, 0.0, each)


def _laid_out(sites: Iterable[Site]) -> list[tuple[int, Site]]:
    """Each enumerated site with the dim of its support."""
    return [(site.enum_dim, site) for site in sites if site.enum_dim is not None]


def _sum_out_plates(factor: Factor, kept: frozenset[int]) -> Tensor:
    dims = tuple(sorted(factor.plates - kept))
    return factor.value.sum(dims, keepdim=True) if dims else factor.value


def average(factor: Factor, enumerated: Mapping[str, Site]) -> Factor:
    """Average a factor over the guide's enumerated sites that lie in its plates.

    Args:
        factor: A summand of the bound.
        enumerated: The guide's enumerated sites by name.
    """
    laid_out = _laid_out(enumerated.values())
    inside = [site for _, site in laid_out if plate_dims(site) <= factor.plates]
    dims = tuple(dim for dim, site in laid_out if plate_dims(site) <= factor.plates)
    if not any(_varies_along(factor.value, dim) for dim in dims):
        return factor
    log_weight = sum(
        (site.log_prob() + masked_share(site) for site in inside), start=torch.zeros(())
    )
    weight = log_weight.exp()
    product = torch.where(weight > 0, weight * factor.value, 0.0)
    return factor._replace(value=product.sum(dims, keepdim=True))
