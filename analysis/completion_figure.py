"""A picture of completed images: what was hidden, what was seen, and what may have been there."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import MaskedPosterior

from .image_figure import image_figure
from .style import ORANGE

GAP = 2
GREY = 0.5


def completion_figure(
    images: Tensor, observed: Tensor, posterior: MaskedPosterior, *, title: str = "Completions"
) -> Figure:
    """Show images, the pixels that are seen, the posterior mean, and completions with weights.

    Args:
        images: Images `(N, C, H, W)`, one row each.
        observed: Bool `(H, W)`, `(N, H, W)` or `(N, C, H, W)`, true where a pixel is seen.
        posterior: What `masked_posterior` found for them.
        title: Title above the rows.
    """
    draws = posterior.completions.shape[1]
    columns, side = draws + 3, images.shape[-1]
    if observed.dim() == 3:
        observed = observed.unsqueeze(1)
    whole = images.clamp(0, 1)
    seen = torch.where(observed.to(images.device), whole, torch.full_like(whole, GREY))
    shown = [whole, seen, posterior.mean, *posterior.completions.unbind(1)]
    figure = image_figure(
        torch.stack([part.to(whole).clamp(0, 1) for part in shown], 1).flatten(0, 1).cpu(),
        columns,
        gap=GAP,
        title=title,
        columns_named=["image", "seen", "mean", *[""] * draws],
        x="right of the lines: draws of the posterior, with their weights",
    )
    [axis] = figure.axes
    for before in (2, 3):
        place = before * (side + GAP) - (GAP + 1) / 2
        axis.axvline(place, color=ORANGE, linewidth=1.5)
    for row, weights in enumerate(posterior.completion_weights.tolist()):
        for draw, weight in enumerate(weights):
            axis.text(
                (3 + draw) * (side + GAP),
                (row + 1) * (images.shape[-2] + GAP) - GAP - 1,
                f"{100 * weight:.2g} %",
                fontsize=6,
                color=ORANGE,
                verticalalignment="bottom",
                parse_math=False,
            )
    return figure
