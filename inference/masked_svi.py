"""Normals for each datum's codes, fitted to its posterior, of which some pixels may be hidden."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from .annealed_start import Blocks, NoiseOfBlocks
from .joint_density import JointDensity
from .masked_fills import Fills
from .masked_proposal import correlated

LARGEST = 64
"""Number of coordinates up to which their correlations are fitted too."""
_PARTICLES = 4
_RATE = 0.05
_LAST = 100
"""Steps at the end whose mean bound is reported."""


class Fitted(NamedTuple):
    """Normals of `B` images, `R` of each.

    Args:
        normals: Batch `(R, B)`, event `(K,)`.
        elbo: The bounds on `log p(x_observed)`, means of the last steps, float64 `(R, B)`, nats.
    """

    normals: MultivariateNormal
    elbo: Tensor

    def best(self) -> tuple[MultivariateNormal, Tensor]:
        """The Normals with the largest bound, batch `(B,)`, and these bounds."""
        elbo, which = self.elbo.nan_to_num(-math.inf).max(0)
        images = torch.arange(len(which), device=which.device)
        loc, tril = self.normals.loc, self.normals.scale_tril
        return correlated(loc[which, images], tril[which, images]), elbo


def fit_normals(
    density: JointDensity,
    fills: Fills,
    block: Blocks,
    *,
    starts: int,
    steps: int,
    seed: int,
    stage: int,
) -> Fitted:
    """Maximise bounds on `log p(x_observed)` over some Normals for each image, each for itself.

    They start at the guide's Normals of fills from the likeliest to the least likely, as the
    posterior may have several modes, of which each Normal finds one. Covariances are full up to 64
    coordinates, diagonal beyond. Adam moves scales in units of the start's, and means in coarser
    ones, half way to the prior's, as the guide may be far off for its width. The gradient leaves
    out the score of q, whose expectation is 0: it then vanishes where q is the posterior.

    Source: Roeder, Wu & Duvenaud (2017), https://arxiv.org/abs/1703.09194, for the gradient.

    Args:
        density: The density that the Normals are fitted to.
        fills: What the guide says of each of `M` fills.
        block: The images, for the noise.
        starts: Number `R` of Normals of an image; `M` at most are fitted.
        steps: Steps of Adam, at least 1.
        seed: The user's seed.
        stage: What the noise is for.
    """
    start, unit = _starts(density, fills, starts)
    stride = (unit * fills.prior_scale).sqrt()
    count, size, dimension = start.shape
    shift = torch.zeros_like(start).requires_grad_()
    log_scale = torch.zeros_like(start).requires_grad_()
    lower = start.new_zeros(*start.shape, dimension).requires_grad_()
    moved = [shift, log_scale, lower][: 3 if dimension <= LARGEST else 2]
    optimizer = torch.optim.Adam(moved, lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, _RATE / 100)
    noise = NoiseOfBlocks(block, seed, stage)
    total, counted = torch.zeros(count, size, dtype=torch.float64, device=start.device), 0

    def normals() -> MultivariateNormal:
        tril = lower.tril(-1) + torch.diag_embed(log_scale.exp())
        return correlated(start + stride * shift, unit.unsqueeze(-1) * tril)

    with torch.enable_grad():
        for step in range(steps):
            q = normals()
            standard = noise.normal(_PARTICLES * count, dimension, start.dtype)
            standard = standard.unflatten(0, (_PARTICLES, count)).unsqueeze(-1)
            codes = q.loc + (q._unbroadcasted_scale_tril @ standard).squeeze(-1)
            joint = density.joint(codes.flatten(0, 1)).unflatten(0, (_PARTICLES, count))
            fixed = correlated(q.loc.detach(), q._unbroadcasted_scale_tril.detach())
            bound = (joint - fixed.log_prob(codes).double()).mean(0)
            slopes = torch.autograd.grad(-bound.sum(), moved)
            for parameter, slope in zip(moved, slopes, strict=True):
                parameter.grad = slope
            optimizer.step()
            schedule.step()
            if step >= steps - _LAST:
                total, counted = total + bound.detach(), counted + 1
    with torch.no_grad():
        return Fitted(normals(), total / counted)


def _starts(density: JointDensity, fills: Fills, count: int) -> tuple[Tensor, Tensor]:
    """Means and scales `(R, B, K)` of fills that are evenly spaced from the likeliest on."""
    chains = len(fills.loc)
    count = min(count, chains)
    joint = density.joint(fills.loc).nan_to_num(-math.inf)
    order = joint.argsort(dim=0, descending=True, stable=True)
    chosen = order[[rank * chains // count for rank in range(count)]].unsqueeze(-1)
    return fills.loc.take_along_dim(chosen, 0), fills.scale.take_along_dim(chosen, 0)
