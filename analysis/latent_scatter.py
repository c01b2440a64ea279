"""Codes of many images in a plane, coloured by label, with some of the images at their places."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray
from torch import Tensor

from unbraid.inference import Program

from .class_colours import are_few_classes, scatter_points, shown_classes
from .images import to_pixels
from .score_inputs import Values, host_array
from .site_codes import SiteCodes, count_of, plane, site_codes
from .style import DPI, GREY, WIDTH, label

HEIGHT, THUMBNAIL = 4.2, 0.3  # inches
THUMBNAILS = 14
NEAREST = 0.09  # of the axis, between two thumbnails
PROJECTIONS = ("kl", "pca")


def latent_scatter(
    model: Program,
    guide: Program,
    *args: Any,
    labels: Values | None = None,
    label_names: Sequence[str] = (),
    label_title: str = "label",
    latent: str | None = None,
    projection: str = "kl",
    dims: tuple[int, int] | None = None,
    thumbnails: int = THUMBNAILS,
    kl: Tensor | None = None,
    codes: SiteCodes | None = None,
    seed: int = 0,
) -> Figure:
    """Scatter the means of q(z|x) in two dimensions, with some images at their places.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both, images `(N, C, H, W)` first; of sequences the first frames
            are shown.
        labels: Classes, integers `(N,)`, -1 where unknown, or numbers `(N,)`; more than 21 classes
            are drawn as numbers.
        label_names: Name of each class.
        label_title: What the labels are.
        latent: The latent site; may be left out where only one has dimensions.
        projection: `"kl"`, the two dimensions of the highest divergence, or `"pca"`, the two
            principal components of the means.
        dims: Two dimensions to show in place of these.
        thumbnails: Number of images shown, at least 0; fewer where there is no room.
        kl: Nats by dimension `(K,)`; measured on `args` unless given.
        codes: What `site_codes` found for these arguments; found anew unless given.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If an argument is out of range, there is no such site, it has fewer than two
            dimensions, or labels are not one per datum.
    """
    if projection not in PROJECTIONS or (projection == "pca" and dims is not None):
        raise ValueError(
            f"projection is {projection!r} and dims is {dims}; expected 'kl' or 'pca', and dims "
            "without 'pca'. Leave one of them out."
        )
    if labels is not None and host_array(labels).shape != (len(args[0]),):
        raise ValueError(
            f"labels have shape {host_array(labels).shape}; expected ({len(args[0])},). Give one "
            "label per image."
        )
    if codes is None:
        codes = site_codes(model, guide, args, latent, kl, seed)
    points, names = _projected(codes, projection, dims)
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    scatter_points(axis, points, labels, names=label_names, title=label_title)
    label(
        axis,
        title=f"Codes of {count_of(args, len(points))} at {codes.site}",
        x=names[0],
        y=names[1],
    )
    axis.margins(0.06)
    for row in spread_rows(points, thumbnails):
        _show(axis, args[0][row], points[row], _colour_of(labels, row, label_names))
    return figure


def principal_components(means: Tensor) -> tuple[Tensor, Tensor]:
    """Return means in the axes of their largest variance, and the share of each axis.

    Args:
        means: float64 `(N, K)`.

    Returns:
        `(N, min(N, K))`, centred, and the shares of the variance, which sum to 1. The sign of an
        axis is such that its largest weight is positive.
    """
    centred = means - means.mean(0)
    _, lengths, axes = torch.linalg.svd(centred, full_matrices=False)
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    shares = lengths.square() / lengths.square().sum().clamp(min=torch.finfo(lengths.dtype).tiny)
    return centred @ (axes * largest.sign()).T, shares


def spread_rows(points: NDArray[np.floating], count: int) -> list[int]:
    """Choose points that are far from each other, the farthest next; none is near another.

    Args:
        points: `(N, 2)`.
        count: Number of points, at most.
    """
    extent = points.max(0) - points.min(0)
    places = (points - points.min(0)) / np.where(extent > 0, extent, 1)
    chosen: list[int] = []
    distance = np.linalg.norm(places - places.mean(0), axis=1)
    while len(chosen) < count and distance.max() > (NEAREST if chosen else -1):
        chosen.append(int(distance.argmax()))
        to_last = np.linalg.norm(places - places[chosen[-1]], axis=1)
        distance = to_last if len(chosen) == 1 else np.minimum(distance, to_last)
    return chosen


def _projected(
    codes: SiteCodes, projection: str, dims: tuple[int, int] | None
) -> tuple[NDArray[np.floating], tuple[str, str]]:
    if projection == "kl":
        across, up = plane(codes, dims)
        points = codes.mean[:, [across, up]].numpy()
        return points, (codes.name(across), codes.name(up))
    placed, shares = principal_components(codes.mean)
    if placed.shape[1] < 2:
        raise ValueError(
            f"site {codes.site!r} has {codes.mean.shape[1]} dimension and {len(codes.mean)} data; "
            "expected at least 2 of both. See aggregate_posterior_figure."
        )
    first, second = (f"component {i + 1} ({100 * shares[i]:.0f} % of variance)" for i in (0, 1))
    return placed[:, :2].numpy(), (first, second)


def _show(axis: Axes, image: Tensor, place: NDArray[np.floating], colour: str) -> None:
    first = image.reshape(-1, *image.shape[-3:])[0]
    zoom = THUMBNAIL * 72 / max(first.shape[-2:])
    picture = OffsetImage(
        to_pixels(first), zoom=zoom, cmap="gray", norm=None, interpolation="antialiased"
    )
    picture.set_data(to_pixels(first))
    picture.image.set_clim(0, 255)
    box = AnnotationBbox(
        picture,
        (float(place[0]), float(place[1])),
        pad=0.1,
        bboxprops={"edgecolor": colour, "linewidth": 1},
    )
    axis.add_artist(box)


def _colour_of(labels: Values | None, row: int, names: Sequence[str]) -> str:
    if labels is None or not are_few_classes(labels):
        return GREY
    return next(shown.colour for shown in shown_classes(labels, names) if shown.rows[row])
