"""Charts of numbers: training curves, divergence by dimension, bounds against samples."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter
from torch import Tensor

from .evaluation import Evaluation, bounds, known
from .style import BLUE, GREY, ORANGE, chart, label

LABELLED_BARS = 32
FEWEST_PLACES = 8
NOT_A_LIKELIHOOD = "not a likelihood"
Curves = dict[str, tuple[list[float], list[float]]]
"""Steps and values, by `training` and `validation`."""
LINES: dict[str, dict[str, Any]] = {
    "training": {"color": BLUE, "linestyle": "-", "marker": "."},
    "validation": {"color": ORANGE, "linestyle": "--", "marker": "o"},
}


def training_curves(
    history: Sequence[Mapping[str, Any]], *, is_likelihood: bool = True, datum: str = "image"
) -> Figure:
    """Draw loss and evidence lower bound against the step.

    The loss has a chart of its own only where it is not the negative bound, that is, with weights
    or hooks. The first twentieth of the steps sets no limits, so that later gains can be seen.

    Args:
        history: Rows with `step` and any of `loss`, `elbo`, `validation_loss` and
            `validation_elbo`, in nats per datum; missing or infinite values leave a gap.
        is_likelihood: False labels the numbers as no likelihood.
        datum: What one datum is called.

    Raises:
        ValueError: If no row has a finite value to draw.
    """
    panels = training_panels(history)
    if not panels:
        raise ValueError(
            f"history has {len(history)} rows with no loss or elbo; expected at least one value. "
            "Train first, or leave the chart out."
        )
    unit = f"nats per {datum}" if is_likelihood else f"nats per {datum}, {NOT_A_LIKELIHOOD}"
    figure, axes = chart(rows=len(panels))
    for axis, (name, curves) in zip(axes, panels, strict=True):
        for curve, (steps, values) in curves.items():
            axis.plot(steps, values, label=curve, markersize=3, **LINES[curve])
        axis.set_ylim(*_limits(curves))
        axis.legend(fontsize=8, frameon=False)
        label(axis, title=name, x="step", y=unit)
    return figure


def training_panels(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, Curves]]:
    """Return title and curves of each chart that a history allows; none where it has no value."""
    bound, loss = _curves(history, "elbo"), _curves(history, "loss")
    panels = [("Evidence lower bound", bound)] if bound else []
    if loss and not _mirrors(loss, bound):
        panels.append(("Loss (minimised)", loss))
    return panels


def kl_chart(kl: Mapping[str, Tensor], active: Mapping[str, Tensor] | None = None) -> Figure:
    """Draw the divergence of each latent dimension, the largest first.

    Args:
        kl: Nats by dimension `(K,)`, by site, as `kl_per_dimension` returns them.
        active: Which dimensions are active, bool `(K,)`, by site, as `active_units` returns them;
            inactive ones are hatched.

    Raises:
        ValueError: If there are no sites.
    """
    if not kl:
        raise ValueError("kl is empty; expected at least one site. Give a pair with latent sites.")
    figure, axes = chart(rows=len(kl), height=2.6)
    for axis, (name, nats) in zip(axes, kl.items(), strict=True):
        flags = (active or {}).get(name)
        _bars(axis, nats, flags if flags is not None and len(flags) == len(nats) else None)
        label(axis, title=_kl_title(name, nats, flags), x=f"dimension of {name}", y="KL (nats)")
    return figure


def bounds_curve(evaluation: Evaluation, datum: str = "image") -> Figure:
    """Draw the importance-sampled bound L_K against the number K of samples.

    Args:
        evaluation: With `by_samples`; its ends have bars of one standard error over the data.
        datum: What one datum is called.

    Raises:
        ValueError: If there is no finite bound.
    """
    drawn = [bound for bound in bounds(evaluation) if known(bound.value)]
    if not drawn:
        raise ValueError(
            "evaluation has no finite bound in by_samples; expected at least one. "
            "Evaluate the model first, or leave the chart out."
        )
    samples = [bound.samples for bound in drawn]
    values = [bound.value or 0.0 for bound in drawn]
    errors = [bound.error if known(bound.error) else nan for bound in drawn]
    figure, (axis,) = chart()
    axis.errorbar(samples, values, errors, color=BLUE, marker="o", ms=4, capsize=3)
    axis.set_xscale("log")
    axis.set_xticks(samples)
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    unit = f"nats per {datum}"
    if not evaluation.get("is_likelihood", True):
        unit += f", {NOT_A_LIKELIHOOD}"
    label(axis, title="Bound by number of importance samples", x="samples K", y=f"L_K ({unit})")
    return figure


def _curves(history: Sequence[Mapping[str, Any]], name: str) -> Curves:
    """Steps and finite values of the training and validation curves that there are."""
    curves = {}
    for curve, key in (("training", name), ("validation", f"validation_{name}")):
        points = [
            (row["step"], row[key])
            for row in history
            if known(row.get("step")) and known(row.get(key))
        ]
        if points:
            steps, values = zip(*points, strict=True)
            curves[curve] = (list(steps), list(values))
    return curves


def _mirrors(loss: Curves, bound: Curves) -> bool:
    """Whether the loss is the negative bound, up to rounding."""
    return loss.keys() <= bound.keys() and all(
        steps == bound[curve][0] and np.allclose(values, np.negative(bound[curve][1]), rtol=1e-4)
        for curve, (steps, values) in loss.items()
    )


def _limits(curves: Curves) -> tuple[float, float]:
    last = max(steps[-1] for steps, _ in curves.values())
    late = [
        value
        for steps, values in curves.values()
        for step, value in zip(steps, values, strict=True)
        if step >= last / 20
    ]
    margin = 0.05 * (max(late) - min(late)) or 1.0
    return min(late) - margin, max(late) + margin


def _bars(axis: Axes, nats: Tensor, active: Tensor | None) -> None:
    order = nats.argsort(descending=True, stable=True)
    places = range(len(nats))
    bars = axis.bar(places, nats[order].tolist(), color=BLUE, width=0.8)
    if active is not None:
        for bar, is_active in zip(bars, active[order].tolist(), strict=True):
            if not is_active:
                bar.set(facecolor="white", edgecolor=GREY, hatch="////")
    axis.set_xlim(-0.6, max(len(nats), FEWEST_PLACES) - 0.4)
    if len(nats) <= LABELLED_BARS:
        size = 8 if len(nats) <= LABELLED_BARS // 2 else 6
        axis.set_xticks(places, labels=[str(dim) for dim in order.tolist()], fontsize=size)
    else:
        axis.set_xticks([])


def _kl_title(name: str, nats: Tensor, active: Tensor | None) -> str:
    title = f"{name}: {nats.sum():.2f} nats"
    if active is None:
        return title
    title = f"{title}, {int(active.sum())} of {len(active)} active"
    return title if bool(active.all()) else f"{title} (inactive hatched)"
