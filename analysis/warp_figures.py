"""Pictures of warps themselves: how they are spread, and what they do to a lattice."""

import math

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from unbraid.transforms import Transform, extent_of

from .style import BLUE, DPI, GREY, WIDTH, label
from .warp_parts import decompose

BINS = 24
LINES, POINTS = 9, 49
COLUMNS, FEWEST_COLUMNS = 5, 3
LARGEST_REACH = 2.5
NAMES = {
    "rotation": "rotation, degrees clockwise",
    "scale": "scale, 1 for none",
    "stretch": "stretch, times more in x than in y",
    "shear": "shear along the falling diagonal",
    "shift_x": "shift to the right, pixels",
    "shift_y": "shift down, pixels",
    "deformation": "deformation, pixels (RMS)",
}


def gamma_figure(transform: Transform, gamma: Tensor, height: int, width: int) -> Figure:
    """Draw how rotation, scale, stretch, shear, shifts and deformation are spread over warps.

    What is the same in all warps, such as the shift of rotations, is left out.

    Args:
        transform: The warp, of images.
        gamma: Its parameters `(N, P)`, at least one row.
        height: Rows `H` of the images, at least 2.
        width: Columns `W` of the images, at least 2.

    Raises:
        ValueError: If there are no warps, or as `decompose`.
    """
    parts = decompose(transform, _rows(gamma), height, width)
    varied = {name: values for name, values in parts.items() if _varies(values)} or parts
    columns = min(2, len(varied))
    rows = -(-len(varied) // columns)
    figure = Figure(figsize=(WIDTH, 0.4 + 1.35 * rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, values) in zip(axes, varied.items(), strict=False):
        axis.hist(values.tolist(), bins=BINS, color=BLUE)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.set_yticks([])
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.tick_params(labelsize=8)
        label(axis, x=f"{NAMES[name]}\n{_mean_and_deviation(values)}")
        axis.xaxis.label.set_fontsize(8)
    for axis in axes[len(varied) :]:
        axis.set_visible(False)
    figure.suptitle(
        f"{len(gamma)} warps (mean ± standard deviation)", x=0.01, ha="left", fontsize=10
    )
    return figure


def deformation_figure(transform: Transform, gamma: Tensor, height: int, width: int) -> Figure:
    """Draw what warps do to a lattice of lines; the frame of the image is grey.

    Args:
        transform: The warp, of images.
        gamma: Its parameters `(N, P)`, a few rows.
        height: Rows `H` of the images, at least 2.
        width: Columns `W` of the images, at least 2.

    Raises:
        ValueError: If there are no warps, or as `decompose`.
    """
    parts = decompose(transform, _rows(gamma), height, width)
    extent = extent_of(height, width)
    lines = lattice(*extent).to(gamma)
    moved = transform.points(lines.flatten(0, 1), gamma.detach()).unflatten(-2, lines.shape[:2])
    columns = min(COLUMNS, max(FEWEST_COLUMNS, len(gamma)))
    rows = -(-len(gamma) // columns)
    x, y = (_reach(moved[..., k], extent[k]) for k in range(2))
    cell = WIDTH / columns
    figure = Figure(
        figsize=(WIDTH, (cell * y / x + 0.3) * rows + 0.3), dpi=DPI, layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
        axis.set(xlim=(-x, x), ylim=(y, -y), aspect="equal")
    for i, axis in zip(range(len(gamma)), axes, strict=False):
        _draw(axis, moved[i], extent)
        turn, scale = float(parts["rotation"][i]), float(parts["scale"][i])
        axis.set_title(f"{turn:+z.0f}°, {scale:.2f}x", fontsize=8)
    figure.suptitle("Warped lattice: rotation clockwise, scale", x=0.01, ha="left", fontsize=10)
    return figure


def lattice(x: float, y: float) -> Tensor:
    """Return the points of lines along y, then of lines along x, `(2 * 9, 49, 2)`.

    Args:
        x: How far the lattice reaches from the centre in x.
        y: The same in y.
    """
    ends, along = torch.linspace(-1, 1, LINES), torch.linspace(-1, 1, POINTS)
    across, down = torch.meshgrid(ends, along, indexing="ij")
    upright = torch.stack([across, down], -1)
    return torch.cat([upright, upright.flip(-1)]) * torch.tensor([x, y])


def _reach(moved: Tensor, extent: float) -> float:
    """How far from the centre one coordinate is drawn: to the farthest line, within reason."""
    return min(max(1.1 * extent, 1.05 * float(moved.abs().max())), LARGEST_REACH * extent)


def _draw(axis: Axes, lines: Tensor, extent: tuple[float, float]) -> None:
    x, y = extent
    axis.plot([-x, x, x, -x, -x], [-y, -y, y, y, -y], color=GREY, linewidth=0.8)
    axis.add_collection(LineCollection(list(lines.cpu().numpy()), colors=BLUE, linewidths=0.7))


def _rows(gamma: Tensor) -> Tensor:
    if gamma.dim() != 2 or len(gamma) == 0:
        raise ValueError(
            f"gamma is {tuple(gamma.shape)}; expected (N, P) with at least one row. "
            "Take the gamma of an alignment."
        )
    return gamma


def _mean_and_deviation(values: Tensor) -> str:
    """Both with two digits of the deviation."""
    mean, deviation = float(values.mean()), float(values.std(correction=0))
    places = max(0, 1 - math.floor(math.log10(deviation))) if deviation > 0 else 2
    return f"{mean:z.{places}f} ± {deviation:.{places}f}"


def _varies(values: Tensor) -> bool:
    return bool(values.max() - values.min() > 1e-4) and math.isfinite(float(values.sum()))
