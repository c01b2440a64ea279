"""Log importance weights `log p(x, z) - log q(z | x)`, with discrete sites summed out."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .eligibility import Layout, is_silent
from .enumeration import Factor, marginalise, plate_dims
from .log_density import log_density
from .proposal import Draw
from .sites import Program, Runner


def log_weights(
    model: Program,
    args: tuple[Any, ...],
    draws: Sequence[Draw],
    layout: Layout,
    inner: int = 1,
    fused: bool = False,
) -> Tensor:
    """Evaluate the model at samples of the guide.

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

    Returns:
        float64 `(k, B)`, nats.
    """
    enumerated = [draw.site for draw in draws if draw.site.enum_dim is not None]
    # The samples' dim counts as the model's own: their plate would only expand what broadcasts.
    runner = Runner(layout.nesting + 1, 1, layout.enumerated)
    values = {draw.site.name: draw.value for draw in draws}
    sites = runner.run(model, args, values, enumerated=len(enumerated)).sites
    enumerated += [site for site in sites.values() if site.enum_dim is not None]
    factors = [
        Factor(name, log_density(site, fused).double(), plate_dims(site))
        for name, site in sites.items()
        if not is_silent(site)
    ] + [
        Factor(draw.site.name, -draw.log_q.double(), plate_dims(draw.site))
        for draw in draws
        if draw.log_q is not None
    ]
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


def _aligned(value: Tensor, dims: int) -> Tensor:
    """Drop the dims of summed-out sites on the left, or add the missing ones."""
    missing = (1,) * max(0, dims - value.dim())
    return value.reshape(missing + tuple(value.shape[-dims:]))
