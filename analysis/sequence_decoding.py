"""Decode codes of sequences and of frames in any combination, wherever the decoder is."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from unbraid.inference import Program, Site

from .passes import (
    frames_of,
    mean_images,
    prior_moments,
    sites_at_points,
    takes_frames,
    undisturbed,
)
from .sequence_codes import SITES, SequenceSites


class Moments(NamedTuple):
    """Mean and standard deviation of a distribution of vectors.

    Args:
        loc: Means `(..., Z)`.
        scale: Standard deviations `(..., Z)`.
    """

    loc: Tensor
    scale: Tensor


class SampledFrames(NamedTuple):
    """Frames that a model has sampled, and the codes that it sampled them from; on the host.

    Args:
        images: Mean images `(M, N, C, H, W)` in [0, 1].
        codes: Codes of the frames `(M, N, K)`, by site.
    """

    images: Tensor
    codes: Mapping[str, Tensor]


def decode_frames(
    model: Program,
    static: Tensor,
    dynamic: Tensor,
    layers: Mapping[str, Tensor] | None = None,
    *,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Tensor:
    """Decode any static codes with any dynamic codes.

    The model runs with these values at its own sites, a bounded number of frames at a time;
    latent sites that are not given are at the model's mean. Leading dims broadcast: static codes
    `(R, 1, F)` and dynamic codes `(Q, T, Z)` give all `(R, Q, T)` combinations.

    Args:
        model: The generative program, called as `model(size=B, frames=1)`.
        static: Codes of sequences `(..., F)`.
        dynamic: Codes of frames `(..., T, Z)`.
        layers: Codes of further sites of frames `(..., T, K)`, by name.
        sites: The names of the model's sites.
        seed: Seed of what has no mean and is sampled.

    Returns:
        Mean images `(..., T, C, H, W)` in [0, 1], on the host.

    Raises:
        ValueError: If the model samples no sequences, has no such site, or the codes do not fit
            its sites or each other.
    """
    by_frame = {sites.dynamic: dynamic, **(layers or {})}
    lead = _common_lead(static, by_frame)
    values = {sites.static: static.unsqueeze(-2), **by_frame}
    rows = {
        name: value.expand(*lead, value.shape[-1]).reshape(lead.numel(), 1, value.shape[-1])
        for name, value in values.items()
    }
    with undisturbed(model, seed=seed):
        moved = _checked_values(model, rows, needed=(sites.observed,))
        parts = [
            mean_images(found[sites.observed].fn, sites.observed).cpu()
            for found in frames_of(model, len(rows[sites.static]), moved)
        ]
    images = torch.cat(parts)
    return images.reshape(*lead, *images.shape[1:])


def prior_of_dynamic(
    model: Program, static: Tensor, *, sites: SequenceSites = SITES, seed: int = 0
) -> Moments:
    """Return the learned prior `p(z|f)` of the frames of sequences, as the model's site has it.

    Args:
        model: The generative program, called as `model(size=B, frames=1)`.
        static: Codes of sequences `(..., F)`.
        sites: The names of the model's sites.
        seed: Seed of what has no mean and is sampled.

    Returns:
        Means and standard deviations `(..., Z)`, on the host; of a Normal they are all there is
        to know. 0 and 1 where the distribution has none.

    Raises:
        ValueError: If the model samples no sequences, has no such site, or the codes do not fit.
    """
    rows = static.reshape(static.shape[:-1].numel(), 1, static.shape[-1])
    with undisturbed(model, seed=seed):
        moved = _checked_values(model, {sites.static: rows}, needed=(sites.dynamic,))
        parts = [
            prior_moments(found[sites.dynamic].fn) for found in frames_of(model, len(rows), moved)
        ]
    loc, scale = (torch.cat([part[i].cpu() for part in parts]) for i in range(2))
    lead = static.shape[:-1]
    return Moments(loc.reshape(*lead, loc.shape[-1]), scale.reshape(*lead, scale.shape[-1]))


def sample_frames(
    model: Program, static: Tensor, frames: int, *, sites: SequenceSites = SITES, seed: int = 0
) -> SampledFrames:
    """Sample frames of given sequences from the learned prior `p(z|f)`.

    Args:
        model: The generative program, called as `model(size=B, frames=1)`.
        static: Codes of sequences `(M, F)`.
        frames: Number `N` of frames of each, at least 1.
        sites: The names of the model's sites.
        seed: Seed of the codes.

    Raises:
        ValueError: If the model samples no sequences, has no such site, or the codes do not fit.
    """
    if frames < 1:
        raise ValueError(f"frames is {frames}; expected at least 1. Try 8.")
    rows = static.repeat_interleave(frames, 0).unsqueeze(1)
    images: list[Tensor] = []
    codes: dict[str, list[Tensor]] = {name: [] for name in sites.of_frames}
    with undisturbed(model, seed=seed):
        moved = _checked_values(model, {sites.static: rows}, needed=sites.of_frames)
        for found in frames_of(model, len(rows), moved, points=False):
            images.append(mean_images(found[sites.observed].fn, sites.observed).cpu())
            for name, parts in codes.items():
                parts.append(found[name].value[:, 0].cpu())
    size = (len(static), frames)
    return SampledFrames(
        torch.cat(images).unflatten(0, size),
        {name: torch.cat(parts).unflatten(0, size) for name, parts in codes.items()},
    )


def sample_static(
    model: Program, count: int, *, sites: SequenceSites = SITES, seed: int = 0
) -> Tensor:
    """Draw static codes `(count, F)`, on the host, from the model's own prior.

    Raises:
        ValueError: If the model samples no sequences, or has no such site.
    """
    if count < 1:
        raise ValueError(f"count is {count}; expected at least 1. Try 6.")
    with undisturbed(model, seed=seed):
        _checked_values(model, {}, needed=(sites.static,))
        runs = frames_of(model, count, {}, points=False)
        return torch.cat([found[sites.static].value[:, 0].cpu() for found in runs])


def model_sites(model: Program, seed: int = 0) -> Mapping[str, Site]:
    """Return the sites of a model that samples one sequence of one frame.

    Raises:
        ValueError: If the model samples no sequences.
    """
    if not takes_frames(model):
        name = getattr(model, "__name__", type(model).__name__)
        raise ValueError(
            f"model {name} takes no frames; expected a model of sequences, called as "
            "model(size=B, frames=N). Train one, such as static-dynamic."
        )
    with undisturbed(model, seed=seed):
        return sites_at_points(partial(model, size=1, frames=1), ())


def _checked_values(
    model: Program, values: Mapping[str, Tensor], needed: tuple[str, ...]
) -> dict[str, Tensor]:
    """The values where the model is, once it is known that they are those of its sites."""
    found = model_sites(model)
    for name in (*values, *needed):
        if name not in found:
            raise ValueError(
                f"the model has no site {name!r}; expected one of {', '.join(found)}. "
                "Name the sites of the pair by SequenceSites."
            )
    for name, value in values.items():
        expected = found[name].fn.event_shape
        if value.shape[2:] != expected:
            raise ValueError(
                f"codes of {name!r} are vectors of {value.shape[-1]}; expected {tuple(expected)}, "
                "the event shape of the site. Give codes of this pair."
            )
        if not len(value):
            raise ValueError(f"codes of {name!r} are empty; expected at least one. Give some.")
    return {name: value.to(found[name].value) for name, value in values.items()}


def _common_lead(static: Tensor, by_frame: Mapping[str, Tensor]) -> torch.Size:
    """The leading dims of all combinations of frames, `(..., T)`."""
    if static.dim() < 1 or any(code.dim() < 2 for code in by_frame.values()):
        raise ValueError(
            f"static is {tuple(static.shape)} and the codes of frames are "
            f"{_shapes(by_frame)}; expected (..., F) and (..., T, Z). Add the missing axes."
        )
    try:
        return torch.broadcast_shapes(
            (*static.shape[:-1], 1), *(code.shape[:-1] for code in by_frame.values())
        )
    except RuntimeError:
        raise ValueError(
            f"static is {tuple(static.shape)} and the codes of frames are "
            f"{_shapes(by_frame)}; expected leading axes that broadcast. Give one static code per "
            "sequence of dynamic codes, or (R, 1, F) and (Q, T, Z) for all combinations."
        ) from None


def _shapes(codes: Mapping[str, Tensor]) -> str:
    return ", ".join(str(tuple(code.shape)) for code in codes.values())
