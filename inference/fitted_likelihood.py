"""Importance-sampled log-likelihoods with Normals fitted to each datum as the proposal.

A guide is one net for all data. Where it is off for some of them, or its independent coordinates
are not what the posterior has, its importance weights have a heavy tail, and the estimate of
`log p(x)` is too low for any number of samples that can be drawn. Here Normals with full
covariances are fitted to every datum's posterior, from several starts, and mixed with a share of
the prior, under whose density no weight exceeds `p(x | z)` over that share. The estimate stays
unbiased for `p(x)`.

Source: Cremer, Li & Duvenaud (2018), https://arxiv.org/abs/1801.03558, section 3, for what a guide
loses by being one net; Hesterberg (1995), Technometrics 37, for the mixture.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import pyro
import torch
from torch import Tensor

from unbraid.nets import Likelihood

from .annealed_start import Blocks
from .blocks import BLOCK, Data, blocks, padded
from .continuous import ContinuousModel, require_continuous
from .device import device_of
from .evaluating import checked, likelihoods_of, own_noise
from .fitted_result import FittedLikelihood
from .joint_density import JointDensity
from .masked_density import encoded
from .masked_fills import NARROWEST, Fills, moments
from .masked_proposal import Weighted, importance
from .masked_svi import fit_normals
from .noise_seeds import mix, seed_noise
from .partial_results import PartialResults, fingerprint
from .sites import Program, Runner, in_mode, modules_of, owner
from .whole_numbers import whole_number


class _Stage:
    """What noise is for: a constant apart for each, so that no two share theirs."""

    GUIDE, FIRST, FIT, PRIOR, NORMALS = range(5)


def fitted_log_likelihood(
    model: Program,
    guide: Program,
    data: Data,
    *,
    keys: Sequence[str] = ("x",),
    samples: int = 5000,
    candidates: int = 32,
    starts: int = 4,
    steps: int = 300,
    prior_share: float = 0.1,
    seed: int = 0,
    rows: int = 2048,
    device: str | torch.device | None = None,
    likelihood: Likelihood | None = None,
    resume: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> FittedLikelihood:
    """Estimate log-likelihoods by importance sampling from Normals fitted to each datum.

    First the guide names candidates: half of them are its draws, the other half what it says of
    the other sites where its first one is a draw of the prior, as where a perspective decides how
    an appearance is inferred. From some of these, the likeliest first, Normals are fitted by
    stochastic gradients of their bounds (see `masked_svi`). Samples are drawn from all of them,
    each its share, and from the prior.

    The numbers depend on the pair, the data and their order, and the settings; neither the batches
    that the data come in nor `rows` change more than rounding.

    Args:
        model: The generative program: continuous latents in the plate of data.
        guide: The inference program, with a distribution for every latent site.
        data: An iterable of batches (mappings of tensors), one such mapping, or a tensor of
            images.
        keys: The entries of a batch that the pair is called with, in order.
        samples: Number `K` of samples per datum, at least 1. All of a block of 32 data are held.
        candidates: Number of candidates, at least 2.
        starts: Number of Normals of a datum, 1 to `candidates`.
        steps: Steps of their optimiser, at least 1.
        prior_share: Share of the samples that the prior gives, in [0, 1).
        seed: Seed of the noise, at least 0. The global random state is left as it was.
        rows: Evaluations of the model's nets at a time.
        device: Where the data are moved to; where the pair's parameters are, unless given.
        likelihood: Checks the data; the model's own, unless given.
        resume: File for partial results. One that is there is gone on with; it stays, complete, at
            the end.
        progress: Called with the number of data done after each block.

    Returns:
        The log-likelihoods, float64 in nats, with diagnostics.

    Raises:
        NoLikelihoodError: If the model has discrete, masked or nested latents, or otherwise no
            likelihood; says why, and what can be had instead.
        PairError: If the guide lacks a site, or nets do not broadcast over draws.
        ValueError: If a setting is out of range or the data are not what the likelihood is of.
        CheckpointError: If the file at `resume` is of something else.
    """
    samples, steps = whole_number("samples", samples, 1), whole_number("steps", steps, 1)
    candidates = whole_number("candidates", candidates, 2)
    starts, rows = whole_number("starts", starts, 1), whole_number("rows", rows, 1)
    seed = whole_number("seed", seed, 0)
    if starts > candidates:
        raise ValueError(
            f"starts is {starts}, but candidates is {candidates}; expected at most as many. Raise "
            "candidates"
        )
    if not 0 <= prior_share < 1:
        raise ValueError(
            f"prior_share is {prior_share}; expected a number of at least 0 and below 1"
        )
    modules = modules_of(model, guide)
    place = torch.device(device) if device is not None else device_of(*modules)
    likelihoods = [likelihood] if likelihood is not None else likelihoods_of(model)
    described = {
        "fitted": [samples, candidates, starts, steps, prior_share, seed, BLOCK],
        "keys": list(keys),
        "device": place.type,
        "pair": [type(owner(program)).__qualname__ for program in (model, guide)],
        "weights": fingerprint(modules) if resume is not None else "",
    }
    results = PartialResults(resume, described)
    done = 0
    with torch.no_grad(), in_mode(False, modules), results.saved_at_exit():
        stream = checked(blocks(data, keys), place, likelihoods)
        first = next(stream)
        with own_noise(place):
            continuous = require_continuous(model, padded(first), BLOCK, likelihoods)
        for index, block in enumerate(chain([first], stream)):
            size = len(block[0])
            if not results.has(block):
                with own_noise(place), pyro.validation_enabled(False):
                    density = JointDensity(continuous, block, rows)
                    noise = mix(seed, index)
                    named = _candidates(continuous, guide, padded(block), candidates, noise, size)
                    drawn, elbo = _estimate(
                        density,
                        named,
                        [(index, block)],
                        samples=samples,
                        starts=starts,
                        steps=steps,
                        prior_share=prior_share,
                        seed=seed,
                    )
                found = drawn.log_evidence, elbo, drawn.effective_sample_size, drawn.pareto_k
                results.add(torch.stack([column.double() for column in found]))
            done += size
            if progress is not None:
                progress(done)
    log_evidence, elbo, effective_sample_size, pareto_k = results.finish().unbind()
    return FittedLikelihood(
        log_likelihood=log_evidence,
        elbo=elbo,
        effective_sample_size=effective_sample_size,
        pareto_k=pareto_k,
        samples=samples,
        starts=starts,
        steps=steps,
        prior_share=prior_share,
        seed=seed,
    )


def _estimate(
    density: JointDensity,
    named: Fills,
    whole: Blocks,
    *,
    samples: int,
    starts: int,
    steps: int,
    prior_share: float,
    seed: int,
) -> tuple[Weighted, Tensor]:
    """Fit Normals to a block of data and weigh samples of them; and the best Normals' bounds."""
    fitted = fit_normals(
        density, named, whole, starts=starts, steps=steps, seed=seed, stage=_Stage.FIT
    )
    drawn = importance(
        density,
        fitted.normals,
        whole,
        samples=samples,
        prior_share=prior_share,
        seed=seed,
        stages=(_Stage.PRIOR, _Stage.NORMALS),
    )
    return drawn, fitted.best()[1]


def _candidates(
    model: ContinuousModel,
    guide: Program,
    args: tuple[Tensor, ...],
    count: int,
    seed: int,
    size: int,
) -> Fills:
    """What the guide says of the codes, from its own draws and from first sites of the prior."""
    of_prior = count // 2
    named = [
        _named(
            model, guide, args, count - of_prior, mix(seed, _Stage.GUIDE), first_of_prior=False
        ),
        _named(model, guide, args, of_prior, mix(seed, _Stage.FIRST), first_of_prior=True),
    ]
    loc, scale, drawn = (torch.cat(parts) for parts in zip(*named, strict=True))
    prior_scale = drawn.flatten(0, 1).std(0)  # of the whole block, whose noise is always the same
    loc, scale = loc[:, :size], scale[:, :size]
    return Fills(loc, torch.maximum(scale, NARROWEST * prior_scale), prior_scale)


def _named(
    model: ContinuousModel,
    guide: Program,
    args: tuple[Tensor, ...],
    copies: int,
    seed: int,
    *,
    first_of_prior: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Means and standard deviations of the guide, and draws of the prior, each `(M, 32, K)`."""
    latents, repeated = model.latents, tuple(torch.cat([arg] * copies) for arg in args)
    seed_noise(seed, 0, args[0].device)
    prior = Runner().run(model.program, repeated).sites
    drawn = {name: prior[name].value for name in latents.names}
    found = encoded(guide, latents.names, repeated)
    first = next(name for name in found if name in latents.names)
    if first_of_prior:
        found = Runner().run(guide, repeated, {first: drawn[first]}).sites
    loc, scale = moments(latents, prior, found)
    if first_of_prior:
        values, _ = latents.values(loc)
        loc = latents.vectors({**values, first: drawn[first]})
    parts = loc, scale, latents.vectors(drawn)
    loc, scale, vectors = (part.unflatten(0, (copies, BLOCK)) for part in parts)
    return loc, scale, vectors
