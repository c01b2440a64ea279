"""The graphs of a pair, model and guide, drawn with their plates."""

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Rectangle

from unbraid.inference import Program

from .model_graph import Node, model_graph
from .style import DPI, WIDTH

# Inches.
ROW, SPACE, HEIGHT, LETTER, SMALL = 0.86, 0.3, 0.44, 0.082, 0.051
MARGIN, NAME, TITLE, FOOT, BETWEEN = 0.14, 0.17, 0.35, 0.25, 0.35
WIDEST = 6.4
SHADE = "#d5d5d5"
PLATE = "#777777"
NOTE = "shaded: observed.  box: given.  frame: once for each."


@dataclass(frozen=True)
class Laid:
    """Where things stand, in inches from the upper left, y down.

    Attributes:
        nodes: The nodes, with centre and width `(x, y, w)`, by name.
        plates: Name and `(left, top, right, bottom)` of each frame, the outer ones first.
        size: Width and height of all.
    """

    nodes: dict[str, tuple[float, float, float]]
    plates: tuple[tuple[str, tuple[float, float, float, float]], ...]
    size: tuple[float, float]


def graph_figure(model: Program, guide: Program | None, *args: Any, **kwargs: Any) -> Figure:
    """Draw what the sites of a model depend on, and those of its guide, with their plates.

    Both programs run once; see `model_graph`. Nothing beside Matplotlib is needed, as it is for
    `pyro.render_model`.

    Args:
        model: The generative program.
        guide: The inference program, or None to draw the model alone.
        *args: The arguments of both.
        **kwargs: Further arguments of the model, such as `size`.
    """
    p = model_graph(model, *args, **kwargs)
    panels = [("model p", p)]
    if guide is not None:
        plates = {node.name: node.plates for node in p}
        q = model_graph(guide, *args)
        # An observed site of p is an argument of q, and as often there.
        placed = [
            replace(n, plates=plates.get(n.name, n.plates)) if n.kind == "given" else n for n in q
        ]
        panels.append(("guide q", tuple(placed)))
    laid = [laid_out(nodes) for _, nodes in panels]
    corners, (width, height) = _placed([part.size for part in laid])
    figure = Figure(figsize=(width, height), dpi=DPI)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.set(xlim=(0, width), ylim=(height, 0))
    for (title, nodes), part, (left, top) in zip(panels, laid, corners, strict=True):
        axis.text(left, top - TITLE + 0.2, title, fontsize=10, va="center", parse_math=False)
        _draw(axis, nodes, part, left, top)
    note = {"fontsize": 7, "color": PLATE, "va": "center"}
    axis.text(BETWEEN / 2, height - 0.12, NOTE, **note)
    return figure


def _placed(
    sizes: list[tuple[float, float]],
) -> tuple[list[tuple[float, float]], tuple[float, float]]:
    """Upper left corners of panels, and the figure's size: side by side where they fit."""
    widths, heights = zip(*sizes, strict=True)
    across = sum(widths) + BETWEEN * len(sizes)
    left, top = BETWEEN / 2, TITLE
    corners = []
    for width, height in sizes:
        corners.append((left, top))
        if across <= WIDEST:
            left += width + BETWEEN
        else:
            top += height + TITLE
    if across <= WIDEST:
        return corners, (max(across, WIDTH), TITLE + max(heights) + FOOT)
    return corners, (max(max(widths) + BETWEEN, WIDTH), top + FOOT - TITLE)


def laid_out(nodes: tuple[Node, ...]) -> Laid:
    """Place nodes: parents above their children, those of the same plates in one column.

    Args:
        nodes: As `model_graph` returns them, parents before their children.
    """
    depth: dict[str, int] = {}
    for node in nodes:
        depth[node.name] = max((depth[p] + 1 for p in node.parents if p in depth), default=0)
    widths = {node.name: _width(node) for node in nodes}
    plates = {node.name: node.plates for node in nodes}
    # Frames within each other add their margins.
    levels = max(map(len, plates.values()), default=0)
    groups = sorted(dict.fromkeys(plates.values()), key=lambda group: (len(group), group))
    centres: dict[str, tuple[float, float, float]] = {}
    columns: dict[tuple[str, ...], tuple[float, float]] = {}
    x = levels * MARGIN
    for group in groups:
        members = sorted((n.name for n in nodes if n.plates == group), key=lambda n: depth[n])
        rows = [list(row) for _, row in groupby(members, key=lambda n: depth[n])]
        spans = [sum(widths[n] for n in row) + SPACE * (len(row) - 1) for row in rows]
        for row, span in zip(rows, spans, strict=True):
            place = x + (max(spans) - span) / 2
            for name in row:
                y = levels * MARGIN + HEIGHT / 2 + ROW * depth[name]
                centres[name] = (place + widths[name] / 2, y, widths[name])
                place += widths[name] + SPACE
        columns[group] = (x, x + max(spans))
        x += max(spans) + SPACE + 2 * MARGIN
    frames = tuple(_frames(groups, columns, centres, plates))
    bottom = max((box[3] for _, box in frames), default=0)
    bottom = max([bottom, *(y + HEIGHT / 2 for _, y, _ in centres.values())])
    right = max([b[2] for _, b in frames] + [x - SPACE - 2 * MARGIN])
    return Laid(centres, frames, (right, bottom + 0.05))


def _frames(
    groups: list[tuple[str, ...]],
    columns: dict[tuple[str, ...], tuple[float, float]],
    centres: dict[str, tuple[float, float, float]],
    plates: dict[str, tuple[str, ...]],
) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Frames around neighbouring columns; a plate whose columns are apart has several."""
    found = []
    names = list(dict.fromkeys(plate for group in groups for plate in group))
    for plate in names:
        inside = [plate in group for group in groups]
        places = [i for i, is_in in enumerate(inside) if is_in]
        runs = np.split(np.array(places), np.flatnonzero(np.diff(places) > 1) + 1)
        for run in runs:
            held = [groups[i] for i in run.tolist()]
            deeper = max(len(group) - group.index(plate) for group in held)
            ys = [centres[n][1] for n, group in plates.items() if group in held]
            pad = deeper * MARGIN
            box = (
                columns[held[0]][0] - pad,
                min(ys) - HEIGHT / 2 - pad,
                columns[held[-1]][1] + pad,
                max(ys) + HEIGHT / 2 + deeper * NAME,
            )
            found.append((plate, box))
    return found


def _draw(axis: Axes, nodes: tuple[Node, ...], laid: Laid, left: float, top: float) -> None:
    for name, (x0, y0, x1, y1) in laid.plates:
        corner = FancyBboxPatch(
            (left + x0, top + y0), x1 - x0, y1 - y0,
            boxstyle="round,pad=0,rounding_size=0.08", fill=False, edgecolor=PLATE, linewidth=0.8,
        )  # fmt: skip
        axis.add_patch(corner)
        axis.text(
            left + x1 - 0.06, top + y1 - 0.04, name, fontsize=7, color=PLATE, ha="right",
            va="bottom", parse_math=False,
        )  # fmt: skip
    shapes: dict[str, Any] = {}
    for node in nodes:
        x, y, width = laid.nodes[node.name]
        look = {
            "facecolor": "white" if node.kind == "latent" else SHADE,
            "edgecolor": "black",
            "linewidth": 0.9,
            "zorder": 3,
        }
        centre = (left + x, top + y)
        if node.kind == "given":
            corner = (centre[0] - width / 2, centre[1] - HEIGHT / 2)
            shapes[node.name] = Rectangle(corner, width, HEIGHT, **look)
        else:
            shapes[node.name] = Ellipse(centre, width, HEIGHT, **look)
        axis.add_patch(shapes[node.name])
        lift = 0.06 if node.distribution else 0.0
        text = {"ha": "center", "va": "center", "zorder": 4, "parse_math": False}
        axis.text(centre[0], centre[1] - lift, node.name, fontsize=8, **text)
        axis.text(centre[0], centre[1] + 0.1, node.distribution, fontsize=6, color=PLATE, **text)
    for node in nodes:
        for parent in node.parents:
            _arrow(axis, laid, (parent, node.name), shapes, np.array([left, top]))


def _arrow(
    axis: Axes, laid: Laid, edge: tuple[str, str], shapes: dict[str, Any], corner: np.ndarray
) -> None:
    start, end = (np.array(laid.nodes[name][:2]) for name in edge)
    others = [place for name, place in laid.nodes.items() if name not in edge]
    parent, child = edge
    axis.add_patch(
        FancyArrowPatch(
            tuple((start + corner).tolist()),
            tuple((end + corner).tolist()),
            patchA=shapes[parent],
            patchB=shapes[child],
            connectionstyle=f"arc3,rad={bend(start, end, others)}",
            arrowstyle="-|>",
            mutation_scale=9,
            linewidth=0.9,
            color="black",
            shrinkA=0,
            shrinkB=1,
            zorder=2,
        )
    )


def bend(start: np.ndarray, end: np.ndarray, others: list[tuple[float, float, float]]) -> float:
    """Return how far an arrow bends, as a share of its length, so that it crosses no node.

    Args:
        start: Where it starts, `(x, y)`.
        end: Where it ends.
        others: Centres and widths `(x, y, w)` of the nodes that it may not cross.
    """
    share = np.linspace(0, 1, 60)[:, None]
    line = (1 - share) * start + share * end
    needed = 0.0
    for x, y, width in others:
        inside = ((line[:, 0] - x) / (width / 2)) ** 2 + ((line[:, 1] - y) / (HEIGHT / 2)) ** 2
        if inside.min() < 1.1:
            # At a share t of the way, an arc is off the line by 2 t (1 - t) of its bend.
            t = float(share[inside.argmin(), 0])
            length = float(np.hypot(*(end - start)))
            needed = max(needed, (width / 2 + 0.1) / (2 * t * (1 - t) * length))
    return -needed


def _width(node: Node) -> float:
    letters = max(LETTER * len(node.name), SMALL * len(node.distribution))
    return max(0.55, letters + 0.28)
