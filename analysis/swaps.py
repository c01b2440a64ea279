"""Swaps: what is static in one sequence with the dynamics of another."""

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program, write_atomically

from .film import film_bytes, film_path
from .image_figure import image_figure
from .images import image_grid
from .latents import Batch, arguments
from .sequence_codes import SITES, SequenceSites, checked_sequences, codes_of
from .sequence_decoding import decode_frames
from .sequence_layout import checked_count, rule, spread

COLUMNS = 8


def swap_frames(
    model: Program,
    guide: Program,
    statics_of: Batch,
    dynamics_of: Batch,
    *,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Tensor:
    """Decode the static code of every sequence with the dynamics of every other.

    Args:
        model: The generative program.
        guide: The inference program.
        statics_of: Sequences `(R, T, C, H, W)`, or all arguments of the pair, sequences first.
        dynamics_of: Sequences `(Q, U, C, H, W)`, or all arguments of the pair.
        sites: The names of the pair's sites; the further sites of frames go with the dynamics.
        seed: Seed of what has to be sampled.

    Returns:
        Mean images `(R, Q, U, C, H, W)` in [0, 1], on the host: what is static in sequence `r`
        as sequence `q` moves. Frames beyond a sequence's length are black.

    Raises:
        ValueError: If there are no sequences, frames of two sizes, or no such site.
    """
    given, driving = _both(statics_of, dynamics_of)
    static = codes_of(model, guide, given, sites, seed).static
    codes = codes_of(model, guide, driving, sites, seed)
    images = decode_frames(
        model, static.unsqueeze(1), codes.dynamic, codes.layers, sites=sites, seed=seed
    )
    return images * codes.mask[..., None, None, None]


def swap_figure(
    model: Program,
    guide: Program,
    statics_of: Batch,
    dynamics_of: Batch,
    *,
    columns: int = COLUMNS,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Figure:
    """Show what is static in each sequence at the left, moving like the sequence on top.

    Source: Helminger et al. (2018), https://arxiv.org/abs/1812.03962, for the model; the layout is
    that of pose transfer, as in Denton & Birodkar (2017), https://arxiv.org/abs/1705.10915.

    Args:
        model: The generative program.
        guide: The inference program.
        statics_of: Sequences `(R, T, C, H, W)`, one row each, or all arguments of the pair.
        dynamics_of: One sequence `(1, U, C, H, W)`, or all arguments of the pair.
        columns: Number of its frames, evenly spread; at least 1.
        sites: The names of the pair's sites.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If there are no sequences, several that drive, or no such site.
    """
    checked_count("columns", columns)
    given, driving = _both(statics_of, dynamics_of)
    if len(driving[0]) != 1:
        raise ValueError(
            f"dynamics_of holds {len(driving[0])} sequences; expected one. "
            "Draw a figure for each, or an animation of all."
        )
    static = codes_of(model, guide, given, sites, seed).static
    codes = codes_of(model, guide, driving, sites, seed)
    places = spread(int(codes.lengths[0]), columns)
    images = decode_frames(
        model,
        static,
        codes.dynamic[0, places],
        {name: code[0, places] for name, code in codes.layers.items()},
        sites=sites,
        seed=seed,
    )
    left = given[0][:, :1].cpu().float().clamp(0, 1)
    top = driving[0][:, places].cpu().float().clamp(0, 1)
    corner = torch.ones_like(left[:1])
    cells = torch.cat([torch.cat([corner, top], 1), torch.cat([left, images], 1)])
    figure = image_figure(
        cells.flatten(0, 1),
        len(places) + 1,
        title="Static of one sequence, dynamics of another",
        columns_named=["", *(str(place) for place in places)],
        x=f"{sites.dynamic} of these frames of the sequence on top",
        y=f"{sites.static} of the one at left",
    )
    rule(figure, left, columns=1, rows=1)
    return figure


def swap_animation(
    model: Program,
    guide: Program,
    statics_of: Batch,
    dynamics_of: Batch,
    *,
    path: str | Path,
    frames_per_second: float = 8.0,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Path:
    """Write a looping film of sequences that move like others.

    The sequences that drive run on top, those that give what is static stand at the left, and
    between them each of these moves like each of those. A sequence that is shorter than the
    longest starts again.

    Args:
        model: The generative program.
        guide: The inference program.
        statics_of: Sequences `(R, T, C, H, W)`, one row each, or all arguments of the pair.
        dynamics_of: Sequences `(Q, U, C, H, W)`, one column each, or all arguments of the pair.
        path: The file, `.gif` or `.webp`; replaced where it exists, whole or not at all.
        frames_per_second: Positive; a GIF counts hundredths of a second and shows 50 at most.
        sites: The names of the pair's sites.
        seed: Seed of what has to be sampled.

    Returns:
        The path.

    Raises:
        ValueError: If an argument is out of range, there are no sequences, or no such site.
        OSError: If the file cannot be written.
    """
    path = film_path(path)
    if not 0 < frames_per_second < float("inf"):
        raise ValueError(
            f"frames_per_second is {frames_per_second}; expected a positive number. Try 8."
        )
    given, driving = _both(statics_of, dynamics_of)
    static = codes_of(model, guide, given, sites, seed).static
    codes = codes_of(model, guide, driving, sites, seed)
    lengths = codes.lengths
    still = given[0][:, 0].cpu().float().clamp(0, 1)
    moving = driving[0].cpu().float().clamp(0, 1)
    columns = len(moving)
    pixels = []
    for frame in range(int(lengths.max())):
        places = (torch.arange(columns), frame % lengths)
        body = decode_frames(
            model,
            static,
            codes.dynamic[places],
            {name: code[places] for name, code in codes.layers.items()},
            sites=sites,
            seed=seed,
        )
        top = torch.cat([torch.ones_like(still[:1]), moving[places]])
        rows = torch.cat([still.unsqueeze(1), body], 1).flatten(0, 1)
        pixels.append(image_grid(torch.cat([top, rows]), columns + 1))
    write_atomically(path, film_bytes(torch.stack(pixels), len(pixels) / frames_per_second, path))
    return path


def _both(statics_of: Batch, dynamics_of: Batch) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Both as arguments of the pair."""
    given, driving = arguments(statics_of), arguments(dynamics_of)
    shapes = [checked_sequences(args).shape[2:] for args in (given, driving)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"frames of statics_of are {tuple(shapes[0])} and of dynamics_of {tuple(shapes[1])}; "
            "expected one size. Give sequences of one dataset."
        )
    return given, driving
