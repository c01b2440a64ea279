"""Log importance weights `log p(x, z) - log q(z | x)`, with discrete sites summed out."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .eligibility import Layout, is_silent
from .enumeration import Factor, marginalise, masked_share, plate_dims
from .guide_draws import Draw
from .log_density import log_density
from .sites import Program, Runner, Site


def log_weights(
    model: Program,
    args: tuple[Any, ...],
    draws: Sequence[Draw],
    layout: Layout,
    inner: int = 1,
    fused: bool = False,
    prior_share: float = 0.0,
) -> Tensor:
    """Evaluate the model at samples of the proposal.

    A discrete site that the guide or the model enumerates is summed out of each weight: the mean
    over samples of `sum_y p(x, y, z_y) / q(z_y | x, y)` is unbiased for `p(x)`, whether or not `z`
    is drawn for each `y` apart.

    Args:
        model: The generative program.
        args: Its arguments, of `B` data.
        draws: `k * inner` samples of the guide.
        layout: How the pair is laid out.
        inner: Samples of the nested sites per sample of the others. With more than one, each
            frame's weights are averaged over them before the frames' logarithms are summed.
        fused: Whether the densities take the form that suits a compiler.
        prior_share: Share of the prior among the samples; unless it is 0, their density is that of
            its mixture with the guide, for which nothing may be enumerated and `inner` be 1.

    Returns:
        float64 `(k, B)`, nats.
    """
    of_guide_dims = {
        draw.site.name: draw.site.enum_dim for draw in draws if draw.site.enum_dim is not None
    }
    # The samples' dim counts as the model's own: their plate would only expand what broadcasts.
    runner = Runner(layout.nesting + 1, 1, layout.enumerated)
    values = {draw.site.name: draw.value for draw in draws}
    sites = runner.run(model, args, values, enumerated=len(of_guide_dims)).sites
    enumerated = [
        site._replace(enum_dim=of_guide_dims.get(name, site.enum_dim))
        for name, site in sites.items()
        if name in of_guide_dims or site.enum_dim is not None
    ]
    of_model = [
        Factor(name, log_density(site, fused).double(), plate_dims(site))
        for name, site in sites.items()
        if not is_silent(site)
    ]
    of_guide = [
        Factor(draw.site.name, -draw.log_q.double(), plate_dims(draw.site))
        for draw in draws
        if draw.log_q is not None
    ]
    if prior_share:
        return _of_mixture(of_model, of_guide, layout, prior_share)
    factors = of_model + of_guide
    if inner > 1:
        return _of_nested(factors, enumerated, layout, inner)
    if enumerated:
        factors = marginalise(factors, enumerated)
    return _summed(factors, layout)


def _summed(factors: Sequence[Factor], layout: Layout) -> Tensor:
    """Sum factors of whole data and of what is nested in them, `(k, B)`."""
    aligned = (_aligned(factor.value, layout.nesting + 1) for factor in factors)
    return sum(
        (value.flatten(2).sum(-1) if layout.nesting > 1 else value for value in aligned),
        torch.zeros((), dtype=torch.float64, device=factors[0].value.device),
    )


def _of_nested(
    factors: list[Factor], enumerated: Sequence[Site], layout: Layout, inner: int
) -> Tensor:
    """Log-weights whose nested parts are averaged over `inner` samples each, `(k, B)`.

    A discrete site of whole data is summed out last: for each of its values the nested parts have
    averages of their own.
    """
    apart = [site for site in enumerated if not _is_nested(plate_dims(site), layout)]
    within = [site for site in enumerated if _is_nested(plate_dims(site), layout)]
    factors = marginalise(factors, within) if within else factors
    dims = max([layout.nesting + 1, *(-site.enum_dim for site in apart if site.enum_dim)])
    outer = nested = factors[0].value.new_zeros((1,) * dims)
    for factor in factors:
        value = _aligned(factor.value, dims)
        if _is_nested(factor.plates, layout):
            nested = nested + value
        else:
            outer = outer + value
    for site in apart:
        outer = outer + masked_share(site)
    samples = -1 - layout.nesting
    means = nested.unflatten(samples, (-1, inner)).logsumexp(samples) - math.log(inner)
    if outer.shape[samples] > 1:
        outer = outer.unflatten(samples, (-1, inner)).select(samples, 0)
    frames = tuple(range(1 - layout.nesting, 0))
    joint = outer.sum(frames) + means.sum(frames)
    return torch.logsumexp(joint, tuple(range(joint.dim() - 2))) if joint.dim() > 2 else joint


def _is_nested(plates: frozenset[int], layout: Layout) -> bool:
    return any(dim > -layout.nesting for dim in plates)


def _of_mixture(
    of_model: Sequence[Factor], of_guide: Sequence[Factor], layout: Layout, prior_share: float
) -> Tensor:
    """Log-weights under the density of the mixture of guide and prior, `(k, B)`.

    The mixture is that of whole data: of all latents together, frames among them.
    """
    prior = [factor for factor in of_model if factor.name not in layout.observed]
    observed = [factor for factor in of_model if factor.name in layout.observed]
    log_prior, likelihood = _summed(prior, layout), _summed(observed, layout)
    log_q = -_summed(of_guide, layout)
    mixture = torch.logaddexp(log_prior + math.log(prior_share), log_q + math.log1p(-prior_share))
    return likelihood + log_prior - mixture


def _aligned(value: Tensor, dims: int) -> Tensor:
    """Drop the dims of summed-out sites on the left, or add the missing ones."""
    missing = (1,) * max(0, dims - value.dim())
    return value.reshape(missing + tuple(value.shape[-dims:]))
