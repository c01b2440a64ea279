"""A comparison of runs as one self-contained page."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from .comparison import Comparison
from .comparison_formats import HEADINGS, comparison_rows, table_columns
from .evaluation import known
from .images import data_uri
from .pages import figure_png, template
from .style import BLUE, GREY, ORANGE, chart, label

LONGEST = 24


def comparison_chart(comparison: Comparison) -> Figure:
    """Draw each run's log p(x), and its difference where there is one, with two standard errors.

    Raises:
        ValueError: If no run has a finite log p(x).
    """
    rows = [row for row in comparison.rows if known(row.run.evaluation.get("log_likelihood"))]
    if not rows:
        raise ValueError(
            f"none of the {len(comparison.rows)} runs has a finite log p(x); expected at least one"
        )
    names = [_short(row.run.name) for row in rows]
    places = np.arange(len(rows))[::-1]
    apart = any(row.difference is not None for row in rows)
    figure, axes = chart(rows=2 if apart else 1)
    values = [row.run.evaluation.get("log_likelihood") or 0.0 for row in rows]
    errors = [2 * (row.run.evaluation.get("log_likelihood_se") or 0.0) for row in rows]
    with matplotlib.rc_context({"text.parse_math": False}):
        axes[0].errorbar(values, places, xerr=errors, fmt="o", color=BLUE, capsize=3)
        axes[0].set_yticks(places, names)
        label(axes[0], title="log p(x), two standard errors", x=f"nats per {comparison.datum}")
        if apart:
            for place, row in zip(places, rows, strict=True):
                told = row.difference
                if told is not None:
                    axes[1].errorbar(
                        told.mean, place, xerr=2 * told.standard_error,
                        fmt="o", color=ORANGE, capsize=3,
                    )  # fmt: skip
            axes[1].axvline(0.0, color=GREY, linewidth=1)
            axes[1].set_yticks(places, names)
            label(
                axes[1],
                title=f"Difference from {_short(comparison.against)}, paired",
                x=f"nats per {comparison.datum}",
            )
    for axis in axes:
        axis.set_ylim(-0.5, len(rows) - 0.5)
    return figure


def comparison_page(comparison: Comparison, title: str = "Comparison of runs") -> str:
    """Return a page without scripts or remote assets: table, chart, scores of codes, notes."""
    drawn = None
    if any(known(row.run.evaluation.get("log_likelihood")) for row in comparison.rows):
        drawn = data_uri(figure_png(comparison_chart(comparison)))
    columns, scores = table_columns(comparison)
    return template("comparison.html").render(
        title=title,
        headings=HEADINGS,
        rows=comparison_rows(comparison),
        against=comparison.against,
        datum=comparison.datum,
        notes=comparison.notes,
        chart=drawn,
        score_headings=columns,
        scores=scores,
    )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
