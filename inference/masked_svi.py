"""A Normal for each image's codes, fitted to the posterior given its seen pixels."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from .annealed_start import Blocks, NoiseOfBlocks
from .masked_density import MaskedDensity
from .masked_fills import Fills
from .masked_proposal import correlated

LARGEST = 64
"""Number of coordinates up to which their correlations are fitted too."""
_PARTICLES = 8
_RATE = 0.05
_LAST = 100
"""Steps at the end whose mean bound is reported."""


class Fitted(NamedTuple):
    """Normals of `B` images.

    Args:
        normal: Batch `(B,)`, event `(K,)`.
        elbo: The bound on `log p(x_observed)`, mean of the last steps, float64 `(B,)`, nats.
    """

    normal: MultivariateNormal
    elbo: Tensor


def fit_normals(
    density: MaskedDensity, fills: Fills, block: Blocks, *, steps: int, seed: int, stage: int
) -> Fitted:
    """Maximise the bound on `log p(x_observed)` over one Normal for each image.

    It starts at the guide's Normal of the fill whose codes are likeliest. Covariances are full
    up to 64 coordinates, diagonal beyond. Adam moves scales in units of the start's, and means in
    coarser ones, half way to the prior's, as the guide may be far off for its width. The gradient
    leaves out the score of q, whose expectation is 0: it then vanishes where q is the posterior.

    Source: Roeder, Wu & Duvenaud (2017), https://arxiv.org/abs/1703.09194, for the gradient.

    Args:
        density: The density that the Normals are fitted to.
        fills: What the guide says of each fill.
        block: The images, for the noise.
        steps: Steps of Adam, at least 1.
        seed: The user's seed.
        stage: What the noise is for.
    """
    best = density.joint(fills.loc).nan_to_num(-math.inf).argmax(0)
    images = torch.arange(len(best), device=best.device)
    start, unit = fills.loc[best, images], fills.scale[best, images]
    stride = (unit * fills.prior_scale).sqrt()
    size, dimension = start.shape
    shift = torch.zeros_like(start).requires_grad_()
    log_scale = torch.zeros_like(start).requires_grad_()
    lower = start.new_zeros(size, dimension, dimension).requires_grad_()
    moved = [shift, log_scale, lower][: 3 if dimension <= LARGEST else 2]
    optimizer = torch.optim.Adam(moved, lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, _RATE / 100)
    noise = NoiseOfBlocks(block, seed, stage)
    elbo, counted = torch.zeros(size, dtype=torch.float64, device=start.device), 0

    def normal() -> MultivariateNormal:
        tril = lower.tril(-1) + torch.diag_embed(log_scale.exp())
        return correlated(start + stride * shift, unit.unsqueeze(-1) * tril)

    with torch.enable_grad():
        for step in range(steps):
            q = normal()
            standard = noise.normal(_PARTICLES, dimension, start.dtype)
            codes = q.loc + (q._unbroadcasted_scale_tril @ standard.unsqueeze(-1)).squeeze(-1)
            fixed = correlated(q.loc.detach(), q._unbroadcasted_scale_tril.detach())
            bound = (density.joint(codes) - fixed.log_prob(codes).double()).mean(0)
            optimizer.zero_grad()
            for parameter, slope in zip(
                moved, torch.autograd.grad(-bound.sum(), moved), strict=True
            ):
                parameter.grad = slope
            optimizer.step()
            schedule.step()
            if step >= steps - _LAST:
                elbo, counted = elbo + bound.detach(), counted + 1
    with torch.no_grad():
        return Fitted(normal(), elbo / counted)
