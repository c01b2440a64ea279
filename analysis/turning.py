"""Views of objects turned by actions, beside the true ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program, write_atomically

from .film import film_bytes, film_path
from .image_figure import image_figure
from .images import image_grid
from .passes import sites_at_points, undisturbed
from .sequence_layout import GAP, rule

FRAMES = 1024  # decoded together
SITES = ("content", "pose")


def turned(
    model: Any,
    guide: Program,
    images: Tensor,
    actions: Tensor,
    *,
    latents: Sequence[str] = SITES,
    site: str = "x",
    seed: int = 0,
) -> Tensor:
    """Return what actions turn objects into, each seen in a single view.

    Codes are those of the guide, at their means; the model runs with them and with the actions.

    Args:
        model: The generative program, called as `model(None, actions)`.
        guide: The inference program, called with clips of one frame and no action.
        images: Views `(R, C, H, W)`.
        actions: `(R, N)`, one after the other, as the model takes them.
        latents: The latent sites.
        site: The site of the frames.
        seed: Seed of what has to be sampled.

    Returns:
        Mean images `(R, N, C, H, W)` in [0, 1], on the host: a view after each action.

    Raises:
        ValueError: If there is not one row of actions per view.
    """
    if actions.dim() != 2 or len(actions) != len(images) or not actions.numel():
        raise ValueError(
            f"actions have shape {tuple(actions.shape)}; expected ({len(images)}, N), a row for "
            "each view"
        )
    rows = max(1, FRAMES // actions.shape[1])
    parts = []
    with undisturbed(model, guide, seed=seed):
        for view, row in zip(images.split(rows), actions.split(rows), strict=True):
            seen = view.unsqueeze(1), row.new_zeros(len(row), 1)
            codes = sites_at_points(guide, seen)
            values = {name: codes[name].value for name in latents}
            drawn = sites_at_points(model, (None, row), values)[site].fn
            parts.append(drawn.mean.clamp(0, 1).cpu())
    return torch.cat(parts)


class RotationErrors(NamedTuple):
    """Errors of views turned by a number of steps, either way, averaged over objects and views.

    Args:
        steps: The numbers of steps.
        turned: Mean squared error of a pixel of the turned views, by number of steps.
        copied: That of the view itself in their place.
        by_object: Errors `(len(steps), S)` of the turned views, by object.
        copied_by_object: Those of the view itself.
    """

    steps: tuple[int, ...]
    turned: tuple[float, ...]
    copied: tuple[float, ...]
    by_object: Tensor
    copied_by_object: Tensor


def rotation_errors(
    model: Any,
    guide: Program,
    turns: Tensor,
    steps: Sequence[int],
    *,
    directions: Tensor | None = None,
    seed: int = 0,
) -> RotationErrors:
    """Judge views turned by numbers of steps, from every frame of turntables, either way.

    Args:
        model: The generative program.
        guide: The inference program.
        turns: Whole turns `(S, T, C, H, W)` in [0, 1], one step between frames.
        steps: Numbers of steps, each at least 1.
        directions: Of each turn `(S,)`: 1 where frames follow each other to the right, -1 to the
            left; to the right unless given.
        seed: Seed of what has to be sampled.
    """
    objects, frames = turns.shape[:2]
    signs = torch.ones(objects) if directions is None else directions.cpu().float()
    signs = signs.to(turns.device).repeat_interleave(frames)
    longest, views = max(steps), turns.flatten(0, 1)
    found = torch.zeros(2, len(steps), objects)
    for way in (1, -1):
        actions = (way * signs).unsqueeze(1).expand(-1, longest)
        predicted = turned(model, guide, views, actions, seed=seed)
        predicted = predicted.unflatten(0, (objects, frames))
        for place, count in enumerate(steps):
            truth = turns.roll(-way * count, 1).cpu()
            for kind, shown in enumerate((predicted[:, :, count - 1], turns.cpu())):
                found[kind, place] += (shown - truth).square().flatten(1).mean(1) / 2
    means = found.mean(2).tolist()
    return RotationErrors(tuple(steps), tuple(means[0]), tuple(means[1]), found[0], found[1])


def turn_figure(
    model: Any,
    guide: Program,
    images: Tensor,
    actions: Tensor,
    *,
    truth: Tensor | None = None,
    names: Sequence[str] = (),
    seed: int = 0,
) -> Figure:
    """Show views at the left and what actions turn them into, with the true views beneath.

    Args:
        model: The generative program.
        guide: The inference program.
        images: Views `(R, C, H, W)`, a row each.
        actions: `(R, N)`, one after the other, a column each.
        truth: True views `(R, N, C, H, W)` after each action.
        names: Name of each column, such as an angle.
        seed: Seed of what has to be sampled.
    """
    drawn = turned(model, guide, images, actions, seed=seed)
    views = images.detach().cpu().clamp(0, 1)
    rows = [torch.cat([views.unsqueeze(1), drawn], 1)]
    if truth is not None:
        below = torch.cat([torch.ones_like(views).unsqueeze(1), truth.cpu().clamp(0, 1)], 1)
        rows.append(below)
    cells = torch.stack(rows, 1).flatten(0, 2)
    figure = image_figure(
        cells,
        actions.shape[1] + 1,
        gap=GAP,
        title="Views turned by actions",
        columns_named=["view", *names] if names else [],
        x="turned, and the true views beneath" if truth is not None else "turned",
    )
    rule(figure, cells, columns=1)
    return figure


def turn_animation(
    model: Any,
    guide: Program,
    images: Tensor,
    actions: Tensor,
    *,
    path: str | Path,
    truth: Tensor | None = None,
    seconds: float = 4.0,
    seed: int = 0,
) -> Path:
    """Write a looping film of objects that turn, side by side, with the true views beneath.

    Args:
        model: The generative program.
        guide: The inference program.
        images: Views `(R, C, H, W)`, a column each.
        actions: `(R, N)`, a picture each.
        path: The file, `.gif` or `.webp`; replaced where it exists, whole or not at all.
        truth: True views `(R, N, C, H, W)` after each action.
        seconds: Duration of all actions together.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If the name does not end in `.gif` or `.webp`.
        OSError: If the file cannot be written.
    """
    path = film_path(path)
    drawn = turned(model, guide, images, actions, seed=seed)
    shown = drawn if truth is None else torch.cat([drawn, truth.cpu().clamp(0, 1)])
    grids = [image_grid(frame, len(images)) for frame in shown.unbind(1)]
    write_atomically(path, film_bytes(torch.stack(grids), seconds, path))
    return path
