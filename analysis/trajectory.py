"""The dynamic code along a video, above some of its frames."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from unbraid.inference import Program

from .images import to_pixels
from .sequence_codes import SITES, SequenceSites, chosen, codes_of
from .sequence_decoding import Moments, prior_of_dynamic
from .sequence_layout import checked_count, dims_by_kl, spread
from .style import BLUE, DPI, GREY, ORANGE, WIDTH, label

FRAMES, DIMS = 8, 2
# Inches.
LARGEST_FRAME, CHART = 0.9, 1.2
LEFT, EDGE, TOP, SPACE, BETWEEN = 0.72, 0.08, 0.4, 0.12, 0.5


def trajectory_figure(
    model: Program,
    guide: Program,
    *args: Any,
    sequence: int = 0,
    dims: int = DIMS,
    frames: int = FRAMES,
    places: Sequence[int] | None = None,
    frames_per_second: float | None = None,
    kl: Tensor | None = None,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> Figure:
    """Plot the coordinates of the dynamic code along a video, with some of its frames beneath.

    The frames must be in the order of time. Bands are one standard deviation of the guide around
    its mean, and of the learned prior p(z|f) of the video, which knows no time.

    Source: Helminger et al. (2018), https://arxiv.org/abs/1812.03962, figure 4b.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both: sequences `(S, T, C, H, W)`, and their lengths `(S,)` where
            they are ragged.
        sequence: Which of them is shown.
        dims: Largest number of coordinates, those of the largest divergence; at least 1.
        frames: Number of frames shown beneath, evenly spread over the video; at least 1.
        places: Which frames are shown instead, rising.
        frames_per_second: Puts seconds on the axis in place of the number of the frame; positive.
        kl: Nats by dimension `(Z,)` of the dynamic site; measured on `args` unless given.
        sites: The names of the pair's sites.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If an argument is out of range, or there are no sequences or no such site.
    """
    checked_count("dims", dims)
    checked_count("frames", frames)
    if frames_per_second is not None and not 0 < frames_per_second < float("inf"):
        raise ValueError(
            f"frames_per_second is {frames_per_second}; expected a positive number. "
            "Leave it out to count frames."
        )
    video = chosen(args, [sequence])
    codes = codes_of(model, guide, video, sites, seed)
    length = int(codes.lengths[0])
    shown = spread(length, frames) if places is None else _checked_places(places, length)
    order = dims_by_kl(model, guide, args, codes.dynamic.shape[-1], kl, sites, seed)[:dims]
    prior = prior_of_dynamic(model, codes.static[0], sites=sites, seed=seed)
    images = video[0][0, shown].cpu().float().clamp(0, 1)
    times = torch.arange(length) / (frames_per_second or 1)
    figure, axes, strip = _canvas(len(order), len(shown), images.shape[-2] / images.shape[-1])
    for axis, dim in zip(axes, order, strict=True):
        own = Moments(codes.dynamic[0, :length, dim], codes.dynamic_scale[0, :length, dim])
        _draw(axis, times, own, Moments(prior.loc[dim], prior.scale[dim]), shown)
        label(axis, y=f"{sites.dynamic}[{dim}]")
    # Half of the space between two of the frames beneath is kept free at both ends, so that
    # frames that are evenly spread stand below their times.
    end = float(times[-1]) or 1 / (frames_per_second or 1)
    room = end / max(len(shown) - 1, 1) / 2
    axes[0].set_xlim(-room, float(times[-1]) + room)
    axes[-1].xaxis.set_major_locator(MaxNLocator(8, integer=frames_per_second is None))
    axes[-1].set_xlabel("frame" if frames_per_second is None else "time (s)", fontsize=9)
    axes[0].set_title(f"Dynamics of sequence {sequence}", fontsize=10, loc="left")
    axes[0].legend(
        loc="lower right", bbox_to_anchor=(1.0, 0.97), ncols=2, fontsize=8, frameon=False,
        borderaxespad=0, handlelength=1.5, columnspacing=1.2,
    )  # fmt: skip
    _lay_frames(strip, images, axes[-1], times[shown].tolist())
    return figure


def _checked_places(places: Sequence[int], length: int) -> list[int]:
    wrong = [place for place in places if not 0 <= place < length]
    if wrong or not places or sorted(places) != list(places):
        raise ValueError(
            f"places is {list(places)}; expected rising numbers of frames from 0 to {length - 1}. "
            "Padding cannot be shown."
        )
    return list(places)


def _canvas(charts: int, frames: int, stretch: float) -> tuple[Figure, list[Axes], Axes]:
    """Charts above each other, and beneath them an axis for frames, all of one width."""
    across = WIDTH - LEFT - EDGE
    strip = min(across / frames, LARGEST_FRAME) * stretch
    height = TOP + charts * CHART + (charts - 1) * SPACE + BETWEEN + strip + EDGE
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)

    def place(bottom: float, high: float, shared: Axes | None = None) -> Axes:
        sizes = (LEFT / WIDTH, bottom / height, across / WIDTH, high / height)
        return figure.add_axes(sizes, sharex=shared)

    axes: list[Axes] = []
    for row in range(charts):
        bottom = height - TOP - CHART - row * (CHART + SPACE)
        axes.append(place(bottom, CHART, axes[0] if axes else None))
        axes[-1].spines[["top", "right"]].set_visible(False)
        axes[-1].tick_params(labelsize=8, labelbottom=row == charts - 1)
    below = place(EDGE, strip)
    below.axis("off")
    below.set(xlim=(0, across), ylim=(0, strip))
    return figure, axes, below


def _draw(axis: Axes, times: Tensor, own: Moments, prior: Moments, shown: list[int]) -> None:
    loc, scale = float(prior.loc), float(prior.scale)
    axis.axhspan(loc - scale, loc + scale, color=ORANGE, alpha=0.12, linewidth=0)
    axis.axhline(loc, color=ORANGE, linestyle="--", linewidth=1, label="p(z|f) ± 1 s.d.")
    low, high = (own.loc - own.scale).tolist(), (own.loc + own.scale).tolist()
    axis.fill_between(times.tolist(), low, high, color=BLUE, alpha=0.3, linewidth=0)
    axis.plot(times.tolist(), own.loc.tolist(), color=BLUE, lw=1.3, label="q(z|x, f) ± 1 s.d.")
    axis.plot(times[shown].tolist(), own.loc[shown].tolist(), "o", color=BLUE, markersize=4)
    for time in times[shown].tolist():
        axis.axvline(time, color=GREY, linewidth=0.6, linestyle=":", zorder=0)


def _lay_frames(strip: Axes, images: Tensor, chart: Axes, times: list[float]) -> None:
    """Lay frames side by side, each joined to its time on the chart above by a line."""
    (_, across), (_, high) = strip.get_xlim(), strip.get_ylim()
    cell = across / len(images)
    half = 0.95 * high * images.shape[-1] / images.shape[-2] / 2
    for i, (image, time) in enumerate(zip(images, times, strict=True)):
        centre = (i + 0.5) * cell
        sides = (centre - half, centre + half, 0.0, 0.95 * high)
        strip.imshow(to_pixels(image), cmap="gray", vmin=0, vmax=255, extent=sides, aspect="auto")
        line = ConnectionPatch(
            (time, 0), (centre, high), chart.get_xaxis_transform(), strip.transData,
            color=GREY, linewidth=0.6, linestyle=":",
        )  # fmt: skip
        line.set_in_layout(False)
        strip.figure.add_artist(line)
    strip.set(xlim=(0, across), ylim=(0, high))
