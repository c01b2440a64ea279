"""What loss hooks did along a training: their penalties, and how well their critics judged."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from .evaluation import known
from .style import BLUE, ORANGE, chart, label

Points = tuple[list[float], list[float]]


def hook_curves(history: Sequence[Mapping[str, Any]], hooks: Sequence[str]) -> Figure:
    """Draw each hook's penalty against the step, and the accuracy of its critic if it has one.

    Args:
        history: Rows with `step` and, by hook, `NAME` in nats per datum and `NAME_accuracy`, a
            share; missing or infinite values leave a gap.
        hooks: Names of the hooks; those without a value are left out.

    Raises:
        ValueError: If no hook has a finite value.
    """
    panels = hook_panels(history, hooks)
    if not panels:
        raise ValueError(
            f"history has {len(history)} rows without a value of {', '.join(hooks) or 'a hook'}; "
            "expected at least one. Train with hooks, or leave the chart out."
        )
    figure, axes = chart(rows=len(panels), height=2.3)
    for axis, (name, (steps, values), is_share) in zip(axes, panels, strict=True):
        axis.plot(steps, values, color=ORANGE if is_share else BLUE, marker=".", markersize=3)
        if is_share:
            axis.set_ylim(0, 1)
            label(axis, title=f"{name}: accuracy of its critic", x="step", y="share")
        else:
            label(axis, title=f"{name}: penalty", x="step", y="nats per datum")
    return figure


def hook_panels(
    history: Sequence[Mapping[str, Any]], hooks: Sequence[str]
) -> list[tuple[str, Points, bool]]:
    """Name, steps and values of each chart that there is, and whether it is of an accuracy."""
    panels = []
    for name in hooks:
        for key, is_share in ((name, False), (f"{name}_accuracy", True)):
            found = [
                (row["step"], row[key])
                for row in history
                if known(row.get("step")) and known(row.get(key))
            ]
            if found:
                steps, values = zip(*found, strict=True)
                panels.append((name, (list(steps), list(values)), is_share))
    return panels
