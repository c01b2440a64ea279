"""Charts draw the numbers that they were given, ordered, gapped and labelled."""

from math import inf, nan

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from unbraid.analysis import bounds_curve, hook_curves, kl_chart, training_curves


def points(line):
    return list(zip(*(axis.tolist() for axis in line.get_data()), strict=True))


def bars_of(axis) -> list[Rectangle]:
    return [patch for patch in axis.patches if isinstance(patch, Rectangle)]


def test_curves_go_through_the_finite_values():
    history = [
        {"step": 0, "loss": 9.0, "elbo": -8.0},
        {"step": 5, "loss": nan, "elbo": -7.0},
        {"step": 5, "validation_elbo": -7.5},
        {"step": 7, "loss": None, "elbo": inf},
        {"step": 9, "loss": 6.0, "validation_elbo": -6.5},
    ]
    bound, loss = training_curves(history).axes
    assert points(bound.lines[0]) == [(0, -8.0), (5, -7.0)]
    assert points(bound.lines[1]) == [(5, -7.5), (9, -6.5)]
    assert points(loss.lines[0]) == [(0, 9.0), (9, 6.0)]
    assert bound.get_legend_handles_labels()[1] == ["training", "validation"]
    assert bound.get_ylabel() == "nats per image"


def test_a_loss_that_is_the_negative_bound_has_no_chart_of_its_own():
    history = [{"step": i, "loss": 90.0 - i, "elbo": i - 90.0} for i in range(4)]
    history.append({"step": 4, "validation_elbo": -80.0})
    assert len(training_curves(history).axes) == 1
    history[2]["loss"] += 1.0
    assert len(training_curves(history).axes) == 2


def test_the_first_steps_set_no_limits():
    history = [{"step": i, "elbo": -1000.0 if i < 4 else -100.0 + i / 100} for i in range(101)]
    low, high = training_curves(history).axes[0].get_ylim()
    assert -101 < low < -99
    assert -99.1 < high < -98.9


def test_a_single_row_can_be_drawn():
    training_curves([{"step": 3, "elbo": -5.0}]).canvas.draw()


@pytest.mark.parametrize("history", [[], [{"step": 1}], [{"step": 1, "elbo": nan}]])
def test_an_empty_history_is_refused(history):
    with pytest.raises(ValueError, match=f"history has {len(history)} rows with no loss or elbo"):
        training_curves(history)


def test_bars_are_sorted_and_inactive_ones_hatched():
    kl = {"appearance": torch.tensor([0.5, 2.0, 0.001, 1.0]), "perspective": torch.tensor([3.0])}
    active = {"appearance": torch.tensor([True, True, False, True])}
    figure = kl_chart(kl, active)
    first, second = figure.axes
    heights = [bar.get_bbox().height for bar in bars_of(first)]
    assert heights == pytest.approx([2.0, 1.0, 0.5, 0.001])
    assert [bool(bar.get_hatch()) for bar in first.patches] == [False, False, False, True]
    assert [text.get_text() for text in first.get_xticklabels()] == ["1", "3", "0", "2"]
    assert first.get_title("left") == "appearance: 3.50 nats, 3 of 4 active (inactive hatched)"
    assert second.get_title("left") == "perspective: 3.00 nats"
    figure.canvas.draw()


def test_many_bars_go_unnamed():
    axis = kl_chart({"z": torch.rand(200)}).axes[0]
    assert len(axis.patches) == 200
    assert not axis.get_xticklabels()


def test_no_sites_are_refused():
    with pytest.raises(ValueError, match="kl is empty; expected at least one site"):
        kl_chart({})


def test_bounds_are_drawn_with_their_errors():
    by_samples = {"1": -9.0, "200": -6.0, "10": None, "100": -7.0}
    figure = bounds_curve(
        {"by_samples": by_samples, "elbo_se": 0.5, "log_likelihood_se": 0.25, "samples": 200}
    )
    (axis,) = figure.axes
    figure.canvas.draw()
    assert points(axis.lines[0]) == [(1, -9.0), (100, -7.0), (200, -6.0)]
    (bars,) = axis.collections
    assert isinstance(bars, LineCollection)
    # Between the ends no error is known, which is no bar and not one without length.
    ends = [segment[:, 1].tolist() for segment in bars.get_segments() if segment.size]
    assert ends == [[-9.5, -8.5], [-6.25, -5.75]]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "100", "200"]


def test_charts_say_what_is_no_likelihood():
    drawn = bounds_curve({"by_samples": {1: -9.0}, "is_likelihood": False})
    assert "not a likelihood" in drawn.axes[0].get_ylabel()
    curves = training_curves([{"step": 1, "elbo": -5.0}], is_likelihood=False)
    assert "not a likelihood" in curves.axes[0].get_ylabel()


@pytest.mark.parametrize("evaluation", [{}, {"by_samples": {"1": nan}}])
def test_no_bounds_are_refused(evaluation):
    with pytest.raises(ValueError, match="evaluation has no finite bound"):
        bounds_curve(evaluation)


def test_hooks_have_a_chart_each_and_their_critics_another():
    history = [
        {"step": 1, "factor": 2.0, "factor_accuracy": 0.6, "dip": float("nan"), "z": 1.0},
        {"step": 2, "factor": 1.0, "factor_accuracy": 0.7, "dip": 4.0},
    ]
    figure = hook_curves(history, ["factor", "dip", "absent"])
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["factor: penalty", "factor: accuracy of its critic", "dip: penalty"]
    drawn = [np.asarray(axis.lines[0].get_xydata()).tolist() for axis in figure.axes]
    assert drawn == [[[1, 2.0], [2, 1.0]], [[1, 0.6], [2, 0.7]], [[2, 4.0]]]
    assert figure.axes[1].get_ylim() == (0, 1)
    with pytest.raises(ValueError, match="history has 2 rows without a value of absent"):
        hook_curves(history, ["absent"])
