"""Recombination: the appearance of one image in the perspective of another."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .image_figure import image_figure
from .passes import decode, undisturbed
from .style import ORANGE
from .warped import warp_codes

BATCH = 256
GAP = 2


def transfer(
    model: Program,
    guide: Program,
    appearance_of: Tensor,
    perspective_of: Tensor,
    *,
    site: str = "x",
    seed: int = 0,
) -> Tensor:
    """Decode the appearance of each image in the perspective of another.

    Source: Detlefsen & Hauberg (2019), https://arxiv.org/abs/1906.11881, section 4.

    Args:
        model: The generative program, a `WarpModel`.
        guide: The inference program.
        appearance_of: Images `(B, C, H, W)`.
        perspective_of: Images `(B, C, H, W)`.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Returns:
        Mean images `(B, C, H, W)` in [0, 1].

    Raises:
        ValueError: If the model warps nothing, or the two shapes differ.
    """
    if appearance_of.shape != perspective_of.shape:
        raise ValueError(
            f"appearance_of is {tuple(appearance_of.shape)} and perspective_of is "
            f"{tuple(perspective_of.shape)}; expected one shape. Give one image per image."
        )
    appearance, _ = warp_codes(model, guide, appearance_of, batch_size=BATCH, seed=seed)
    _, perspective = warp_codes(model, guide, perspective_of, batch_size=BATCH, seed=seed)
    return _decode(model, guide, appearance_of, appearance, perspective, site, seed)


def transfer_figure(
    model: Program,
    guide: Program,
    appearances: Tensor,
    perspectives: Tensor,
    *,
    site: str = "x",
    seed: int = 0,
) -> Figure:
    """Show the appearance of each image at the left in the perspective of each image on top.

    Args:
        model: The generative program, a `WarpModel`.
        guide: The inference program.
        appearances: Images `(R, C, H, W)`, one row each.
        perspectives: Images `(Q, C, H, W)`, one column each.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If the model warps nothing, or the images are of different sizes.
    """
    if appearances.shape[1:] != perspectives.shape[1:]:
        raise ValueError(
            f"appearances is {tuple(appearances.shape)} and perspectives is "
            f"{tuple(perspectives.shape)}; expected one size of image. Give images of one dataset."
        )
    appearance, _ = warp_codes(model, guide, appearances, batch_size=BATCH, seed=seed)
    _, perspective = warp_codes(model, guide, perspectives, batch_size=BATCH, seed=seed)
    rows, columns = len(appearance), len(perspective)
    images = _decode(
        model,
        guide,
        appearances.repeat_interleave(columns, 0),
        appearance.repeat_interleave(columns, 0),
        perspective.repeat(rows, 1),
        site,
        seed,
    ).unflatten(0, (rows, columns))
    corner = torch.ones_like(appearances[:1])
    left = torch.cat([corner, appearances]).clamp(0, 1).unsqueeze(1)
    body = torch.cat([perspectives.clamp(0, 1).unsqueeze(0), images])
    figure = image_figure(
        torch.cat([left, body], 1).flatten(0, 1),
        columns + 1,
        gap=GAP,
        title="Appearances in other perspectives",
        x="perspective of the image on top",
        y="appearance of the image at left",
    )
    _rule_off(figure, *appearances.shape[-2:])
    return figure


def _decode(
    model: Program,
    guide: Program,
    images: Tensor,
    appearance: Tensor,
    perspective: Tensor,
    site: str,
    seed: int,
) -> Tensor:
    """Decode codes, one pair per image of `images`, which only say how many there are."""
    codes = zip(
        images.split(BATCH), appearance.split(BATCH), perspective.split(BATCH), strict=True
    )
    with undisturbed(model, guide, seed=seed):
        parts = [
            decode(model, guide, (x,), {"appearance": a, "perspective": p}, site)
            for x, a, p in codes
        ]
    return torch.cat(parts)


def _rule_off(figure: Figure, height: int, width: int) -> None:
    """Draw a line between the images that were given and those that were decoded."""
    (axis,) = figure.axes
    axis.axhline(height + (GAP - 1) / 2, color=ORANGE, linewidth=1.5)
    axis.axvline(width + (GAP - 1) / 2, color=ORANGE, linewidth=1.5)
