"""Bars of what static and dynamic codes know, against what is told without a look at them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .leakage_result import Codes, Leakage, Probe
from .probes import fitted_name
from .style import BLUE, ORANGE, chart, label

_COLOURS: dict[Codes, str] = {"static": BLUE, "dynamic": ORANGE}
_WIDTH = 0.36
_LONGEST_NAME = 14


def leakage_figure(leakage: Leakage) -> Figure:
    """Draw the score of each factor, told from static and from dynamic codes.

    Classes and continuous factors have a chart each. Errors are one standard error; a line across
    a bar is the share of the largest class in the test data, and 0 for R^2. R^2 below -0.2 is cut
    off.

    Args:
        leakage: What the probes found.
    """
    kinds = [kind for kind in (True, False) if any(p.discrete is kind for p in leakage.probes)]
    figure, axes = chart(rows=len(kinds))
    for axis, discrete in zip(axes, kinds, strict=True):
        probes = [probe for probe in leakage.probes if probe.discrete is discrete]
        factors = list(dict.fromkeys((probe.about, probe.factor) for probe in probes))
        for side, codes in zip((-0.5, 0.5), _COLOURS, strict=True):
            _bars(axis, [p for p in probes if p.codes == codes], factors, side * _WIDTH, codes)
        names = [f"{_short(name)}\n({about})" for about, name in factors]
        axis.set_xticks(range(len(factors)), labels=names, fontsize=8 if len(names) < 7 else 6)
        axis.set_xlim(-0.6, max(len(factors), 3) - 0.4)
        axis.set_ylim(0.0 if discrete else -0.2, 1.05)
        told = "Classes" if discrete else "Numbers"
        probe = fitted_name(leakage.probe, discrete)
        title = f"{told} that a probe ({probe}) tells from codes"
        label(axis, title=title, y="test accuracy" if discrete else "test R²")
        axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _bars(
    axis: Axes,
    probes: Sequence[Probe],
    factors: Sequence[tuple[str, str]],
    shift: float,
    codes: Codes,
) -> None:
    places = np.array([factors.index((probe.about, probe.factor)) for probe in probes]) + shift
    axis.bar(
        places,
        [probe.score for probe in probes],
        _WIDTH,
        yerr=[probe.standard_error for probe in probes],
        color=_COLOURS[codes],
        ecolor="black",
        capsize=2,
        label=codes,
    )
    axis.hlines(
        [probe.chance for probe in probes],
        places - _WIDTH / 2,
        places + _WIDTH / 2,
        color="black",
        linewidth=1.2,
        label="without codes" if codes == "dynamic" else "",
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
