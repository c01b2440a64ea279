"""Where the guide puts the codes of images of which it sees a part: chains of fills.

A guide takes whole images. Each chain fills the hidden pixels with the mean image of a code of its
own, drawn from the prior; then it encodes, draws a code, decodes and fills again, some rounds. The
chains end where the guide, which takes the fill for data, agrees with the decoder; several of them
show how far the codes may lie apart.

Source: Rezende, Mohamed & Wierstra (2014), appendix F, https://arxiv.org/abs/1401.4082, which draw
the pixels where this takes their means.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .blocks import BLOCK
from .continuous import ContinuousModel
from .eligibility import layers_of
from .flat_latents import FlatLatents, constant_support, is_real
from .masked_density import encoded, kept
from .noise_seeds import seed_noise
from .sites import Program, Runner, Site

NARROWEST = 0.05
"""Least standard deviation of a guide's codes, in those of the prior: a point gets a width."""


class Fills(NamedTuple):
    """What the guide says of the codes of each fill, as Normals of independent coordinates.

    Args:
        loc: Means `(M, B, K)` for `M` chains of `B` images.
        scale: Standard deviations `(M, B, K)`, each a twentieth of the prior's at least.
        prior_scale: Standard deviations of the prior's draws, `(K,)`.
    """

    loc: Tensor
    scale: Tensor
    prior_scale: Tensor


def fill(
    model: ContinuousModel,
    guide: Program,
    args: tuple[Tensor, ...],
    observed: Tensor,
    site: str,
    *,
    chains: int,
    rounds: int,
    seed: int,
) -> Fills:
    """Fill a block of images, encode and fill again.

    Args:
        model: The model.
        guide: The inference program.
        args: Arguments of both, of a whole block of 32, as noise for fewer would be other noise.
        observed: Bool `(32, C, H, W)`, true where a pixel is seen.
        site: The site of the images.
        chains: Number `M` of chains, at least 1.
        rounds: How often each is encoded, at least 1.
        seed: Seed of the noise.

    Raises:
        PairError: If the guide lacks a site of the model.
    """
    names = model.latents.names
    copies = tuple(torch.cat([arg] * chains) for arg in args)
    seen = torch.cat([observed] * chains)
    seed_noise(seed, 0, args[0].device)
    sites = Runner().run(model.program, copies).sites
    first = model.latents.vectors({name: sites[name].value for name in names})
    prior_scale = first.std(0)  # of the whole block, as few chains say little of one image's
    found: Mapping[str, Site] = {}
    for step in range(1, rounds + 1):
        images = kept(sites[site], seen)
        copies = (images, *copies[1:])
        seed_noise(seed, step, args[0].device)
        found = encoded(guide, names, copies)
        sites = model.run(copies, {name: found[name].value for name in names})
    loc, scale = moments(model.latents, sites, found)
    loc, scale = (part.unflatten(0, (chains, BLOCK)) for part in (loc, scale))
    scale = torch.where(scale > 0, scale, _bandwidth(loc))
    return Fills(loc, torch.maximum(scale, NARROWEST * prior_scale), prior_scale)


def moments(
    latents: FlatLatents, prior: Mapping[str, Site], found: Mapping[str, Site]
) -> tuple[Tensor, Tensor]:
    """Means and standard deviations `(rows, K)`; draws and 0 where a site says neither."""
    loc = latents.vectors({name: found[name].value for name in latents.names})
    scale, parts = torch.zeros_like(loc), []
    for name in latents.names:
        size = FlatLatents([prior[name]]).dimension
        start = parts[-1].stop if parts else 0
        parts.append(slice(start, start + size))
        moments = _moments_of(prior[name], found[name])
        if moments is not None:
            rows = len(loc), size
            loc[:, parts[-1]], scale[:, parts[-1]] = (moment.reshape(rows) for moment in moments)
    return loc, scale


def _moments_of(prior: Site, found: Site) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation of the guide's site; None where they are no Normal's."""
    fn: Any = found.fn
    support = constant_support(prior)
    if any(type(layer).__name__ == "Delta" for layer in layers_of(fn)):
        return None
    if support is not None and not is_real(support):
        return None
    try:
        mean, spread = fn.mean, fn.stddev
    except (NotImplementedError, AttributeError):
        return None
    finite = torch.isfinite(mean).all() & torch.isfinite(spread).all()
    return (mean, spread) if bool(finite) else None


def _bandwidth(loc: Tensor) -> Tensor:
    """Widths of the kernels that make a density of the chains' draws, by Scott's rule."""
    chains, _, dimension = loc.shape
    if chains == 1:
        return torch.zeros_like(loc)
    return (loc.std(0) * chains ** (-1 / (dimension + 4))).expand_as(loc)
