"""Frames that were never seen: of sequences that were, and of new ones."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure

from unbraid.inference import Program

from .image_figure import image_figure
from .sequence_codes import SITES, SequenceSites, checked_sequences, chosen, codes_of
from .sequence_decoding import decode_frames, sample_frames, sample_static
from .sequence_layout import checked_count, filled_row, rule, shown_sequences, spread

IDENTITIES, REAL, SAMPLED = 5, 4, 5
NEW, DYNAMICS = 6, 8


def new_frames(
    model: Program,
    guide: Program,
    *args: Any,
    sequences: Sequence[int] | None = None,
    real: int = REAL,
    sampled: int = SAMPLED,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Figure:
    """Show frames sampled from the learned prior p(z|f) of sequences, beside true ones.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both: sequences `(S, T, C, H, W)`, and their lengths `(S,)` where
            they are ragged.
        sequences: Which of them are shown, a row each; five, evenly spread over all, unless given.
        real: Number of true frames on the left, evenly spread over the sequence, at least 1.
        sampled: Number of sampled frames on the right, at least 1.
        sites: The names of the pair's sites.
        seed: Seed of the samples.

    Raises:
        ValueError: If an argument is out of range, or there are no sequences or no such site.
    """
    checked_count("real", real)
    checked_count("sampled", sampled)
    shown = shown_sequences(sequences, len(checked_sequences(args)), IDENTITIES)
    own = chosen(args, shown)
    codes = codes_of(model, guide, own, sites, seed)
    images = sample_frames(model, codes.static, sampled, sites=sites, seed=seed).images
    true = [
        filled_row(x[spread(int(length), real)].float().clamp(0, 1), real)
        for x, length in zip(own[0].cpu(), codes.lengths, strict=True)
    ]
    cells = torch.cat([torch.stack(true), images], 1).flatten(0, 1)
    names = [""] * (real + sampled)
    figure = image_figure(
        cells,
        real + sampled,
        title="True frames, and frames sampled from p(z|f)",
        rows=[f"sequence {sequence}" for sequence in shown],
        columns_named=_centred(names, {"true": (0, real), "sampled": (real, sampled)}),
    )
    rule(figure, cells, columns=real)
    return figure


def new_identities(
    model: Program,
    *,
    identities: int = NEW,
    dynamics: int = DYNAMICS,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Figure:
    """Show static codes drawn from the prior, each with the same dynamic codes.

    The dynamic codes are draws from p(z|f) of further static codes, one of each: that is, from
    the marginal p(z).

    Args:
        model: The generative program.
        identities: Number of static codes, a row each; at least 1.
        dynamics: Number of dynamic codes, a column each; at least 1.
        sites: The names of the model's sites.
        seed: Seed of the codes.

    Raises:
        ValueError: If an argument is out of range, or the model has no such site.
    """
    checked_count("identities", identities)
    checked_count("dynamics", dynamics)
    static = sample_static(model, identities + dynamics, sites=sites, seed=seed)
    sampled = sample_frames(model, static[identities:], 1, sites=sites, seed=seed).codes
    by_column = {name: code[:, 0] for name, code in sampled.items()}
    images = decode_frames(
        model,
        static[:identities],
        by_column.pop(sites.dynamic),
        by_column,
        sites=sites,
        seed=seed,
    )
    return image_figure(
        images.flatten(0, 1),
        dynamics,
        title="New sequences",
        x=f"a draw of {sites.dynamic} per column",
        y=f"a draw of {sites.static} per row",
    )


def _centred(names: list[str], blocks: dict[str, tuple[int, int]]) -> list[str]:
    """Names of columns that name blocks of them, each at the middle of its block."""
    named = list(names)
    for name, (start, count) in blocks.items():
        named[start + (count - 1) // 2] = name
    return named
