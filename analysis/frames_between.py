"""Between two frames of a sequence: the straight line from one dynamic code to the other."""

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .image_figure import image_figure
from .sequence_codes import (
    SITES,
    SequenceCodes,
    SequenceSites,
    checked_sequences,
    chosen,
    codes_of,
)
from .sequence_decoding import decode_frames
from .sequence_layout import checked_count, spread

COLUMNS = 9


def frames_between(
    model: Program,
    guide: Program,
    *args: Any,
    sequence: int = 0,
    places: tuple[int, int] | None = None,
    columns: int = COLUMNS,
    codes: SequenceCodes | None = None,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Figure:
    """Show the codes between those of two frames of a sequence, decoded with its static code.

    Beneath are the frames that the sequence itself has between the two, evenly spread, and a
    cross-fade of the two images: what a decoder would show that knew of no pose.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both: sequences `(S, T, C, H, W)`, in the order of time, and their
            lengths `(S,)` where they are ragged.
        sequence: Which sequence.
        places: Which two of its frames; the first and the last unless given.
        columns: Number of images from the one to the other, both included, at least 2.
        codes: The codes of `args`; encoded unless given.
        sites: The names of the pair's sites.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If there is no such sequence, frame or site.
    """
    checked_count("columns", columns, 2)
    [x] = checked_sequences(chosen(args, [sequence]))
    if codes is None:
        codes = codes_of(model, guide, args, sites, seed)
    own = codes.take([sequence])
    last = int(own.lengths[0]) - 1
    start, end = (0, last) if places is None else places
    for place in (start, end):
        if not 0 <= place <= last:
            raise ValueError(
                f"frame {place} of sequence {sequence} is asked for; expected 0 to {last}. "
                "Choose true frames."
            )
    share = torch.linspace(0, 1, columns).unsqueeze(1)

    def between(code: Tensor) -> Tensor:
        return code[0, start] + share * (code[0, end] - code[0, start])

    decoded = decode_frames(
        model,
        own.static[0],
        between(own.dynamic),
        {name: between(code) for name, code in own.layers.items()},
        sites=sites,
        seed=seed,
    )
    x = x.cpu().float().clamp(0, 1)
    step = 1 if end >= start else -1
    true = [start + step * place for place in spread(abs(end - start) + 1, columns)]
    white = torch.ones(columns - len(true), *x.shape[1:])
    faded = x[start] + share[..., None, None] * (x[end] - x[start])
    return image_figure(
        torch.cat([decoded, x[true], white, faded]),
        columns,
        title=f"From frame {start} to frame {end} of sequence {sequence}",
        rows=[f"{sites.dynamic}, decoded", "the sequence", "cross-fade"],
        columns_named=[f"{part:.2g}" for part in share[:, 0].tolist()],
        x=f"share of the way from one {sites.dynamic} code to the other",
    )
