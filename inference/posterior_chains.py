"""The posterior of each datum's codes by the No-U-Turn sampler, started from the guide's draws.

A guide is a guess, and importance weights mend it only as far as their effective number reaches.
Chains leave the guide behind: it says where they start, and near what the coordinates lie in which
they move.

Source: Hoffman & Gelman (2014), https://arxiv.org/abs/1111.4246.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import pyro
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from unbraid.nets import Likelihood

from .annealed_start import FITTED, Blocks, ProgramStart, guide_start
from .blocks import BLOCK, blocks, padded
from .continuous import ContinuousModel, require_continuous
from .device import device_of
from .eligibility import NoLikelihoodError, is_silent, layers_of
from .evaluating import (
    checked,
    likelihoods_of,
    own_noise,
)
from .joint_density import JointDensity
from .masked_fills import Fills
from .masked_proposal import correlated
from .masked_svi import fit_normals
from .noise_seeds import mix
from .nuts import FEWEST, Chains, run_chains
from .sites import Program, Runner, in_mode, modules_of
from .whole_numbers import whole_number

STEPS = 300
"""Steps that fit the Normal in whose coordinates chains move."""
_NARROWEST = 0.05
"""Least standard deviation of that Normal's start, in those of the prior."""


class _Stage:
    """What noise is for: a constant apart for each, so that no two share theirs."""

    GUIDE, PRIOR, FIT, CHAINS = range(4)


@dataclass(frozen=True)
class PosteriorChains:
    """Draws of `B` data's codes by `C` chains of `S` draws each.

    Args:
        latents: By latent site, `(C, S, B, event)`.
        log_likelihood: `log p(x | z)` by observed site, float64 `(C, S, B)`, nats.
        diverging: Which draws end a divergent path, bool `(C, S, B)`.
        acceptance: Mean probability of acceptance along the paths, float64 `(C, B)`.
        step_size: Of the paths, float64 `(C, B)`.
    """

    latents: dict[str, Tensor]
    log_likelihood: dict[str, Tensor]
    diverging: Tensor
    acceptance: Tensor
    step_size: Tensor


def posterior_chains(
    model: Program,
    guide: Program,
    args: Sequence[Tensor],
    *,
    draws: int = 1000,
    warmup: int = 500,
    chains: int = 4,
    seed: int = 0,
    rows: int = 2048,
    likelihood: Likelihood | None = None,
    progress: Callable[[int], None] | None = None,
) -> PosteriorChains:
    """Draw codes of each datum from its posterior by Markov chains, one datum after the other.

    Each chain starts at a draw of the guide and moves in coordinates in which a Normal is a
    standard one; it is fitted to the posterior first, from the guide's mean. What the guide says
    changes how soon chains are right, not what they draw.

    The noise of a datum depends on the seed and its place; further data change no more than
    rounding does, after which a chain may take another course.

    Args:
        model: The generative program: continuous latents in the plate of data.
        guide: The inference program, with distributions; points are refused.
        args: Arguments of both, each of `B` data.
        draws: Number `S` of draws of a chain, at least 10.
        warmup: Moves of a chain that adapt its steps, and are thrown away; at least 10.
        chains: Number `C` of chains of a datum, at least 1.
        seed: Seed of the noise, at least 0. The global random state is left as it was.
        rows: Evaluations of the model's nets at a time.
        likelihood: Checks the data; the model's own, unless given.
        progress: Called with the number of data done.

    Raises:
        NoLikelihoodError: If latents are discrete, points, masked or of frames, or the model has
            no density of the data.
        PairError: If model and guide do not fit each other, or nets do not broadcast over draws.
        ValueError: If a number is out of range.
    """
    draws, warmup = whole_number("draws", draws, FEWEST), whole_number("warmup", warmup, FEWEST)
    chains, rows = whole_number("chains", chains, 1), whole_number("rows", rows, 1)
    seed = whole_number("seed", seed, 0)
    modules = modules_of(model, guide)
    place = device_of(*modules)
    likelihoods = [likelihood] if likelihood is not None else likelihoods_of(model)
    keys = tuple(f"argument {place}" for place in range(len(args)))
    parts: list[tuple[ContinuousModel, JointDensity, Chains]] = []
    done = 0
    with torch.no_grad(), in_mode(False, modules):
        stream = checked(blocks(dict(zip(keys, args, strict=True)), keys), place, likelihoods)
        first = next(stream)
        with own_noise(place):
            continuous = _require_chains(model, guide, padded(first), likelihoods)
        for index, block in enumerate(chain([first], stream)):
            with own_noise(place), pyro.validation_enabled(False):
                density = JointDensity(continuous, block, rows)
                starts, normal = _start(density, guide, [(index, block)], seed)
                run = run_chains(
                    density,
                    starts[:chains],
                    normal,
                    samples=draws * chains,
                    chains=chains,
                    warmup=warmup,
                    seed=mix(seed, index, _Stage.CHAINS),
                    progress=_shifted(progress, done),
                )
            parts.append((continuous, density, run))
            done += len(block[0])
        return _joined(parts, chains)


def _shifted(progress: Callable[[int], None] | None, done: int) -> Callable[[int], None] | None:
    return None if progress is None else lambda more: progress(done + more)


def _require_chains(
    model: Program, guide: Program, args: tuple[Any, ...], likelihoods: Sequence[Likelihood]
) -> ContinuousModel:
    """Refuse pairs of whose codes chains cannot draw, in words of their own where they differ."""
    sites = Runner().run(model, args).sites
    for name, site in sites.items():
        support: Any = site.fn.support
        if not site.observed and support.is_discrete:
            raise NoLikelihoodError(
                f"latent site {name!r} is discrete; chains move along gradients, in continuous "
                "codes alone. Draw by='importance'"
            )
    counted = [site for site in sites.values() if not is_silent(site)]
    if any(plate.dim < -1 for site in counted for plate in site.plates):
        raise NoLikelihoodError(
            "the model has a plate inside the data's, such as frames of a sequence; chains draw "
            "codes of single data. Draw by='importance'"
        )
    for name, site in Runner().run(guide, args).sites.items():
        if any(type(layer).__name__ == "Delta" for layer in layers_of(site.fn)):
            raise NoLikelihoodError(
                f"site {name!r} of the guide is a point; expected distributions, whose draws "
                "chains start at. Take a method whose guide has a density, or encode with the "
                "guide as it is"
            )
    return require_continuous(model, args, len(args[0]), likelihoods)


def _start(
    density: JointDensity, guide: Program, block: Blocks, seed: int
) -> tuple[Tensor, MultivariateNormal]:
    """Draws of the guide `(M, B, K)`, and a Normal near each posterior, batch `(B,)`."""
    model = density.model
    drawn = guide_start(guide, model, block, seed, _Stage.GUIDE).draw(FITTED, seed, _Stage.GUIDE)
    whole = [(index, padded(args)) for index, args in block]
    prior = ProgramStart(model.program, model.latents, whole).draw(BLOCK, seed, _Stage.PRIOR)
    prior_scale = prior.flatten(0, 1).std(0)
    loc = drawn.mean(0, keepdim=True)
    scale = torch.maximum(drawn.std(0, keepdim=True), _NARROWEST * prior_scale)
    fitted = fit_normals(
        density,
        Fills(loc, scale, prior_scale),
        block,
        starts=1,
        steps=STEPS,
        seed=seed,
        stage=_Stage.FIT,
    )
    normal, _ = fitted.best()
    tril = normal.scale_tril
    # A fit that ran away must not take the chains along.
    fine = tril.flatten(1).isfinite().all(1) & normal.loc.isfinite().all(1)
    rough = torch.diag_embed(scale[0])
    return drawn, correlated(
        torch.where(fine.unsqueeze(-1), normal.loc, loc[0]),
        torch.where(fine[:, None, None], tril, rough),
    )


class _Part(NamedTuple):
    latents: dict[str, Tensor]
    log_likelihood: dict[str, Tensor]


def _joined(
    parts: Sequence[tuple[ContinuousModel, JointDensity, Chains]], chains: int
) -> PosteriorChains:
    told = []
    for model, density, run in parts:
        latents, _ = model.latents.values(run.vectors)
        told.append(_Part(latents, density.by_site(run.vectors)))

    def every(of: Callable[[_Part], dict[str, Tensor]]) -> dict[str, Tensor]:
        return {
            name: torch.cat([of(part)[name] for part in told], 1).unflatten(0, (chains, -1))
            for name in of(told[0])
        }

    runs = [run for *_, run in parts]
    return PosteriorChains(
        latents=every(lambda part: part.latents),
        log_likelihood=every(lambda part: part.log_likelihood),
        diverging=torch.cat([run.diverging for run in runs], 1).unflatten(0, (chains, -1)),
        acceptance=torch.cat([run.acceptance for run in runs], 1),
        step_size=torch.cat([run.step_size for run in runs], 1),
    )
