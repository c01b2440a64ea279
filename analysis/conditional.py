"""Pictures of pairs that are given a condition: what it changes, and what stays with the code."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program, Runner

from .image_figure import image_figure
from .passes import mean_images, point_codes, prior_moments, run, undisturbed
from .style import ORANGE

GAP = 2
GREY = 0.5


def sample_conditional(
    model: Any, condition: Tensor, *, latent: str = "z", site: str = "x", seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Draw one code for each condition from the model's prior, and decode it.

    Args:
        model: The generative program; `model(None, condition, size=B)` samples.
        condition: `(B, ...)`.
        latent: The latent site.
        site: The site of the images.
        seed: Seed of the codes.

    Returns:
        Codes `(B, K)` and mean images `(B, C, H, W)` in [0, 1].
    """
    with undisturbed(model, seed=seed):
        sites = Runner().run(partial(model, size=len(condition)), (None, condition)).sites
        return sites[latent].value, mean_images(sites[site].fn, site)


def conditional_grid(
    model: Any,
    conditions: Tensor,
    names: Sequence[str],
    *,
    columns: int = 10,
    latent: str = "z",
    site: str = "x",
    seed: int = 0,
) -> Figure:
    """Show each condition in a row with the same codes along the columns.

    Where the prior is learned from the condition, the columns share the noise: codes that lie
    equally many standard deviations from the mean of the row's own prior.

    Args:
        model: The generative program; `model(None, condition, size=B)` samples.
        conditions: `(R, ...)`, one for each row.
        names: Name of each row.
        columns: Number of codes, at least 1.
        latent: The latent site.
        site: The site of the images.
        seed: Seed of the codes.
    """
    images = shared_codes(model, conditions, columns, latent=latent, site=site, seed=seed)
    return image_figure(
        images.flatten(0, 1),
        columns,
        title="Conditions in the rows, codes in the columns",
        rows=list(names),
        x="a code drawn from the prior, the same in every row",
    )


def shared_codes(
    model: Any,
    conditions: Tensor,
    columns: int,
    *,
    latent: str = "z",
    site: str = "x",
    seed: int = 0,
) -> Tensor:
    """Decode the same noise for each of several conditions.

    Returns:
        Mean images `(R, columns, C, H, W)` in [0, 1].
    """
    rows = len(conditions)
    with undisturbed(model, seed=seed):
        every = conditions.repeat_interleave(columns, 0)
        mean, scale = _prior(model, every, latent)
        noise = torch.randn_like(mean[:columns]).repeat(rows, *[1] * (mean.dim() - 1))
        return _decoded(model, every, {latent: mean + scale * noise}, site).unflatten(
            0, (rows, columns)
        )


def style_transfer(
    model: Any,
    guide: Program,
    images: Tensor,
    own: Tensor,
    conditions: Tensor,
    names: Sequence[str],
    *,
    latent: str = "z",
    site: str = "x",
    seed: int = 0,
) -> Figure:
    """Show the code of each image at the left under other conditions.

    The code is the posterior mean of the image given its own condition. Where the prior is learned
    from the condition, it keeps its place relative to the prior: so many standard deviations from
    its mean.

    Args:
        model: The generative program.
        guide: The inference program.
        images: Images `(R, C, H, W)`, one row each.
        own: Their conditions `(R, ...)`.
        conditions: Conditions `(Q, ...)`, one column each.
        names: Name of each column.
        latent: The latent site.
        site: The site of the images.
        seed: Seed of what has to be sampled.
    """
    rows, columns = len(images), len(conditions)
    with undisturbed(model, guide, seed=seed):
        terms = run(model, guide, (images, own))
        mean, scale = prior_moments(terms[latent].p)
        place = (point_codes(terms)[latent] - mean) / scale
        every = conditions.repeat(rows, *[1] * (conditions.dim() - 1))
        mean, scale = _prior(model, every, latent)
        codes = mean + scale * place.repeat_interleave(columns, 0)
        decoded = _decoded(model, every, {latent: codes}, site)
    body = decoded.unflatten(0, (rows, columns))
    left = images.clamp(0, 1).unsqueeze(1).expand(-1, 1, *body.shape[2:])
    figure = image_figure(
        torch.cat([left, body], 1).flatten(0, 1),
        columns + 1,
        gap=GAP,
        title="The code of an image under other conditions",
        columns_named=["image", *names],
        x="condition",
    )
    _rule_off(figure, images.shape[-1])
    return figure


def completions(
    model: Any,
    images: Tensor,
    hidden: Tensor,
    *,
    draws: int = 6,
    latent: str = "z",
    site: str = "x",
    seed: int = 0,
) -> Figure:
    """Show images, what the model is given of them, and several completions of the rest.

    Args:
        model: The generative program, given images of which it looks at the observed part.
        images: Images `(R, C, H, W)`, one row each.
        hidden: Bool `(H, W)`, true where pixels are not observed.
        draws: Number of completions, each from a code of its own, the same in every row.
        latent: The latent site.
        site: The site of the images.
        seed: Seed of the codes.
    """
    drawn = shared_codes(model, images, draws, latent=latent, site=site, seed=seed)
    images = images.clamp(0, 1)
    given = torch.where(hidden, torch.full_like(images, GREY), images)
    body = torch.cat([images.unsqueeze(1), given.unsqueeze(1), drawn], 1)
    figure = image_figure(
        body.flatten(0, 1),
        draws + 2,
        gap=GAP,
        title="Completions",
        columns_named=["image", "given", *[""] * draws],
        x="right of the line: mean images of codes drawn from the prior",
    )
    _rule_off(figure, 2 * images.shape[-1] + GAP)
    return figure


def _prior(model: Any, conditions: Tensor, latent: str) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the prior of codes, `(B, K)`."""
    sites = Runner().run(partial(model, size=len(conditions)), (None, conditions)).sites
    return prior_moments(sites[latent].fn)


def _decoded(model: Any, conditions: Tensor, codes: dict[str, Tensor], site: str) -> Tensor:
    sampled = partial(model, size=len(conditions))
    return mean_images(Runner().run(sampled, (None, conditions), codes).sites[site].fn, site)


def _rule_off(figure: Figure, width: int) -> None:
    """Draw a line between what was given and what was decoded."""
    [axis] = figure.axes
    axis.axvline(width + (GAP - 1) / 2, color=ORANGE, linewidth=1.5)
