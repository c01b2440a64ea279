"""Sequences beside what their codes decode to."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure

from unbraid.inference import Program

from .image_figure import image_figure
from .sequence_codes import SITES, SequenceSites, checked_sequences, chosen, codes_of
from .sequence_decoding import decode_frames
from .sequence_layout import checked_count, filled_row, shown_sequences, spread

SEQUENCES, COLUMNS = 4, 8


def clip_reconstructions(
    model: Program,
    guide: Program,
    *args: Any,
    sequences: Sequence[int] | None = None,
    columns: int = COLUMNS,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Figure:
    """Show frames of sequences, each above the mean image decoded from its posterior means.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both: sequences `(S, T, C, H, W)`, and their lengths `(S,)` where
            they are ragged.
        sequences: Which of them are shown; four, evenly spread over all, unless given.
        columns: Number of frames of each, evenly spread; at least 1.
        sites: The names of the pair's sites.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If an argument is out of range, or there are no sequences or no such site.
    """
    checked_count("columns", columns)
    shown = shown_sequences(sequences, len(checked_sequences(args)), SEQUENCES)
    own = chosen(args, shown)
    codes = codes_of(model, guide, own, sites, seed)
    cells = []
    for i, length in enumerate(codes.lengths.tolist()):
        places = spread(length, columns)
        decoded = decode_frames(
            model,
            codes.static[i],
            codes.dynamic[i, places],
            {name: code[i, places] for name, code in codes.layers.items()},
            sites=sites,
            seed=seed,
        )
        true = own[0][i, places].cpu().float().clamp(0, 1)
        cells += [filled_row(true, columns), filled_row(decoded, columns)]
    return image_figure(
        torch.cat(cells),
        columns,
        title="Reconstructions of sequences",
        rows=[name for i in shown for name in (f"sequence {i}", "decoded")],
    )
