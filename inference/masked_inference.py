"""Find the posterior of a block of images' codes in one of three ways, and complete the images."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from .annealed_start import NoiseOfBlocks
from .blocks import padded
from .continuous import ContinuousModel
from .masked_density import MaskedDensity
from .masked_fills import Fills, fill
from .masked_proposal import Weighted, correlated, diagonal, importance, weigh
from .masked_settings import Settings
from .masked_svi import fit_normals
from .noise_seeds import mix
from .nuts import run_chains
from .sites import Program

LEAST_VARIANCE = 1e-10


class _Stage:
    """What noise is for: a constant apart for each, so that no two share theirs."""

    FILLS, PRIOR, NORMALS, FIT, CHAINS, CHOICE = range(6)


class Part(NamedTuple):
    """What was found for a block of `B` images.

    Args:
        draws: The draws of the posterior.
        evidence: The importance samples that say `log p(x_observed)`.
        completions: Completed images of some draws, `(D, B, C, H, W)`.
        chosen: Which draws these are, `(D, B)`.
        mean: Weighted mean of all completed images, `(B, C, H, W)`.
        diagnostics: Numbers `(B,)` by name.
    """

    draws: Weighted
    evidence: Weighted
    completions: Tensor
    chosen: Tensor
    mean: Tensor
    diagnostics: dict[str, Tensor]


def complete(
    model: ContinuousModel,
    guide: Program,
    index: int,
    block: tuple[Tensor, ...],
    settings: Settings,
    progress: Callable[[int], None] | None,
) -> Part:
    """Find the posteriors of a block of images, and complete them.

    Args:
        model: The model.
        guide: The inference program.
        index: Number of the block, which the noise depends on.
        block: Arguments of both, and last the mask, bool `(B, C, H, W)`.
        settings: How it is done.
        progress: Called with the number of images done, where they are done one by one.
    """
    size = len(block[0])
    *whole, mask = padded(block)
    seed = settings.seed
    found = fill(
        model,
        guide,
        tuple(whole),
        mask,
        settings.site,
        chains=settings.fills,
        rounds=settings.rounds,
        seed=mix(seed, index, _Stage.FILLS),
    )
    found = Fills(found.loc[:, :size], found.scale[:, :size], found.prior_scale)
    density = MaskedDensity(model, block[:-1], block[-1], settings.site, settings.rows)
    draws, evidence, diagnostics = _infer(density, found, (index, block[:-1]), settings, progress)
    noise = NoiseOfBlocks([(index, block)], seed, _Stage.CHOICE)
    chosen = choose(draws.log_weights, settings.draws, noise.uniform(settings.samples))
    codes = draws.vectors.take_along_dim(chosen.unsqueeze(-1), 0)
    mean = density.mean_completed(draws.vectors, draws.log_weights.exp())
    return Part(draws, evidence, density.completed(codes), chosen, mean, diagnostics)


def _infer(
    density: MaskedDensity,
    found: Fills,
    block: tuple[int, tuple[Tensor, ...]],
    settings: Settings,
    progress: Callable[[int], None] | None,
) -> tuple[Weighted, Weighted, dict[str, Tensor]]:
    """Draws, the importance samples behind the evidence, and diagnostics."""
    share: dict[str, Any] = {
        "samples": settings.samples,
        "prior_share": settings.prior_share,
        "seed": settings.seed,
        "stages": (_Stage.PRIOR, _Stage.NORMALS),
    }
    if settings.by == "importance":
        drawn = importance(density, diagonal(found.loc, found.scale), [block], **share)
        return drawn, drawn, {}
    fitted = fit_normals(
        density,
        found,
        [block],
        starts=settings.starts,
        steps=settings.steps,
        seed=settings.seed,
        stage=_Stage.FIT,
    )
    normal, elbo = fitted.best()
    if settings.by == "svi":
        drawn = importance(density, fitted.normals, [block], **share)
        return drawn, drawn, {"elbo": elbo}
    run = run_chains(
        density,
        found.loc,
        normal,
        samples=settings.samples,
        chains=settings.chains,
        warmup=settings.warmup,
        seed=mix(settings.seed, block[0], _Stage.CHAINS),
        progress=progress,
    )
    equal = run.vectors.new_zeros(run.vectors.shape[:2], dtype=torch.float64)
    drawn = weigh(run.vectors, equal, density.parts(run.vectors)[1])
    drawn = drawn._replace(effective_sample_size=run.effective_sample_size)
    parts = [_normal_of(run.vectors), fitted.normals]
    together = correlated(
        torch.cat([part.loc for part in parts]), torch.cat([part.scale_tril for part in parts])
    )
    around = importance(density, together, [block], **share)
    return drawn, around, {"r_hat": run.r_hat, "divergences": run.divergences}


def _normal_of(vectors: Tensor) -> MultivariateNormal:
    """Normals with the moments of draws `(S, B, K)`; correlations count less where S is small."""
    samples, _, dimension = vectors.shape
    loc = vectors.mean(0, keepdim=True)
    centred = (vectors - loc).transpose(0, 1)
    covariance = centred.mT @ centred / (samples - 1)
    # Chains that never moved have no variance, and must not cost the other images their work.
    covariance = covariance + LEAST_VARIANCE * torch.eye(dimension).to(covariance)
    variance = torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))
    covariance = covariance + min(1.0, dimension / samples) * (variance - covariance)
    return correlated(loc, torch.linalg.cholesky(covariance).unsqueeze(0))


def choose(log_weights: Tensor, draws: int, uniform: Tensor) -> Tensor:
    """Choose among weighted draws without replacement.

    Args:
        log_weights: `(S, B)`.
        draws: How many are chosen, at most `S`.
        uniform: Uniform noise in [0, 1), `(S, B)`.

    Returns:
        Their indices `(draws, B)`, the largest weight first.
    """
    # The largest of log-weights with Gumbel noise are such a choice.
    chosen = (log_weights - (-uniform.log()).log()).topk(draws, dim=0).indices
    order = log_weights.take_along_dim(chosen, 0).argsort(dim=0, descending=True, stable=True)
    return chosen.take_along_dim(order, 0)
