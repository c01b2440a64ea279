"""The plane of dynamic codes, decoded for one sequence or for several."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .images import image_grid, to_pixels
from .sequence_codes import SITES, SequenceSites, checked_sequences, chosen, codes_of
from .sequence_decoding import Moments, decode_frames, prior_of_dynamic
from .sequence_layout import checked_count, dims_by_kl, plane_of, shown_sequences
from .style import DPI, WIDTH

SMALLEST_QUANTILE = 0.02
IDENTITIES, PANELS_PER_ROW = 4, 2
LARGEST_PANEL = 3.6  # inches
GAP = 1  # pixels; without it, what moves within a frame seems to stand still


def dynamic_manifold(
    model: Program,
    guide: Program,
    *args: Any,
    sequences: Sequence[int] | None = None,
    side: int = 9,
    kl: Tensor | None = None,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Figure:
    """Show the frames decoded from a grid of dynamic codes, each sequence's static code held.

    The grid is evenly spaced in the quantiles of the learned prior p(z|f), from 2 % to 98 % of a
    Normal's. Several sequences share one grid, from the mean and variance of their priors
    together. With more than two dimensions the two of the largest divergence are taken, the
    others stay at the mean.

    Source: Helminger et al. (2018), https://arxiv.org/abs/1812.03962, figure 3.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both: sequences `(S, T, C, H, W)`, and their lengths `(S,)` where
            they are ragged.
        sequences: Which of them are shown, a panel each; four, evenly spread over all, unless
            given.
        side: Number of images along each side, at least 2.
        kl: Nats by dimension `(Z,)` of the dynamic site; measured on `args` unless given.
        sites: The names of the pair's sites.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If there are no sequences, no such site, or one with fewer than two dimensions.
    """
    checked_count("side", side, 2)
    shown = shown_sequences(sequences, len(checked_sequences(args)), IDENTITIES)
    codes = codes_of(model, guide, chosen(args, shown), sites, seed)
    prior = together(prior_of_dynamic(model, codes.static, sites=sites, seed=seed))
    order = dims_by_kl(model, guide, args, codes.dynamic.shape[-1], kl, sites, seed)
    across, up = plane_of(order, sites.dynamic)
    grid, values = grid_of(prior, across, up, side)
    images = decode_frames(model, codes.static, grid, sites=sites, seed=seed)
    figure, axes = _panels(len(shown), images.shape[-2] / images.shape[-1])
    for place, (axis, sequence) in enumerate(zip(axes, shown, strict=True)):
        _draw(axis, images[place], side, values, names=_outer(place, len(shown)))
        axis.set_title(f"sequence {sequence}", fontsize=8, loc="left")
    figure.suptitle(
        f"Decoded plane of {sites.dynamic}, {sites.static} held",
        x=0.01,
        ha="left",
        fontsize=10,
        parse_math=False,
    )
    axis_label = {"fontsize": 9, "parse_math": False}
    figure.supxlabel(f"{sites.dynamic}[{across}], 2 % to 98 % of the prior p(z|f)", **axis_label)
    figure.supylabel(f"{sites.dynamic}[{up}]", **axis_label)
    return figure


def together(prior: Moments) -> Moments:
    """Return mean and deviation `(Z,)` of the equal mixture of priors `(S, Z)`."""
    variance = prior.scale.square().mean(0) + prior.loc.var(0, correction=0)
    return Moments(prior.loc.mean(0), variance.sqrt())


def grid_of(prior: Moments, across: int, up: int, side: int) -> tuple[Tensor, Tensor]:
    """Return codes on a grid over two dimensions, and the values along them.

    Args:
        prior: Mean and deviation `(Z,)`.
        across: The dimension that grows to the right.
        up: The dimension that grows upwards.
        side: Number of values of each.

    Returns:
        Codes `(side * side, Z)`, row by row from the top left; values `(2, side)`, rising.
    """
    quantiles = torch.linspace(SMALLEST_QUANTILE, 1 - SMALLEST_QUANTILE, side).double()
    shifts = torch.special.ndtri(quantiles).to(prior.loc)
    values = torch.stack([prior.loc[d] + shifts * prior.scale[d] for d in (across, up)])
    grid = prior.loc.repeat(side, side, 1)
    grid[..., across] = values[0]
    grid[..., up] = values[1].flip(0).unsqueeze(1)
    return grid.flatten(0, 1), values


def _panels(count: int, stretch: float) -> tuple[Figure, list[Axes]]:
    """A figure with an axis for each panel, `stretch` times as high as wide."""
    columns = min(count, PANELS_PER_ROW)
    rows = -(-count // columns)
    width = min((WIDTH - 0.6) / columns, LARGEST_PANEL)
    size = (0.6 + columns * width, 0.7 + rows * (width * stretch + 0.25))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


def _outer(place: int, count: int) -> tuple[bool, bool]:
    """Whether a panel has values below and left of it: the outer ones have."""
    columns = min(count, PANELS_PER_ROW)
    return place + columns >= count, place % columns == 0


def _draw(axis: Axes, images: Tensor, side: int, values: Tensor, names: tuple[bool, bool]) -> None:
    axis.imshow(to_pixels(image_grid(images, side, GAP)), cmap="gray", vmin=0, vmax=255)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelsize=8, pad=2)
    height, width = images.shape[-2:]
    ends = [0, side // 2, side - 1] if side % 2 else [0, side - 1]
    below, left = names
    axis.set_xticks(
        [i * (width + GAP) + (width - 1) / 2 for i in ends],
        labels=[f"{values[0, i]:z.1f}" if below else "" for i in ends],
    )
    axis.set_yticks(
        [i * (height + GAP) + (height - 1) / 2 for i in ends],
        labels=[f"{values[1, side - 1 - i]:z.1f}" if left else "" for i in ends],
    )
