r"""The posterior of the codes given some pixels of an image, and completions of the others.

\[ p(z \mid x_O) \propto p(z) \prod_{i \in O} p(x_i \mid z) \]
where O are the pixels that are seen: where pixels are independent given the codes, hidden ones
integrate to 1 and drop out. So any trained pair completes images, whatever is hidden; the guide,
which was trained on whole images, only proposes.

Source: Rezende, Mohamed & Wierstra (2014), section 5 and appendix F,
https://arxiv.org/abs/1401.4082, for imputation with a trained pair; Mattei & Frellsen (2018),
https://arxiv.org/abs/1802.04826, section 3, on what its chains leave out.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import pyro
import torch
from torch import Tensor

from unbraid.nets import Likelihood

from .blocks import blocks, padded
from .continuous import ContinuousModel
from .device import device_of
from .evaluating import (
    checked,
    likelihoods_of,
    own_noise,
)
from .masked_density import require_maskable
from .masked_inference import Part, complete
from .masked_pixels import read_observed
from .masked_result import MaskedPosterior
from .masked_settings import Settings, check_settings
from .sites import Program, in_mode, modules_of

_MASK = "observed"


def masked_posterior(
    model: Program,
    guide: Program,
    data: Tensor | Mapping[str, Tensor],
    observed: Tensor,
    *,
    keys: Sequence[str] = ("x",),
    by: str = "importance",
    draws: int = 5,
    samples: int = 1000,
    prior_share: float = 0.1,
    fills: int = 16,
    rounds: int = 5,
    starts: int = 4,
    steps: int = 300,
    chains: int = 2,
    warmup: int = 200,
    seed: int = 0,
    site: str = "x",
    rows: int = 2048,
    device: str | torch.device | None = None,
    likelihood: Likelihood | None = None,
    progress: Callable[[int], None] | None = None,
) -> MaskedPosterior:
    """Infer the codes of images from the pixels that are seen, and complete the images.

    Hidden pixels are not looked at; they may be NaN. Whatever way is chosen, the guide first
    encodes `fills` completions of each image, each `rounds` times over (see `masked_fills`), and:

    - `"importance"` draws from the guide's Normals of these fills, mixed with the prior, and
      weighs the draws: seconds for many images;
    - `"svi"` fits some Normals to each image, starting at different fills, and draws from these
      and weighs as before;
    - `"nuts"` runs the No-U-Turn sampler from codes of different fills, for one image after the
      other: minutes, and no weights.

    Weights are exact importance weights, so that all three aim at the same posterior.
    `log_evidence` is an importance-sampled estimate in each case; for `"nuts"` from a Normal with
    the draws' moments and those of svi, in whose coordinates the chains move.

    The noise of an image depends on the seed and its place; neither `rows` nor further images
    change more than rounding.

    Args:
        model: The generative program: continuous latents in the plate of data, and an image site
            whose pixels are independent given them.
        guide: The inference program, called with the same arguments.
        data: Images `(N, C, H, W)`, or a mapping with them and the conditions.
        observed: Bool `(H, W)`, `(N, H, W)` or `(N, C, H, W)`: true where a pixel is **seen**.
            Each image must have a hidden pixel; it may have none that is seen, whose posterior is
            the prior.
        keys: The entries of `data` that the pair is called with, in order, the images first.
        by: `"importance"`, `"svi"` or `"nuts"`.
        draws: Number `D` of completions, 1 to `samples`.
        samples: Number `S` of draws of the codes; of nuts 10 at least in each chain.
        prior_share: Share of importance samples that the prior gives, in [0, 1). No weight is then
            above `1 / prior_share` times the likelihood of the seen pixels. 0 leaves weights
            unbounded.
        fills: Number of fills of an image that the guide encodes, at least 1.
        rounds: How often each fill is encoded and made anew, at least 1.
        starts: Of svi: Normals that are fitted to each image, from different fills.
        steps: Of svi: steps of its optimiser.
        chains: Of nuts: chains of an image; `samples` is a multiple of it.
        warmup: Of nuts: moves of a chain that are thrown away.
        seed: Seed of the noise, at least 0. The global random state is left as it was.
        site: The model's site of the images.
        rows: Evaluations of the model's nets at a time.
        device: Where the data are moved to; where the pair's parameters are, unless given.
        likelihood: Checks the seen pixels; the model's own, unless given.
        progress: Called with the number of images done.

    Returns:
        Draws, weights, completions and diagnostics.

    Raises:
        NoLikelihoodError: If the pair has no density of some pixels: discrete latents, frames,
            pixels that depend on each other given the codes, a masked image, no likelihood.
        PairError: If model and guide do not fit each other, or nets do not broadcast over draws.
        TypeError: If `observed` is not bool.
        ValueError: If a setting is out of range, or `observed` has another shape or hides nothing.
    """
    settings = check_settings(
        Settings(
            by=by,
            site=site,
            draws=draws,
            samples=samples,
            prior_share=prior_share,
            fills=fills,
            rounds=rounds,
            starts=starts,
            steps=steps,
            chains=chains,
            warmup=warmup,
            seed=seed,
            rows=rows,
        )
    )
    entries = {keys[0]: data} if isinstance(data, Tensor) else dict(data)
    if _MASK in keys:
        raise ValueError(f"keys name {_MASK!r}, which is the mask's own; expected another name")
    if keys[0] not in entries:
        raise ValueError(
            f"data have no {keys[0]!r}; they have {', '.join(map(repr, entries))}. Pass "
            "keys=(...), the name of the images first"
        )
    images = entries[keys[0]]
    seen = read_observed(observed, images)
    # From here on nobody can look at a hidden pixel.
    entries |= {keys[0]: torch.where(seen, images, images.new_zeros(())), _MASK: seen}
    modules = modules_of(model, guide)
    place = torch.device(device) if device is not None else device_of(*modules)
    likelihoods = [likelihood] if likelihood is not None else likelihoods_of(model)
    results, done = [], 0
    with torch.no_grad(), in_mode(False, modules):
        stream = checked(blocks(entries, (*keys, _MASK)), place, likelihoods)
        first = next(stream)
        with own_noise(place):
            *args, mask = padded(first)
            continuous = require_maskable(model, tuple(args), mask, site, likelihoods)
        for index, block in enumerate(chain([first], stream)):
            report = None if progress is None else _shifted(progress, done)
            with own_noise(place), pyro.validation_enabled(False):
                results.append(complete(continuous, guide, index, block, settings, report))
            done += len(block[0])
            if progress is not None:
                progress(done)
    return _joined(results, continuous, settings)


def _shifted(progress: Callable[[int], None], done: int) -> Callable[[int], None]:
    return lambda more: progress(done + more)


def _joined(parts: Sequence[Part], model: ContinuousModel, settings: Settings) -> MaskedPosterior:
    def every(of: Callable[[Part], Tensor], dim: int = 0) -> Tensor:
        tensor = torch.cat([of(part) for part in parts], dim)
        return tensor.transpose(0, 1) if dim else tensor

    values, _ = model.latents.values(every(lambda p: p.draws.vectors, 1))
    chosen = every(lambda p: p.chosen, 1)
    log_weights = every(lambda p: p.draws.log_weights, 1)
    return MaskedPosterior(
        latents=values,
        log_weights=log_weights,
        log_likelihood=every(lambda p: p.draws.log_likelihood, 1),
        completions=every(lambda p: p.completions, 1),
        completion_weights=log_weights.gather(1, chosen).exp(),
        completion_draws=chosen,
        mean=every(lambda p: p.mean),
        log_evidence=every(lambda p: p.evidence.log_evidence),
        effective_sample_size=every(lambda p: p.draws.effective_sample_size),
        pareto_k=every(lambda p: p.evidence.pareto_k),
        evidence_sample_size=every(lambda p: p.evidence.effective_sample_size),
        diagnostics={
            name: torch.cat([part.diagnostics[name] for part in parts])
            for name in parts[0].diagnostics
        },
        by=settings.by,
        seed=settings.seed,
    )
