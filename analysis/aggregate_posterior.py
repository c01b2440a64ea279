"""The aggregate posterior against the prior, dimension by dimension."""

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .sequence_layout import checked_count
from .site_codes import SiteCodes, site_codes
from .style import BLUE, DPI, ORANGE, WIDTH

DIMS, COLUMNS, BINS = 6, 2, 40
DRAWS = 10_000
REACH = 4.0  # standard deviations of the prior that are always shown
PANEL = 1.45  # inches


def aggregate_posterior_figure(
    model: Program,
    guide: Program,
    *args: Any,
    latent: str | None = None,
    dims: int = DIMS,
    draws: int = DRAWS,
    kl: Tensor | None = None,
    codes: SiteCodes | None = None,
    seed: int = 0,
) -> Figure:
    r"""Draw the aggregate posterior \( \frac{1}{N} \sum_n q(z|x_n) \) against the prior.

    A panel for each dimension, those of the highest divergence: a histogram of draws, as many
    from each datum, and the standard Normal. Coordinates are relative to the prior, minus its mean
    and over its standard deviation, so that data whose priors differ stand in one picture. In the
    titles: mean and standard deviation of the aggregate, exactly, and the mean divergence of the
    single posteriors in nats. Where the bars leave the curve, samples from the prior meet codes
    that no image has; a dimension of no divergence follows the curve whatever the model.

    Source: Hoffman & Johnson (2016), "ELBO surgery",
    http://approximateinference.org/accepted/HoffmanJohnson2016.pdf, for what the gap means.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both, images `(N, C, H, W)` first.
        latent: The latent site; may be left out where only one has dimensions.
        dims: Largest number of dimensions shown, at least 1.
        draws: Number of draws, rounded up to a multiple of the data; at least 1.
        kl: Nats by dimension `(K,)`; measured on `args` unless given.
        codes: What `site_codes` found for these arguments; found anew unless given.
        seed: Seed of the draws.

    Raises:
        ValueError: If an argument is out of range or there is no such site.
    """
    checked_count("dims", dims)
    checked_count("draws", draws)
    if codes is None:
        codes = site_codes(model, guide, args, latent, kl, seed)
    relative = SiteCodes(
        codes.site,
        (codes.mean - codes.prior_mean) / codes.prior_scale,
        codes.scale / codes.prior_scale,
        torch.zeros_like(codes.mean),
        torch.ones_like(codes.mean),
        codes.kl,
    )
    values = relative.draw(draws, seed)
    mean, deviation = aggregate_moments(relative)
    shown = relative.order[:dims]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    size = (WIDTH * columns / COLUMNS, 0.75 + rows * PANEL)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel())
    reach = max(REACH, float(values[:, shown].abs().quantile(0.999)))
    for axis, dim in zip(axes, shown, strict=False):
        _draw(axis, values[:, dim], reach)
        axis.set_title(
            f"{relative.name(dim)}: {float(mean[dim]):z.2f} ± {deviation[dim]:.2f}",
            fontsize=8, loc="left", parse_math=False,
        )  # fmt: skip
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    for axis in axes[max(0, len(shown) - columns) : len(shown)]:
        axis.tick_params(labelbottom=True)
        axis.set_xlabel("s.d. of the prior, from its mean", fontsize=8)
    for axis in axes[::columns]:
        axis.set_ylabel("density", fontsize=8)
    figure.suptitle(f"Aggregate posterior of {codes.site}", x=0.01, ha="left", fontsize=10)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def aggregate_moments(codes: SiteCodes) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the aggregate posterior, each `(K,)`."""
    variance = codes.scale.square().mean(0) + codes.mean.var(0, correction=0)
    return codes.mean.mean(0), variance.sqrt()


def _draw(axis: Axes, values: Tensor, reach: float) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    edges = np.linspace(-reach, reach, BINS + 1)
    # What is beyond the picture counts in its last bars.
    inside = values.clamp(-reach, reach).numpy()
    look = {"color": BLUE, "alpha": 0.6, "label": "q(z), draws"}
    axis.hist(inside, bins=edges.tolist(), density=True, **look)
    places = np.linspace(-reach, reach, 200)
    density = np.exp(-0.5 * places**2) / np.sqrt(2 * np.pi)
    axis.plot(places, density, color=ORANGE, linewidth=1.5, label="prior p(z)")
