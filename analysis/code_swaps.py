"""Swaps: the code of one image at one site with all other codes of another image."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .image_figure import image_figure
from .latents import Batch, arguments
from .passes import decode, point_codes, run, undisturbed
from .sequence_layout import rule


def swap_codes(
    model: Program,
    guide: Program,
    given: Batch,
    others: Batch,
    *,
    swapped: str,
    site: str = "x",
    seed: int = 0,
) -> Tensor:
    """Decode every image's code at one site with every other image's remaining codes.

    Args:
        model: The generative program.
        guide: The inference program.
        given: Images `(R, C, H, W)` that give the code, or all arguments of the pair.
        others: Images `(Q, C, H, W)` that give the remaining codes, or all arguments of the pair.
        swapped: The latent site whose code comes from `given`.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Returns:
        Mean images `(R, Q, C, H, W)` in [0, 1], on the host.

    Raises:
        ValueError: If the pair has no such latent site beside another one.
    """
    first, second = arguments(given), arguments(others)
    with undisturbed(model, guide, seed=seed):
        giving = point_codes(run(model, guide, first))
        codes = point_codes(run(model, guide, second))
        if swapped not in codes or len(codes) < 2:
            raise ValueError(
                f"swapped is {swapped!r}; the pair's latent sites are {', '.join(codes)}. "
                "Expected one of two or more"
            )
        rows = [
            decode(
                model,
                guide,
                second,
                {**codes, swapped: code.expand(len(second[0]), *code.shape[1:])},
                site,
            )
            for code in giving[swapped].split(1)
        ]
    return torch.stack(rows).cpu()


def swap_grid(
    model: Program,
    guide: Program,
    given: Batch,
    others: Batch,
    *,
    swapped: str,
    site: str = "x",
    seed: int = 0,
) -> Figure:
    """Show the code of each image at the left with the remaining codes of each image on top.

    Source: Mathieu et al. (2016), https://arxiv.org/abs/1611.03383, for the layout.

    Args:
        model: The generative program.
        guide: The inference program.
        given: Images `(R, C, H, W)`, one row each, or all arguments of the pair.
        others: Images `(Q, C, H, W)`, one column each, or all arguments of the pair.
        swapped: The latent site whose code comes from the left.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If the pair has no such latent site beside another one.
    """
    images = swap_codes(model, guide, given, others, swapped=swapped, site=site, seed=seed)
    left, top = (
        arguments(batch)[0].detach().cpu().float().clamp(0, 1) for batch in (given, others)
    )
    corner = torch.ones_like(left[:1])
    cells = torch.cat([torch.cat([corner, top]).unsqueeze(0),
                       torch.cat([left.unsqueeze(1), images], 1)])  # fmt: skip
    figure = image_figure(
        cells.flatten(0, 1),
        len(top) + 1,
        title=f"Swaps of {swapped}",
        x="remaining codes of the image on top",
        y=f"{swapped} of the one at left",
    )
    rule(figure, left, columns=1, rows=1)
    return figure
