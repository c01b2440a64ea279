"""Images decoded along lines between the codes of two images."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program, require_tensors

from .image_figure import image_figure
from .passes import decode, point_codes, prior_moments, run, undisturbed
from .sequence_layout import spread
from .site_codes import picked
from .style import ORANGE
from .traversed import traversed_sites

PAIRS, STEPS, GAP = 5, 8, 2
PATHS = ("linear", "spherical")


def interpolation(
    model: Program,
    guide: Program,
    *args: Any,
    pairs: Sequence[tuple[int, int]] | None = None,
    latents: Sequence[str] | None = None,
    path: str = "linear",
    steps: int = STEPS,
    site: str = "x",
    seed: int = 0,
) -> Figure:
    """Decode codes on the way from one image to another, the images themselves beside.

    Between the lines, from left to right, the code goes from the mean of q of the left image to
    that of the right one. Sites that are not named, discrete sites, and conditions such as labels
    stay those of the left image, so that the last column need not look like the right image.

    Source: White (2016), https://arxiv.org/abs/1609.04468, for spherical paths.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both, images first; of sequences the first frames are shown.
        pairs: Which images each row goes from and to; up to five rows, of images evenly spread
            over all, unless given.
        latents: Continuous latent sites that move, all unless given.
        path: `"linear"`, or `"spherical"`, along a great circle around the prior's mean, in units
            of its standard deviations: codes on the way are as far from it as both ends, which
            is as usual for codes of many dimensions.
        steps: Number of decoded images per row, both ends among them; at least 2.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If an argument is out of range, or there is no such site.
    """
    require_tensors(args)
    if not args or not isinstance(args[0], Tensor):
        found = f"a {type(args[0]).__name__}" if args else "not given"
        raise ValueError(f"images is {found}; expected a tensor (N, C, H, W). Give some images.")
    chosen = _check(pairs, len(args[0]), path, steps)
    firsts, lasts = ([pair[i] for pair in chosen] for i in (0, 1))
    with undisturbed(model, guide, seed=seed):
        terms = run(model, guide, picked(args, [*firsts, *lasts]))
        moving = _moving(traversed_sites(terms), latents)
        both = point_codes(terms)
        given = terms[site].value
        ends = given.reshape(len(given), -1, *given.shape[-3:])[:, 0].clamp(0, 1)
        rows = []
        for row in range(len(chosen)):
            here, there = row, row + len(chosen)
            codes = {name: code[here : here + 1] for name, code in both.items()}
            for name in moving:
                mean, scale = (m.expand_as(both[name]) for m in prior_moments(terms[name].p))
                start, end = both[name][here], both[name][there]
                if path == "linear":
                    codes[name] = straight(start, end, steps)
                else:
                    origin, unit = mean[here], scale[here]
                    turned = spherical((start - origin) / unit, (end - origin) / unit, steps)
                    codes[name] = origin + unit * turned
            few = picked(args, [firsts[row]] * steps)
            decoded = decode(model, guide, few, codes, site)
            rows += [ends[here : here + 1], decoded, ends[there : there + 1]]
    figure = image_figure(
        torch.cat([part.cpu() for part in rows]),
        steps + 2,
        gap=GAP,
        title=f"Interpolations of {', '.join(moving)}",
        columns_named=["image", *_shares(steps), "image"],
        x=f"{path} way from the left image's code to the right one's",
    )
    [axis] = figure.axes
    for before in (1, steps + 1):
        place = before * (ends.shape[-1] + GAP) - (GAP + 1) / 2
        axis.axvline(place, color=ORANGE, linewidth=1.5)
    return figure


def straight(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Return codes on the line between two, both ends among them, `(steps, ...)`."""
    share = torch.linspace(0, 1, steps, device=start.device, dtype=start.dtype)
    share = share.reshape(-1, *[1] * start.dim())
    return (1 - share) * start + share * end


def spherical(start: Tensor, end: Tensor, steps: int) -> Tensor:
    r"""Return codes on the arc between two around 0, both ends among them, `(steps, ..., K)`.

    That is \( (\sin((1 - t) \omega) a + \sin(t \omega) b) / \sin \omega \) with the angle
    \( \omega \) between them; the line where they point the same way or to opposite sides.
    """
    norms = start.norm(dim=-1, keepdim=True) * end.norm(dim=-1, keepdim=True)
    tiny = torch.finfo(start.dtype).tiny
    cosine = (start * end).sum(-1, keepdim=True) / norms.clamp(min=tiny)
    angle = cosine.clamp(-1, 1).acos()
    share = torch.linspace(0, 1, steps, device=start.device, dtype=start.dtype)
    share = share.reshape(-1, *[1] * start.dim())
    sine = angle.sin()
    is_arc = (sine > 1e-4) & (norms > 0)
    safe = torch.where(is_arc, sine, torch.ones_like(sine))
    arc = ((1 - share) * angle).sin() / safe * start + (share * angle).sin() / safe * end
    return torch.where(is_arc, arc, straight(start, end, steps))


def _shares(steps: int) -> list[str]:
    """Names of the columns: the share of the way, of so many that they do not touch."""
    every = max(1, -(-steps // 10))
    return [f"{i / (steps - 1):.2g}" if i % every == 0 else "" for i in range(steps)]


def _moving(known: tuple[str, ...], latents: Sequence[str] | None) -> tuple[str, ...]:
    moving = known if latents is None else tuple(latents)
    if not moving or not set(moving) <= set(known):
        raise ValueError(
            f"latents is {list(moving)}; expected some of {', '.join(known) or '(none)'}. Name "
            "continuous latent sites whose event is (K,)."
        )
    return moving


def _check(
    pairs: Sequence[tuple[int, int]] | None, size: int, path: str, steps: int
) -> list[tuple[int, int]]:
    if path not in PATHS:
        raise ValueError(
            f"path is {path!r}; expected 'linear' or 'spherical'. Choose how codes move."
        )
    if not isinstance(steps, Integral) or steps < 2:
        raise ValueError(
            f"steps is {steps!r}; expected an integer of at least 2. Both ends are among them."
        )
    if pairs is None:
        rows = spread(size, min(2 * PAIRS, size // 2 * 2))
        pairs = list(zip(rows[::2], rows[1::2], strict=True))
    is_list = isinstance(pairs, Sequence) and len(pairs) > 0
    if not is_list or not all(_is_pair(pair, size) for pair in pairs):
        raise ValueError(
            f"pairs is {pairs!r} for {size} images; expected at least one pair of numbers "
            f"from 0 to {size - 1}. Give at least two images."
        )
    return [(int(first), int(last)) for first, last in pairs]


def _is_pair(pair: Any, size: int) -> bool:
    is_two = isinstance(pair, Sequence) and len(pair) == 2
    return is_two and all(isinstance(row, Integral) and 0 <= int(row) < size for row in pair)
