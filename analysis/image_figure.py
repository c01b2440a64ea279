"""A grid of images as a labelled figure whose size follows from the images."""

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from .images import image_grid, to_pixels
from .style import DPI, WIDTH, label

# Inches.
LARGEST_CELL = 0.6
TITLE, TICKS, NAME, EDGE = 0.32, 0.22, 0.22, 0.06
LETTER, LINE = 0.075, 0.14


def image_figure(
    images: Tensor,
    columns: int,
    *,
    title: str,
    rows: Sequence[str] = (),
    columns_named: Sequence[str] = (),
    x: str = "",
    y: str = "",
    gap: int = 2,
) -> Figure:
    """Draw images `(N, C, H, W)` in [0, 1] as a grid.

    Args:
        images: The images, row by row.
        columns: Number of images per row.
        title: Title above the grid.
        rows: Name of each row; none unless given.
        columns_named: Name of each column, below the grid, of one line or more; none unless given.
        x: What the columns are, below their names.
        y: What the rows are, left of their names.
        gap: Pixels between two images.
    """
    height, width = images.shape[-2:]
    grid = image_grid(images, columns, gap)
    left = EDGE + LETTER * max((len(name) for name in rows), default=0) + (NAME if y else 0)
    further_lines = max((name.count("\n") for name in columns_named), default=0)
    ticks = TICKS + LINE * further_lines if columns_named else 0
    bottom = EDGE + ticks + (NAME if x else 0)
    # The longer side of a cell is bounded, so that tall or few images do not fill a screen.
    cell = min((WIDTH - left - EDGE) / columns, LARGEST_CELL * min(1.0, width / height))
    across = cell * columns
    down = across * grid.shape[-2] / grid.shape[-1]
    figure_width = left + max(across, LETTER * max(len(title), len(x))) + EDGE
    figure_height = bottom + down + TITLE
    figure = Figure(figsize=(figure_width, figure_height), dpi=DPI)
    axis = figure.add_axes(
        (
            left / figure_width,
            bottom / figure_height,
            across / figure_width,
            down / figure_height,
        )
    )
    axis.imshow(to_pixels(grid), cmap="gray", vmin=0, vmax=255, aspect="auto")
    axis.spines[:].set_visible(False)
    label(axis, title=title, x=x, y=y)
    axis.xaxis.label.set(x=0, horizontalalignment="left")
    _name(axis.set_xticks, columns_named, width, gap)
    _name(axis.set_yticks, rows, height, gap)
    axis.tick_params(length=0, labelsize=8, pad=2)
    return figure


def _name(set_ticks: Callable[..., object], names: Sequence[str], size: int, gap: int) -> None:
    centres = [i * (size + gap) + (size - 1) / 2 for i in range(len(names))]
    set_ticks(centres, labels=list(names), parse_math=False)
