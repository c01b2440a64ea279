"""Log importance weights `log p(x, z) - log q(z | x)`, with discrete sites summed out."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .eligibility import Layout, is_silent
from .enumeration import Factor, marginalise, plate_dims
from .guide_draws import Draw
from .log_density import log_density
from .sites import Program, Runner


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
    enumerated = [draw.site for draw in draws if draw.site.enum_dim is not None]
    # The samples' dim counts as the model's own: their plate would only expand what broadcasts.
    runner = Runner(layout.nesting + 1, 1, layout.enumerated)
    values = {draw.site.name: draw.value for draw in draws}
    sites = runner.run(model, args, values, enumerated=len(enumerated)).sites
    enumerated += [site for site in sites.values() if site.enum_dim is not None]
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
    if enumerated:
        factors = marginalise(factors, enumerated)
    size = len(args[0])
    total = torch.zeros((), dtype=torch.float64, device=factors[0].value.device)
    nested = total
    for factor in factors:
        value = _aligned(factor.value, layout.nesting + 1)
        if inner > 1 and any(dim > -layout.nesting for dim in factor.plates):
            nested = nested + value
        else:
            total = total + value.flatten(2).sum(-1) if layout.nesting > 1 else total + value
    if inner > 1:
        nested = nested.unflatten(0, (-1, inner))
        total = total.expand(len(nested) * inner, size)[::inner]
        means = nested.logsumexp(1) - math.log(inner)
        total = total + means.flatten(2).sum(-1)
    return total


def _of_mixture(
    of_model: Sequence[Factor], of_guide: Sequence[Factor], layout: Layout, prior_share: float
) -> Tensor:
    """Log-weights under the density of the mixture of guide and prior, `(k, B)`.

    The mixture is that of whole data: of all latents together, frames among them.
    """

    def summed(factors: Sequence[Factor]) -> Tensor:
        aligned = (_aligned(factor.value, layout.nesting + 1) for factor in factors)
        return sum(
            (value.flatten(2).sum(-1) if layout.nesting > 1 else value for value in aligned),
            torch.zeros((), dtype=torch.float64, device=of_model[0].value.device),
        )

    log_prior = summed([factor for factor in of_model if factor.name not in layout.observed])
    likelihood = summed([factor for factor in of_model if factor.name in layout.observed])
    log_q = -summed(of_guide)
    mixture = torch.logaddexp(log_prior + math.log(prior_share), log_q + math.log1p(-prior_share))
    return likelihood + log_prior - mixture


def _aligned(value: Tensor, dims: int) -> Tensor:
    """Drop the dims of summed-out sites on the left, or add the missing ones."""
    missing = (1,) * max(0, dims - value.dim())
    return value.reshape(missing + tuple(value.shape[-dims:]))
