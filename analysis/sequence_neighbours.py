"""The nearest sequences by their static codes, and the nearest frames by their dynamic codes."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .image_figure import image_figure
from .sequence_codes import SITES, SequenceCodes, SequenceSites, checked_sequences, codes_of
from .sequence_layout import checked_count, rule, spread

QUERIES, NEIGHBOURS = 5, 3


def nearest_sequences(codes: SequenceCodes, queries: Sequence[int], neighbours: int = 4) -> Tensor:
    """Return the sequences whose static codes are nearest, the nearest first.

    Distances are Euclidean, in the codes as they are; a sequence is no neighbour of itself.

    Args:
        codes: What `sequence_codes` returns, of at least two sequences.
        queries: Sequences whose neighbours are sought, at least one.
        neighbours: How many of them; all others where there are fewer.

    Returns:
        Numbers of sequences, int64 `(Q, min(neighbours, S - 1))`.

    Raises:
        ValueError: If there is one sequence only, or no such query.
    """
    _check(codes, queries, neighbours)
    chosen = torch.as_tensor(queries)
    distances = _distances(codes.static[chosen], codes.static)
    distances[torch.arange(len(chosen)), chosen] = torch.inf
    return _nearest(distances, min(neighbours, len(codes) - 1))


def nearest_frames(
    codes: SequenceCodes,
    queries: Sequence[tuple[int, int]],
    neighbours: int = 4,
    *,
    joint: bool = False,
) -> Tensor:
    """Return the frames of other sequences whose dynamic codes are nearest, the nearest first.

    At most one frame of each sequence is taken, its nearest one, so that neighbours in time do not
    fill the list. Distances are Euclidean, in the codes as they are; padding is no neighbour.

    Args:
        codes: What `sequence_codes` returns, of at least two sequences.
        queries: Sequence and place of frames whose neighbours are sought, at least one.
        neighbours: How many of them; one of each other sequence where there are fewer.
        joint: Whether static codes count too. Then the two kinds of codes weigh alike: each is
            divided by the root of its mean squared distance from its mean over true frames.

    Returns:
        Sequence and place of frames, int64 `(Q, min(neighbours, S - 1), 2)`.

    Raises:
        ValueError: If there is one sequence only, or no such query.
    """
    _check(codes, [sequence for sequence, _ in queries], neighbours)
    for sequence, place in queries:
        if not 0 <= place < codes.lengths[sequence]:
            raise ValueError(
                f"frame {place} of sequence {sequence} is asked for; expected 0 to "
                f"{codes.lengths[sequence] - 1}. Padding has no neighbours."
            )
    sequences, places = torch.as_tensor(queries).unbind(1)
    compared = _joint(codes) if joint else codes.dynamic
    distances = _distances(compared[sequences, places], compared.flatten(0, 1))
    distances = distances.unflatten(1, codes.mask.shape).masked_fill(~codes.mask, torch.inf)
    nearest = distances.min(2)
    by_sequence = nearest.values
    by_sequence[torch.arange(len(sequences)), sequences] = torch.inf
    found = _nearest(by_sequence, min(neighbours, len(codes) - 1))
    return torch.stack([found, nearest.indices.gather(1, found)], -1)


def nearest_neighbours(
    model: Program,
    guide: Program,
    *args: Any,
    queries: Sequence[tuple[int, int]] | None = None,
    neighbours: int = NEIGHBOURS,
    codes: SequenceCodes | None = None,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Figure:
    """Show frames, and what is nearest: in static codes, in dynamic codes, and in both together.

    Of the nearest sequences the middle frame is shown. `nearest_sequences` and `nearest_frames`
    say which they are.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both: sequences `(S, T, C, H, W)`, at least two, and their lengths
            `(S,)` where they are ragged.
        queries: Sequence and place of the frames, a row each; unless given, the middle frames of
            up to five sequences, evenly spread over all of them.
        neighbours: Number of neighbours of each kind, at least 1.
        codes: The codes of `args`; encoded unless given.
        sites: The names of the pair's sites.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If there are fewer than two sequences, no such query or no such site.
    """
    x = checked_sequences(args)
    if codes is None:
        codes = codes_of(model, guide, args, sites, seed)
    middles = ((codes.lengths - 1) // 2).tolist()
    if queries is None:
        queries = [(i, middles[i]) for i in spread(len(x), QUERIES)]
    near = nearest_sequences(codes, [sequence for sequence, _ in queries], neighbours)
    alike = nearest_frames(codes, queries, neighbours)
    both = nearest_frames(codes, queries, neighbours, joint=True)
    count = near.shape[1]
    rows = []
    for query, others, *frames in zip(queries, near.tolist(), alike, both, strict=True):
        cells = [query, *((i, middles[i]) for i in others), *torch.cat(frames).tolist()]
        rows += [x[i, t] for i, t in cells]
    images = torch.stack(rows).cpu().float().clamp(0, 1)
    kinds = (f"nearest in {sites.static}", f"nearest in {sites.dynamic}", "in both")
    names = [""] * (len(kinds) * count + 1)
    for i, kind in enumerate(kinds):
        names[i * count + (count + 1) // 2] = kind
    figure = image_figure(
        images,
        len(names),
        title="Nearest neighbours in other sequences",
        rows=[f"{sequence}:{place}" for sequence, place in queries],
        columns_named=names,
        y="sequence:frame",
    )
    for i in range(len(kinds)):
        rule(figure, images, columns=i * count + 1)
    return figure


def _joint(codes: SequenceCodes) -> Tensor:
    """Both codes of every frame, `(S, T, F + Z)`, in units of their spread."""
    static = codes.static.unsqueeze(1).expand(*codes.mask.shape, -1)
    parts = []
    for part in (static.double(), codes.dynamic.double()):
        true = part[codes.mask]
        spread_squared = (true - true.mean(0)).square().sum(1).mean()
        parts.append(part / spread_squared.clamp(min=torch.finfo(torch.float64).tiny).sqrt())
    return torch.cat(parts, -1)


def _distances(queries: Tensor, codes: Tensor) -> Tensor:
    # By differences, because by products near distances lose their digits.
    return torch.cdist(
        queries.double(), codes.double(), compute_mode="donot_use_mm_for_euclid_dist"
    )


def _nearest(distances: Tensor, count: int) -> Tensor:
    return distances.argsort(dim=1, stable=True)[:, :count]


def _check(codes: SequenceCodes, queries: Sequence[int], neighbours: int) -> None:
    checked_count("neighbours", neighbours)
    checked_count("number of queries", len(queries))
    if len(codes) < 2:
        raise ValueError(
            "codes are of one sequence only; expected at least 2. Neighbours are others."
        )
    for query in queries:
        if not 0 <= query < len(codes):
            raise ValueError(
                f"sequence {query} is asked for; expected 0 to {len(codes) - 1}. "
                "Choose one of those that are given."
            )
