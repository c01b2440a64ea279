"""What pictures of sequences share: frames spread over time, rules between blocks, planes."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .latents import by_kl, kl_per_dimension
from .sequence_codes import SequenceSites, chunks
from .style import BLUE, GREEN, ORANGE

GAP = 2  # pixels between two images
# Okabe & Ito's, as in `style`; the last is their purple.
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7")


def spread(length: int, count: int) -> list[int]:
    """Return up to `count` places of `length` frames, evenly spread, both ends included."""
    shown = min(length, count)
    return torch.linspace(0, length - 1, shown).round().long().tolist()


def shown_sequences(sequences: Sequence[int] | None, size: int, count: int) -> list[int]:
    """Return which of `size` sequences are shown: those named, or up to `count`, evenly spread.

    Raises:
        ValueError: If none is named.
    """
    shown = spread(size, count) if sequences is None else list(sequences)
    checked_count("number of sequences", len(shown))
    return shown


def rule(figure: Figure, images: Tensor, *, columns: int = 0, rows: int = 0) -> None:
    """Draw a line right of the first columns of a grid, or below its first rows.

    Args:
        figure: What `image_figure` returned, with its default gap.
        images: The images `(N, C, H, W)` of the grid.
        columns: Number of columns on the left of the line; no line for 0.
        rows: Number of rows above the line; no line for 0.
    """
    (axis,) = figure.axes
    height, width = images.shape[-2:]
    middle = (GAP + 1) / 2
    if columns:
        axis.axvline(columns * (width + GAP) - middle, color=ORANGE, linewidth=1.5)
    if rows:
        axis.axhline(rows * (height + GAP) - middle, color=ORANGE, linewidth=1.5)


def checked_count(name: str, value: int, least: int = 1) -> int:
    """Return a number of things to draw.

    Raises:
        ValueError: If it is less than `least`.
    """
    if value < least:
        raise ValueError(f"{name} is {value}; expected at least {least}. Leave it out.")
    return value


def dims_by_kl(
    model: Program,
    guide: Program,
    args: tuple[Any, ...],
    dims: int,
    kl: Tensor | None,
    sites: SequenceSites,
    seed: int,
) -> list[int]:
    """Return the dimensions of `dynamic`, of the highest divergence first; two stay in order.

    So do those of points, which have no divergence.
    """
    if dims <= 2:
        return list(range(dims))
    if kl is None:
        measured = kl_per_dimension(model, guide, chunks(args), seed)
        kl = measured.get(sites.dynamic, torch.empty(0))
    return by_kl(kl, dims)


def plane_of(order: list[int], site: str) -> tuple[int, int]:
    """Return the two dimensions of a plane.

    Raises:
        ValueError: If there are fewer than two.
    """
    if len(order) < 2:
        raise ValueError(
            f"site {site!r} has {len(order)} dimension; expected at least 2. Draw a trajectory."
        )
    return order[0], order[1]


def filled_row(images: Tensor, columns: int) -> Tensor:
    """Return images `(N, C, H, W)` with white ones behind them, `(columns, C, H, W)`."""
    missing = images.new_ones(columns - len(images), *images.shape[1:])
    return torch.cat([images, missing])
