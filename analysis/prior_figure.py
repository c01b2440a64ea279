"""The learned prior of the frames of a sequence against what the guide makes of its frames."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from torch import Tensor

from unbraid.inference import Program

from .sequence_codes import (
    SITES,
    SequenceCodes,
    SequenceSites,
    checked_sequences,
    chosen,
    codes_of,
)
from .sequence_decoding import prior_of_dynamic
from .sequence_layout import dims_by_kl, plane_of, shown_sequences
from .style import BLUE, DPI, GREY, ORANGE

IDENTITIES, COLUMNS = 4, 2
DRAWS = 200  # points of each sequence, at least
DEVIATIONS = (1, 2)
QUANTILES = (0.005, 0.995)


def prior_figure(
    model: Program,
    guide: Program,
    *args: Any,
    sequences: Sequence[int] | None = None,
    kl: Tensor | None = None,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Figure:
    """Draw the learned prior p(z|f) of sequences against their aggregate posteriors.

    A panel for each sequence: ellipses of the prior at 1 and 2 standard deviations; draws from the
    guide's distributions of its frames, as many from each, in blue; those of the other sequences
    in grey. With more than two dimensions the two of the largest divergence are taken.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both: sequences `(S, T, C, H, W)`, and their lengths `(S,)` where
            they are ragged.
        sequences: Which of them are shown; four, evenly spread over all, unless given.
        kl: Nats by dimension `(Z,)` of the dynamic site; measured on `args` unless given.
        sites: The names of the pair's sites.
        seed: Seed of the draws.

    Raises:
        ValueError: If there are no sequences, no such site, or one with fewer than two dimensions.
    """
    shown = shown_sequences(sequences, len(checked_sequences(args)), IDENTITIES)
    codes = codes_of(model, guide, chosen(args, shown), sites, seed)
    order = dims_by_kl(model, guide, args, codes.dynamic.shape[-1], kl, sites, seed)
    plane = list(plane_of(order, sites.dynamic))
    prior = prior_of_dynamic(model, codes.static, sites=sites, seed=seed)
    loc, scale = prior.loc[:, plane].double(), prior.scale[:, plane].double()
    points = [p[:, plane] for p in aggregate_draws(codes, seed=seed)]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    width = max(4.8, 0.6 + columns * 2.3)  # of the legend
    figure = Figure(figsize=(width, 0.9 + rows * 2.2), dpi=DPI, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel())
    everything = torch.cat(points)
    for place, axis in enumerate(axes[: len(shown)]):
        others = torch.cat([everything[:0], *(p for i, p in enumerate(points) if i != place)])
        _draw(axis, points[place], others, loc[place], scale[place])
        axis.set_title(f"sequence {shown[place]}", fontsize=8, loc="left")
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    _frame(axes[0], everything, loc, scale)
    figure.suptitle("Learned prior p(z|f) and the frames' codes", x=0.01, ha="left", fontsize=10)
    for axis in axes[max(0, len(shown) - columns) : len(shown)]:
        axis.tick_params(labelbottom=True)
        axis.set_xlabel(f"{sites.dynamic}[{plane[0]}]", fontsize=9, parse_math=False)
    for axis in axes[::columns]:
        axis.set_ylabel(f"{sites.dynamic}[{plane[1]}]", fontsize=9, parse_math=False)
    _legend(figure, len(shown) > 1)
    return figure


def aggregate_draws(codes: SequenceCodes, draws: int = DRAWS, seed: int = 0) -> list[Tensor]:
    """Draw from the aggregate posterior of every sequence: from each true frame as often.

    Args:
        codes: What `sequence_codes` returns.
        draws: Number of draws for each sequence, rounded up to a multiple of its frames.
        seed: Seed of the draws, from Normals of the guide's means and standard deviations.

    Returns:
        For each sequence, float64 `(M, Z)` with `M` a multiple of its number of frames.
    """
    generator = torch.Generator().manual_seed(seed)
    points = []
    for mean, scale, mask in zip(codes.dynamic, codes.dynamic_scale, codes.mask, strict=True):
        frames = int(mask.sum())
        repeats = -(-draws // frames)
        loc, spread = (part[mask].double().repeat(repeats, 1) for part in (mean, scale))
        noise = torch.randn(loc.shape, generator=generator, dtype=torch.float64)
        points.append(loc + spread * noise)
    return points


def _draw(axis: Axes, own: Tensor, others: Tensor, loc: Tensor, scale: Tensor) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.scatter(*others.T.tolist(), s=4, color=GREY, alpha=0.35, linewidths=0)
    axis.scatter(*own.T.tolist(), s=6, color=BLUE, alpha=0.5, linewidths=0)
    for deviations in DEVIATIONS:
        width, height = (2 * deviations * scale).tolist()
        axis.add_patch(
            Ellipse(
                (float(loc[0]), float(loc[1])),
                width,
                height,
                fill=False,
                edgecolor=ORANGE,
                linewidth=1.4,
                linestyle="-" if deviations == 1 else "--",
            )
        )


def _frame(axis: Axes, points: Tensor, loc: Tensor, scale: Tensor) -> None:
    """Set limits that hold the ellipses and all but the farthest points."""
    ends = torch.tensor(QUANTILES, dtype=torch.float64)
    low, high = points.quantile(ends, 0)
    low = torch.minimum(low, (loc - 2 * scale).amin(0))
    high = torch.maximum(high, (loc + 2 * scale).amax(0))
    margin = 0.05 * (high - low)
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, top)


def _legend(figure: Figure, others: bool) -> None:
    dot = {"marker": "o", "linestyle": "", "markersize": 4}
    entries = [
        Line2D([], [], color=ORANGE, label="p(z|f), 1 s.d."),
        Line2D([], [], color=ORANGE, linestyle="--", label="2 s.d."),
        Line2D([], [], color=BLUE, label="q(z|x, f) of its frames", **dot),
    ]
    if others:
        entries.append(Line2D([], [], color=GREY, label="of the others", **dot))
    figure.legend(
        handles=entries, loc="outside lower center", ncols=4, fontsize=8, frameon=False,
        handletextpad=0.4, columnspacing=1.2,
    )  # fmt: skip
