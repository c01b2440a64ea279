"""Pictures of what a pair has learned: reconstructions, samples, traversals, the manifold."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .image_figure import image_figure
from .images import stack_pairs
from .latents import by_kl
from .passes import (
    decode,
    first_datum,
    mean_images,
    point_codes,
    prior_moments,
    run,
    sample_prior,
    undisturbed,
)
from .traversed import chosen_site, measured_kl

SMALLEST_QUANTILE = 0.02
TRAVERSED_DIMS = 10
STARTS = {"image": "an image's code", "prior": "the prior's mean"}


def reconstructions(
    model: Program,
    guide: Program,
    *args: Any,
    columns: int = 8,
    site: str = "x",
    seed: int = 0,
) -> Figure:
    """Show images, each above the mean image decoded from its posterior mean.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both, images `(B, C, H, W)` first; whole rows of them are shown.
        columns: Images per row, at least 1; fewer where there are fewer images.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If the site holds no images.
    """
    with undisturbed(model, guide, seed=seed):
        terms = run(model, guide, args)
        decoded = mean_images(terms.replay(point_codes(terms))[site].p, site)
        given = terms[site].value
        originals = given.reshape(len(decoded), -1, *given.shape[-3:])[:, 0]
    columns = max(1, min(columns, len(decoded)))
    whole = len(decoded) // columns * columns
    pairs = stack_pairs(originals[:whole].clamp(0, 1), decoded[:whole], columns)
    labels = ["original", "decoded"] * (whole // columns)
    return image_figure(pairs, columns, title="Reconstructions", rows=labels)


def prior_samples(
    model: Program,
    size: int = 64,
    *conditions: Any,
    columns: int = 8,
    site: str = "x",
    seed: int = 0,
) -> Figure:
    """Show the mean images of codes drawn from the prior.

    Args:
        model: The generative program; `model(None, *conditions, size=size)` samples.
        size: Number of samples, at least 1.
        *conditions: The model's further arguments.
        columns: Images per row, at least 1.
        site: The site of the images.
        seed: Seed of the codes.

    Raises:
        NoSamplesError: If the model has no such site, or codes have no prior.
        ValueError: If the site holds no images.
    """
    with undisturbed(model, seed=seed):
        images = sample_prior(model, size, conditions, site)
    return image_figure(images, min(columns, len(images)), title="Samples from the prior")


def traversals(
    model: Program,
    guide: Program,
    *args: Any,
    latent: str | None = None,
    kl: Tensor | None = None,
    start: str = "image",
    span: float = 3.0,
    steps: int = 7,
    rows: int = TRAVERSED_DIMS,
    held: Sequence[str] | None = None,
    site: str = "x",
    seed: int = 0,
) -> Figure:
    """Show what each dimension of a latent site changes when it moves alone.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both, images first; the first datum is used.
        latent: The latent site; may be left out where only one has dimensions to move along.
        kl: Nats by dimension `(K,)`, from which rows are ordered and named; measured on `args`
            unless given.
        start: `"image"`, the posterior mean of the first datum, or `"prior"`, the prior's mean.
            The other latent sites are at the posterior mean of the first datum.
        span: Largest shift from the start, in standard deviations of the prior; positive.
        steps: Number of images per row, odd, so that the middle column is the start itself.
        rows: Largest number of dimensions shown, at least 1.
        held: Latent sites of a model of sequences that keep their codes, `latent` aside; all of
            them unless given. The others follow, at the model's mean given the rest.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If an argument is out of range or there is no such site.
    """
    _check_traversal(start, span, steps, rows)
    if kl is None:
        kl = measured_kl(model, guide, args, latent, seed)
    half = steps // 2
    shifts = [span * (i - half) / max(half, 1) for i in range(steps)]
    with undisturbed(model, guide, seed=seed):
        terms = run(model, guide, first_datum(args))
        latent = chosen_site(terms, latent)
        codes = point_codes(terms)
        mean, scale = prior_moments(terms[latent].p)
        base = mean if start == "prior" else codes[latent]
        shown = by_kl(kl, base.shape[-1])[:rows]
        moved = [_shifted(base, dim, shift * scale) for dim in shown for shift in shifts]
        if held is not None:
            codes = {name: codes[name] for name in held}
        codes[latent] = torch.cat(moved)
        images = decode(model, guide, first_datum(args, len(moved)), codes, site)
    nats = {dim: f" ({kl[dim]:.2f} nats)" if len(kl) == base.shape[-1] else "" for dim in shown}
    return image_figure(
        images,
        steps,
        title=f"Traversals of {latent} from {STARTS[start]}",
        rows=[f"{latent}[{dim}]{nats[dim]}" for dim in shown],
        columns_named=[f"{shift:+.3g}" if shift else "0" for shift in shifts],
        x="shift in standard deviations of the prior",
    )


def manifold(
    model: Program,
    guide: Program,
    *args: Any,
    latent: str | None = None,
    kl: Tensor | None = None,
    side: int = 15,
    site: str = "x",
    seed: int = 0,
) -> Figure:
    """Show the images decoded from a grid over two latent dimensions.

    The grid is evenly spaced in the prior's quantiles, from 2 % to 98 % of a Normal's. With more
    than two dimensions the two of the largest divergence are taken, the others stay at the
    prior's mean.

    Source: Kingma & Welling (2014), https://arxiv.org/abs/1312.6114, figure 4.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both, images first; the first datum gives the other latent sites.
        latent: The latent site; may be left out where only one has dimensions to move along.
        kl: Nats by dimension `(K,)`; measured on `args` unless given.
        side: Number of images along each side, at least 2.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If there is no such site, or it has fewer than two dimensions.
    """
    if side < 2:
        raise ValueError(f"side is {side}; expected at least 2. Try 15.")
    if kl is None:
        kl = measured_kl(model, guide, args, latent, seed)
    quantiles = torch.linspace(SMALLEST_QUANTILE, 1 - SMALLEST_QUANTILE, side)
    shifts = torch.special.ndtri(quantiles.double()).tolist()
    with undisturbed(model, guide, seed=seed):
        terms = run(model, guide, first_datum(args))
        latent = chosen_site(terms, latent)
        codes = point_codes(terms)
        mean, scale = prior_moments(terms[latent].p)
        dims = mean.shape[-1]
        if dims < 2:
            raise ValueError(
                f"site {latent!r} has {dims} dimension; expected at least 2. Draw traversals."
            )
        across, up = (0, 1) if dims == 2 else by_kl(kl, dims)[:2]
        columns = [_shifted(mean, across, shift * scale) for shift in shifts]
        grid = [_shifted(code, up, s * scale) for s in reversed(shifts) for code in columns]
        codes[latent] = torch.cat(grid)
        images = decode(model, guide, first_datum(args, len(grid)), codes, site)
    ends = {0: f"{shifts[0]:.1f}", side - 1: f"{shifts[-1]:+.1f}"}
    names = [ends.get(i, "") for i in range(side)]
    return image_figure(
        images,
        side,
        gap=0,
        title=f"Decoded plane of {latent}",
        rows=names[::-1],
        columns_named=names,
        x=f"{latent}[{across}], in standard deviations of the prior",
        y=f"{latent}[{up}]",
    )


def _check_traversal(start: str, span: float, steps: int, rows: int) -> None:
    if start not in STARTS:
        raise ValueError(
            f"start is {start!r}; expected 'image' or 'prior'. Choose what the middle column is."
        )
    if steps < 1 or steps % 2 == 0:
        raise ValueError(
            f"steps is {steps}; expected an odd number of at least 1. "
            "The middle column is the start itself."
        )
    if rows < 1:
        raise ValueError(f"rows is {rows}; expected at least 1. Leave it out to see 10.")
    if not 0 < span < float("inf"):
        raise ValueError(f"span is {span}; expected a positive number. Try 3.")


def _shifted(code: Tensor, dim: int, shift: Tensor) -> Tensor:
    """A code `(1, ..., K)` with one dimension moved by that dimension of `shift`."""
    moved = code.clone()
    moved[..., dim] += shift[..., dim]
    return moved
