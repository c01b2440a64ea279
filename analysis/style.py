"""The look of all figures. They are made without pyplot, so none stays open."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito's colours, which colour-blind readers tell apart; lines differ in dash as well.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
WIDTH = 5.2
DPI = 150


def chart(rows: int = 1, height: float = 2.9) -> tuple[Figure, list[Axes]]:
    """Return a figure with one chart per row, each `height` inches high."""
    figure = Figure(figsize=(WIDTH, rows * height), dpi=DPI, layout="constrained")
    axes = list(figure.subplots(rows, 1, squeeze=False)[:, 0])
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.grid(axis="y", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, axes


def label(axis: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Title a chart and name its axes; a `$` in them stays a `$`."""
    axis.set_title(title, fontsize=10, loc="left", parse_math=False)
    axis.set_xlabel(x, fontsize=9, parse_math=False)
    axis.set_ylabel(y, fontsize=9, parse_math=False)
