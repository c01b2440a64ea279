"""Importance sampling from Normals mixed with the prior, so that weights are bounded.

Source: Hesterberg (1995), Weighted average importance sampling and defensive mixture
distributions, Technometrics 37, for the share of the prior; Veach & Guibas (1995), Optimally
combining sampling techniques for Monte Carlo rendering, SIGGRAPH, section 3.2, for a fixed number
of draws of each part of the mixture under the density of the whole.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from .annealed_start import Blocks, NoiseOfBlocks, ProgramStart
from .diagnostics import pareto_k, tail_length
from .joint_density import JointDensity

Parts = Independent | MultivariateNormal
"""Normals with batch `(M, B)` and event `(K,)`."""


class Weighted(NamedTuple):
    """Draws of `B` images' codes and their weights.

    Args:
        vectors: Codes `(S, B, K)`.
        log_weights: Normalised log-weights, float64 `(S, B)`.
        log_likelihood: `log p(x_observed | z)` of each draw, float64 `(S, B)`, nats.
        log_evidence: Estimate of `log p(x_observed)`, float64 `(B,)`, nats.
        effective_sample_size: `(sum w)^2 / sum w^2`, `(B,)`.
        pareto_k: Tail shape of the weights, `(B,)`.
    """

    vectors: Tensor
    log_weights: Tensor
    log_likelihood: Tensor
    log_evidence: Tensor
    effective_sample_size: Tensor
    pareto_k: Tensor


def diagonal(loc: Tensor, scale: Tensor) -> Independent:
    """Normals of independent coordinates `(..., K)`."""
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


def correlated(loc: Tensor, tril: Tensor) -> MultivariateNormal:
    """Normals with the Cholesky factors `(..., K, K)` of their covariances."""
    return MultivariateNormal(loc, scale_tril=tril, validate_args=False)


def importance(
    density: JointDensity,
    parts: Parts,
    block: Blocks,
    *,
    samples: int,
    prior_share: float,
    seed: int,
    stages: tuple[int, int],
) -> Weighted:
    """Draw from a mixture of Normals and the prior, and weigh the draws.

    Each part of the mixture gives a fixed number of draws; weights are under the density of the
    mixture with the shares that these numbers are.

    Args:
        density: The density that the draws are to follow.
        parts: The Normals, each with the same share.
        block: The images, for the noise.
        samples: Number `S` of draws, at least 1.
        prior_share: Share of draws from the prior, in [0, 1); one draw at least unless it is 0.
        seed: The user's seed.
        stages: What the noise is for: draws of the prior, draws of the Normals.
    """
    count = parts.batch_shape[0]
    from_prior = min(samples, max(math.ceil(prior_share * samples), int(prior_share > 0)))
    rest = samples - from_prior
    counts = [rest // count + (part < rest % count) for part in range(count)]
    mean = parts.mean
    noise = NoiseOfBlocks(block, seed, stages[1]).normal(rest, mean.shape[-1], mean.dtype)
    which = torch.arange(count, device=mean.device).repeat_interleave(
        torch.tensor(counts, device=mean.device)
    )
    vectors = _shifted(parts, which, noise)
    if from_prior:
        model = density.model
        prior = ProgramStart(model.program, model.latents, block)
        vectors = torch.cat([prior.draw(from_prior, seed, stages[0]), vectors])
    log_prior, log_likelihood = density.parts(vectors)
    shares = torch.tensor([from_prior, *counts], device=mean.device).double() / samples
    rows = max(1, 2**22 // max(1, mean.numel()))  # so that densities take a few megabytes
    of_parts = torch.cat([parts.log_prob(v.unsqueeze(1)) for v in vectors.split(rows)]).double()
    every = torch.cat([log_prior.unsqueeze(1), of_parts], 1)
    log_q = (every + shares.log().view(1, -1, 1)).logsumexp(1)
    return weigh(vectors, log_prior + log_likelihood - log_q, log_likelihood)


def weigh(vectors: Tensor, log_weights: Tensor, log_likelihood: Tensor) -> Weighted:
    """Normalise log-weights `(S, B)` and say what they are worth."""
    samples = len(log_weights)
    total = log_weights.logsumexp(0)
    normalised = log_weights - total
    largest = log_weights.topk(min(tail_length(samples) + 1, samples), dim=0).values
    return Weighted(
        vectors,
        normalised,
        log_likelihood,
        total - math.log(samples),
        (-(2 * normalised).logsumexp(0)).exp(),
        pareto_k(largest, samples),
    )


def _shifted(parts: Parts, which: Tensor, noise: Tensor) -> Tensor:
    """Turn noise `(S, B, K)` into draws of the Normals `which` `(S,)`."""
    if isinstance(parts, MultivariateNormal):
        tril = parts._unbroadcasted_scale_tril[which]
        return parts.loc[which] + (tril @ noise.unsqueeze(-1)).squeeze(-1)
    return parts.mean[which] + parts.stddev[which] * noise
