"""Posteriors of single images as ellipses, over the aggregate posterior and the prior."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch
from numpy.typing import NDArray
from torch import Tensor

from unbraid.inference import Program

from .sequence_layout import spread
from .site_codes import SiteCodes, count_of, plane, site_codes
from .style import BLUE, DPI, ORANGE, WIDTH, label

HEIGHT = 4.6  # inches
IMAGES = 12
DEVIATIONS = (1, 2)
# What one and two standard deviations hold of a Normal in a plane.
MASSES = tuple(1 - float(np.exp(-(d**2) / 2)) for d in DEVIATIONS)
SHADES = ("#e3e3e3", "#c4c4c4")
GRID = 160
QUANTILES = (0.005, 0.995)
REACH = 3.5  # standard deviations


def posterior_ellipses(
    model: Program,
    guide: Program,
    *args: Any,
    rows: Sequence[int] | None = None,
    latent: str | None = None,
    dims: tuple[int, int] | None = None,
    kl: Tensor | None = None,
    codes: SiteCodes | None = None,
    seed: int = 0,
) -> Figure:
    """Draw q(z|x) of single images at 1 and 2 standard deviations, in two dimensions.

    Beneath them the aggregate posterior, the mean of q(z|x) over all data: the smallest regions
    that hold 39 % and 86 % of it, which is what 1 and 2 standard deviations hold of a Normal.
    Where all data have one prior, its ellipses are drawn too. Correlations within one posterior
    are not shown, and the others' dimensions are left out of it.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both, images `(N, C, H, W)` first.
        rows: Which images have ellipses; twelve, evenly spread, unless given.
        latent: The latent site; may be left out where only one has dimensions.
        dims: The two dimensions; those of the highest divergence unless given.
        kl: Nats by dimension `(K,)`; measured on `args` unless given.
        codes: What `site_codes` found for these arguments; found anew unless given.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If there is no such site or image, or all posteriors are points.
    """
    if codes is None:
        codes = site_codes(model, guide, args, latent, kl, seed)
    across, up = plane(codes, dims)
    if codes.is_point:
        raise ValueError(
            f"site {codes.site!r} has posteriors without width; expected distributions. Points "
            "have no ellipses; see latent_scatter."
        )
    shown = _rows(rows, len(codes.mean))
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.set_aspect("equal", adjustable="box")
    _draw_aggregate(axis, codes, [across, up])
    if codes.has_one_prior:
        _draw(axis, codes.prior_mean[0, [across, up]], codes.prior_scale[0, [across, up]], ORANGE)
    for row in shown:
        _draw(axis, codes.mean[row, [across, up]], codes.scale[row, [across, up]], BLUE)
    axis.plot(*codes.mean[shown][:, [across, up]].T.tolist(), ".", color=BLUE, markersize=3)
    _frame(axis, codes, [across, up], shown)
    title = f"Posteriors of {len(shown)} of {count_of(args, len(codes.mean))} at {codes.site}"
    label(axis, x=codes.name(across), y=codes.name(up))
    # The layout knows the room of a figure's title, but not of that of a chart of fixed aspect.
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, parse_math=False)
    _legend(figure, codes.has_one_prior)
    return figure


def aggregate_density(mean: Tensor, scale: Tensor, x: Tensor, y: Tensor) -> NDArray[np.floating]:
    """Return the mean density of Normals in a plane on a grid, `(len(y), len(x))`.

    Args:
        mean: `(N, 2)`.
        scale: Standard deviations, positive, `(N, 2)`.
        x: Places of the first coordinate.
        y: Places of the second one.
    """
    of_x, of_y = (
        torch.exp(torch.distributions.Normal(mean[:, i], scale[:, i]).log_prob(at[:, None]))
        for i, at in enumerate((x, y))
    )
    return (of_y @ of_x.T / len(mean)).numpy()


def level_of_mass(density: NDArray[np.floating], mass: float) -> float:
    """Return the density above which cells of equal area hold a share of the whole."""
    ordered = np.sort(density.ravel())[::-1]
    held = np.cumsum(ordered) / ordered.sum()
    return float(ordered[min(int(np.searchsorted(held, mass)), len(ordered) - 1)])


def _draw_aggregate(axis: Axes, codes: SiteCodes, dims: list[int]) -> None:
    mean, scale = codes.mean[:, dims], codes.scale[:, dims]
    low, high = (mean - REACH * scale).amin(0), (mean + REACH * scale).amax(0)
    cell = (high - low) / GRID
    # A posterior narrower than a cell would be missed by the grid.
    wide = torch.maximum(scale, cell.expand_as(scale))
    x, y = (torch.linspace(float(low[i]), float(high[i]), GRID).double() for i in (0, 1))
    density = aggregate_density(mean, wide, x, y)
    levels = sorted({level_of_mass(density, mass) for mass in MASSES})
    axis.contourf(
        x.numpy(), y.numpy(), density, [*levels, density.max() * 1.01],
        colors=SHADES[-len(levels) :], zorder=0,
    )  # fmt: skip


def _frame(axis: Axes, codes: SiteCodes, dims: list[int], shown: list[int]) -> None:
    """Set limits that hold all ellipses, and all but the farthest of the other codes."""
    ends = torch.tensor(QUANTILES, dtype=torch.float64)
    low, high = codes.mean[:, dims].quantile(ends, 0)
    drawn = [(codes.mean[shown][:, dims], codes.scale[shown][:, dims])]
    if codes.has_one_prior:
        drawn.append((codes.prior_mean[:1, dims], codes.prior_scale[:1, dims]))
    for mean, scale in drawn:
        low = torch.minimum(low, (mean - 2 * scale).amin(0))
        high = torch.maximum(high, (mean + 2 * scale).amax(0))
    margin = 0.06 * float((high - low).max())
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    axis.set(xlim=(left, right), ylim=(bottom, top))


def _draw(axis: Axes, mean: Tensor, scale: Tensor, colour: str) -> None:
    for deviations in DEVIATIONS:
        width, height = (2 * deviations * scale).tolist()
        axis.add_patch(
            Ellipse(
                (float(mean[0]), float(mean[1])),
                width,
                height,
                fill=False,
                edgecolor=colour,
                linewidth=1.1,
                linestyle="-" if deviations == 1 else "--",
            )
        )


def _rows(rows: Sequence[int] | None, size: int) -> list[int]:
    if rows is None:
        return spread(size, IMAGES)
    wrong = [row for row in rows if not 0 <= row < size]
    if wrong or not rows:
        raise ValueError(
            f"rows is {list(rows)}; expected numbers of images from 0 to {size - 1}, at least "
            "one. Leave it out to see twelve."
        )
    return list(rows)


def _legend(figure: Figure, prior: bool) -> None:
    entries: list[Any] = [
        Line2D([], [], color=BLUE, label="q(z|x), 1 s.d."),
        Line2D([], [], color=BLUE, linestyle="--", label="2 s.d."),
        Patch(facecolor=SHADES[1], label="39 % of q(z)"),
        Patch(facecolor=SHADES[0], label="86 %"),
    ]
    if prior:
        entries.append(Line2D([], [], color=ORANGE, label="prior p(z), 1 and 2 s.d."))
    figure.legend(
        handles=entries, loc="outside lower center", ncols=3, fontsize=8, frameon=False,
        handletextpad=0.4, columnspacing=1.2,
    )  # fmt: skip
