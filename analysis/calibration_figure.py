"""How far the ranks of simulation-based calibration are from uniform."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from unbraid.inference import Calibration

from .calibration_words import FALSE_ALARM, FINE, calibration_verdicts
from .style import BLUE, GREY, ORANGE, chart, label

NAMED = 8  # refuted coordinates that a legend names


def calibration_figure(calibration: Calibration, false_alarm: float = FALSE_ALARM) -> Figure:
    """Draw, for every coordinate, the ranks' distribution less the uniform one.

    A guide that is too narrow rises and then falls, one too wide the other way round, one that
    leans bends to one side. Coordinates that `calibration_verdicts` refute, by a test of their
    own, are drawn in orange and named; within the grey band uniform ranks of one coordinate stay
    but with probability `false_alarm`.

    Args:
        calibration: Ranks.
        false_alarm: Of the band, and that any coordinate of an exact guide is called wrong, in
            (0, 1).
    """
    band, draws = calibration.band(false_alarm), calibration.draws
    figure, axes = chart(rows=len(calibration.ranks), height=2.6)
    refuted = {
        (verdict.site, verdict.coordinate)
        for verdict in calibration_verdicts(calibration, false_alarm)
        if verdict.words != FINE
    }
    steps = np.arange(draws + 1)
    uniform = (steps + 1) / (draws + 1)
    with matplotlib.rc_context({"text.parse_math": False}):
        for axis, (name, ranks) in zip(axes, calibration.ranks.items(), strict=True):
            axis.axhspan(-band, band, color=GREY, alpha=0.25, linewidth=0)
            axis.axhline(0.0, color=GREY, linewidth=0.8)
            named = 0
            for k, column in enumerate(ranks.T):
                counts = np.bincount(column, minlength=draws + 1)
                apart = counts.cumsum() / len(column) - uniform
                if (name, k) not in refuted:
                    axis.plot(steps, apart, color=BLUE, linewidth=0.8)
                    continue
                named += 1
                shown = f"{name} {k}" if named <= NAMED else None
                dash = ("-", "--", ":", "-.")[(named - 1) % 4]
                axis.plot(steps, apart, dash, color=ORANGE, linewidth=1.2, label=shown)
            if named:
                axis.legend(fontsize=7, frameon=False, ncols=2)
            total = ranks.shape[1]
            told = f"{named} of {total} coordinates of {name} are refuted"
            label(axis, title=told, x=f"rank among {draws} draws", y="share less uniform")
    return figure
