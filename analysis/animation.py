"""Traversals as a looping animation."""

import math
from pathlib import Path

import torch
from torch import Tensor

from unbraid.inference import Program, write_atomically

from .film import film_bytes, film_path
from .images import image_grid
from .latents import by_kl
from .passes import decode, point_codes, prior_moments, run, undisturbed
from .traversed import chosen_site, measured_kl


def traversal_animation(
    model: Program,
    guide: Program,
    images: Tensor,
    *,
    latent: str | None = None,
    path: str | Path,
    kl: Tensor | None = None,
    frames: int = 30,
    seconds: float = 3.0,
    span: float = 2.0,
    columns: int = 8,
    site: str = "x",
    seed: int = 0,
) -> Path:
    """Write a looping film in which each coordinate of a latent site swings to and fro alone.

    One row per image: the image itself, then a column per coordinate, the one of the highest
    divergence first. All start at the image's posterior mean, and the loop has no seam.

    Args:
        model: The generative program.
        guide: The inference program.
        images: Images `(B, C, H, W)`, one row each.
        latent: The latent site; may be left out where only one has dimensions to move along.
        path: The file, `.gif` or `.webp`; replaced where it exists, whole or not at all.
        kl: Nats by dimension `(K,)`, which order the columns; measured on the images unless given.
        frames: Number of frames, at least 2.
        seconds: Duration of one swing, positive.
        span: Largest shift, in standard deviations of the prior; positive.
        columns: Largest number of coordinates, at least 1.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Returns:
        The path.

    Raises:
        ValueError: If an argument is out of range or there is no such site.
        OSError: If the file cannot be written.
    """
    path = film_path(path)
    _check(frames, seconds, span, columns)
    if kl is None:
        kl = measured_kl(model, guide, (images,), latent, seed)
    with undisturbed(model, guide, seed=seed):
        terms = run(model, guide, (images,))
        latent = chosen_site(terms, latent)
        codes = point_codes(terms)
        _, scale = prior_moments(terms[latent].p)
        shown = by_kl(kl, scale.shape[-1])[:columns]
        pixels = []
        for frame in range(frames):
            swing = span * math.sin(2 * math.pi * frame / frames)
            moved = [images.clamp(0, 1)]
            for dim in shown:
                code = codes[latent].clone()
                code[..., dim] += swing * scale[..., dim]
                moved.append(decode(model, guide, (images,), {**codes, latent: code}, site))
            pixels.append(image_grid(torch.stack(moved, 1).flatten(0, 1), len(shown) + 1))
    write_atomically(path, film_bytes(torch.stack(pixels), seconds, path))
    return path


def _check(frames: int, seconds: float, span: float, columns: int) -> None:
    for name, value, least in (("frames", frames, 2), ("columns", columns, 1)):
        if value < least:
            raise ValueError(f"{name} is {value}; expected at least {least}. Try {8 * least}.")
    for name, value in (("seconds", seconds), ("span", span)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}; expected a positive number. Try 2.")
