"""Colours and marks of classes that colour-blind readers tell apart, and of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from .score_inputs import Values, are_classes, host_array
from .style import GREY

# Okabe & Ito's, without yellow, which is faint on white. Further classes differ in the mark.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKS = ("o", "^", "s")
MOST_CLASSES = len(COLOURS) * len(MARKS)
UNKNOWN = -1
SCALE = "viridis"


@dataclass(frozen=True)
class Shown:
    """A class in a picture: which data are of it, and how they look."""

    name: str
    rows: NDArray[np.bool_]
    colour: str
    mark: str


def are_few_classes(labels: Values) -> bool:
    """Return whether labels are classes that can be told apart by colour and mark."""
    if not are_classes(labels):
        return False
    return len(np.unique(host_array(labels))) <= MOST_CLASSES


def shown_classes(labels: Values, names: Sequence[str] = ()) -> list[Shown]:
    """Return the classes that there are, those whose class is not known first.

    Args:
        labels: Integers `(N,)`, -1 where unknown.
        names: Name of each class from 0; its number unless given.
    """
    values = host_array(labels).astype(np.int64)
    found = []
    for value in np.unique(values).tolist():
        rows = values == value
        if value == UNKNOWN:
            found.append(Shown("unknown", rows, GREY, "o"))
            continue
        name = str(names[value]) if 0 <= value < len(names) else str(value)
        colour = COLOURS[value % len(COLOURS)]
        found.append(Shown(name, rows, colour, MARKS[value // len(COLOURS) % len(MARKS)]))
    return found


def scatter_points(
    axis: Axes,
    points: NDArray[np.floating],
    labels: Values | None,
    *,
    names: Sequence[str] = (),
    title: str = "label",
    size: float = 9,
) -> None:
    """Draw points `(N, 2)` coloured by their labels, with a legend or a bar beside them.

    Args:
        axis: Where; its figure has a constrained layout.
        points: `(N, 2)`.
        labels: Classes, integers `(N,)`, or numbers; one colour unless given.
        names: Names of the classes.
        title: What the labels are.
        size: Area of a point, in squares of typographic points.
    """
    common: dict[str, Any] = {"s": size, "alpha": 0.7, "linewidths": 0}
    if labels is None:
        axis.scatter(points[:, 0], points[:, 1], color=COLOURS[0], **common)
    elif are_few_classes(labels):
        entries = []
        for shown in shown_classes(labels, names):
            x, y = points[shown.rows].T
            axis.scatter(x, y, color=shown.colour, marker=shown.mark, **common)
            dot = {"marker": shown.mark, "linestyle": "", "markersize": 4}
            entries.append(Line2D([], [], color=shown.colour, label=_plain(shown.name), **dot))
        legend = axis.legend(
            handles=entries, loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False,
            handletextpad=0.2, borderaxespad=0.2, title=_plain(title), title_fontsize=8,
        )  # fmt: skip
        legend.get_title().set_horizontalalignment("left")
    else:
        values = host_array(labels).astype(np.float64)
        drawn = axis.scatter(points[:, 0], points[:, 1], c=values, cmap=SCALE, **common)
        bar = axis.figure.colorbar(drawn, ax=axis, shrink=0.8)
        bar.set_label(title, fontsize=8, parse_math=False)
        bar.ax.tick_params(labelsize=8)


def _plain(text: str) -> str:
    return text.replace("$", r"\$")
