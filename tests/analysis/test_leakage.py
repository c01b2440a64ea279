"""Probes find what was put into codes, all of it and nothing else.

Sampled accuracies are compared with their expectation within 5 standard errors of the mean over
independent sequences: 6e-7 per comparison and side, below 1e-5 for the whole file.
"""

from dataclasses import replace
from importlib import import_module
from math import erf, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from unbraid.analysis import (
    KnownSequences,
    knn_accuracy,
    leakage,
    leakage_figure,
    write_report,
)

# A function of the package has the name of its file.
LEAKAGE = import_module("unbraid.analysis.leakage")
PROBES = import_module("unbraid.analysis.probes")
FRAMES, CLASSES, PLACES = 5, 3, 4


class Sequences(KnownSequences):
    """All of it arrays, which may be masked."""

    static: NDArray
    dynamic: NDArray
    sequence_factors: NDArray
    frame_factors: NDArray
    mask: NDArray


def codes_of(classes, size, random, width):
    """One-hot classes, turned, in codes of the given width with noise in no other dimension."""
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(width, width)))[0]
    noise = random.normal(size=(*classes.shape, width - size))
    return np.concatenate([np.eye(size)[classes], noise], -1) @ turn


def apart(count, seed, frames=FRAMES):
    """Sequences whose static codes hold their class only, and dynamic codes their place only."""
    random = np.random.default_rng(seed)
    content = random.integers(CLASSES, size=count)
    place = random.integers(PLACES, size=(count, frames))
    height = random.normal(size=(count, frames))
    dynamic = codes_of(place, PLACES, random, 6)
    return Sequences(
        static=codes_of(content, CLASSES, random, 7),
        dynamic=np.concatenate([dynamic, np.tanh(height)[..., None]], -1),
        sequence_factors=content[:, None],
        frame_factors=np.stack([place, 40 + 3 * height], -1),
    )


OPTIONS = {"frame_sizes": (PLACES, 0), "frame_names": ("place", "height")}


def found(result, about, codes, factor):
    (probe,) = [p for p in result.probes if (p.about, p.codes, p.factor) == (about, codes, factor)]
    return probe


def bound(chance, count):
    return 5 * sqrt(chance * (1 - chance) / count)


@pytest.mark.parametrize("probe", ["mlp", "logistic", "knn"])
def test_codes_that_are_apart_are_high_low_high_low(probe):
    result = leakage(apart(400, 0), apart(300, 1), probe=probe, **OPTIONS)
    assert found(result, "content", "static", "factor 0").score == pytest.approx(1, abs=0.02)
    assert found(result, "pose", "dynamic", "place").score == pytest.approx(1, abs=0.02)
    assert found(result, "pose", "dynamic", "height").score > 0.8
    # What a probe says is independent of the true class, so its hits are binomial.
    leaked = found(result, "content", "dynamic", "factor 0").score
    assert abs(leaked - 1 / CLASSES) < bound(1 / CLASSES, 300)
    leaked = found(result, "pose", "static", "place").score
    assert abs(leaked - 1 / PLACES) < bound(1 / PLACES, 300 * FRAMES)
    assert found(result, "pose", "static", "height").score < 0.05


def test_a_net_says_the_mean_of_what_codes_do_not_know():
    train, test = (replace(apart(n, n), sequence_factors=None) for n in (400, 300))
    result = leakage(train, test, **OPTIONS)
    assert abs(found(result, "pose", "static", "height").score) < 0.02


@pytest.mark.parametrize("probe", ["mlp", "logistic"])
@pytest.mark.parametrize("distance", [1.0, 2.5])
def test_a_leak_of_known_size_is_measured(probe, distance):
    """Of two Normals at a distance d nothing tells more than Phi(d / 2)."""

    def leaking(count, seed):
        random = np.random.default_rng(seed)
        content = random.integers(2, size=count)
        frames = random.normal(size=(count, 3, 4))
        frames[..., 1] += distance * content[:, None]
        return KnownSequences(random.normal(size=(count, 2)), frames, content[:, None])

    result = leakage(leaking(1500, 0), leaking(1500, 1), probe=probe)
    bayes = (1 + erf(distance / 2 / sqrt(2))) / 2
    leaked = found(result, "content", "dynamic", "factor 0")
    # The frames of a sequence are independent here, given its class.
    assert leaked.score < bayes + bound(bayes, 4500)
    assert leaked.score > bayes - bound(bayes, 4500) - 0.01
    assert leaked.standard_error == pytest.approx(sqrt(bayes * (1 - bayes) / 4500), rel=0.15)
    assert found(result, "content", "static", "factor 0").score < 0.5 + bound(0.5, 1500)


def test_a_net_finds_what_no_plane_parts():
    def crossed(count, seed):
        random = np.random.default_rng(seed)
        signs = random.integers(2, size=(count, 4, 2))
        codes = 2 * signs - 1 + 0.1 * random.normal(size=signs.shape)
        return KnownSequences(
            random.normal(size=(count, 3)), codes, frame_factors=signs.sum(-1, keepdims=True) % 2
        )

    scores = {
        probe: found(
            leakage(crossed(300, 0), crossed(200, 1), probe=probe), "pose", "dynamic", "factor 0"
        ).score
        for probe in ("mlp", "logistic")
    }
    assert scores["mlp"] > 0.98
    assert scores["logistic"] < 0.75 + bound(0.75, 200)  # three corners of four


def test_codes_of_a_tiny_scale_are_found():
    train, test = (replace(apart(200, seed), frame_factors=None) for seed in (0, 1))
    small = [replace(part, static=1e-5 * part.static + 3) for part in (train, test)]
    assert found(leakage(*small), "content", "static", "factor 0").score > 0.98


def test_scores_errors_and_chances_equal_those_by_hand():
    train, test = apart(60, 0), apart(41, 1)
    result = leakage(train, test, probe="knn", **OPTIONS)
    scaled = [(p.static - train.static.mean(0)) / train.static.std(0) for p in (train, test)]
    expected = knn_accuracy(
        scaled[0], train.sequence_factors[:, 0], scaled[1], test.sequence_factors[:, 0]
    )
    content = found(result, "content", "static", "factor 0")
    assert (content.score, content.count) == (expected.accuracy, 41)
    assert content.standard_error == pytest.approx(expected.standard_error * sqrt(41 / 40))
    assert content.uniform_chance == pytest.approx(1 / CLASSES)
    counts = np.bincount(test.sequence_factors[:, 0])
    assert content.chance == counts.max() / 41
    place = found(result, "pose", "dynamic", "place")
    assert place.count == 41 * FRAMES
    assert place.chance == np.bincount(test.frame_factors[..., 0].astype(int).ravel()).max() / 205


def test_errors_are_taken_over_groups():
    """Repeating every test sequence within its group adds data and no knowledge."""
    train, test = apart(60, 0), apart(40, 1)
    noisy = [
        replace(part, dynamic=part.dynamic + np.random.default_rng(2).normal(size=(7,)))
        for part in (train, test)
    ]
    noisy = [
        replace(p, dynamic=p.dynamic + np.random.default_rng(s).normal(size=p.dynamic.shape))
        for s, p in enumerate(noisy)
    ]
    twice = KnownSequences(
        *(
            np.concatenate([getattr(noisy[1], name)] * 2)
            for name in ("static", "dynamic", "sequence_factors", "frame_factors")
        ),
        groups=np.tile(np.arange(40), 2),
    )
    once = leakage(noisy[0], noisy[1], probe="logistic", **OPTIONS)
    grouped = leakage(noisy[0], twice, probe="logistic", **OPTIONS)
    loose = leakage(noisy[0], replace(twice, groups=None), probe="logistic", **OPTIONS)
    for a, b, c in zip(once.means, grouped.means, loose.means, strict=True):
        assert b.score == pytest.approx(a.score)
        assert b.standard_error == pytest.approx(a.standard_error)
        # sqrt(G / (G - 1) / G) of 80 sequences beside that of 40
        assert c.standard_error == pytest.approx(a.standard_error * sqrt(39 / 79))


def test_of_a_single_group_no_error_is_known(tmp_path):
    """One group says nothing of how much groups differ; that is no error of 0."""
    train, test = apart(60, 0), replace(apart(40, 1), groups=np.zeros(40, int))
    result = leakage(train, test, probe="knn", **OPTIONS)
    assert all(np.isnan(probe.standard_error) for probe in (*result.probes, *result.means))
    assert "± unknown" in result.summary() and "nan" not in result.summary()
    table = result.table()
    assert {row["standard_error"] for row in table} == {None}
    leakage_figure(result).savefig(tmp_path / "figure.png")
    numbers: Any = {"codes": {"leakage": table}}
    parts: Any = {"config": {}, "history": [], "figures": {}}
    page = write_report(tmp_path, title="t", evaluation=numbers, **parts).read_text()
    assert " %, of one sequence or group" in page and "nan" not in page.lower().split()


def test_errors_equal_the_jackknife_over_sequences(monkeypatch):
    """Leaving out one sequence at a time gives the same error to first order, 1 in 200 here."""
    random = np.random.default_rng(9)
    test = apart(200, 1)
    second = np.where(random.random(200) < 0.7, test.sequence_factors[:, 0], 0)
    test = replace(test, sequence_factors=np.c_[test.sequence_factors, second])
    factors = [np.repeat(column, FRAMES) for column in test.sequence_factors.T]
    factors += list(test.frame_factors.reshape(-1, 2).T)
    sequence = np.repeat(np.arange(200), FRAMES)
    # What goes wrong goes wrong together in a sequence, and in both factors.
    broken = (random.random(200) < 0.4)[sequence]
    told = [np.where(broken, 0, f) for f in factors[:3]]
    told.append(12 + factors[3] * 0.7 + 1.5 * broken + 0.6 * random.normal(size=len(sequence)))
    answers = iter([np.zeros(200), np.zeros(200), *told, np.zeros(1000), np.zeros(1000)])
    monkeypatch.setattr(LEAKAGE, "tell", lambda *args, **options: next(answers))
    result = leakage(test, test, **OPTIONS)

    def score(number, kept):
        truth, guess = factors[number][kept], told[number][kept]
        if number < 3:
            return (truth == guess).mean()
        return 1 - ((truth - guess) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()

    left_out = [[score(number, sequence != i) for number in range(4)] for i in range(200)]
    left_out = np.c_[left_out, np.mean(left_out, 1, where=[True, True, False, False])]
    expected = np.sqrt(199 * left_out.var(0))
    probes = [p for p in result.probes if (p.about, p.codes) == ("content", "dynamic")]
    probes += [p for p in result.probes if (p.about, p.codes) == ("pose", "dynamic")]
    for number, probe in enumerate(probes):
        assert probe.score == pytest.approx(score(number, sequence >= 0))
        assert probe.standard_error == pytest.approx(expected[number], rel=0.02)
    mean = result.mean("content", "dynamic")
    assert mean is not None
    assert mean.standard_error == pytest.approx(expected[4], rel=0.02)
    assert mean.standard_error < 0.99 * probes[0].standard_error


def test_means_average_the_factors_of_one_kind():
    train, test = apart(80, 0), apart(50, 1)
    train, test = (
        replace(
            part,
            sequence_factors=np.c_[part.sequence_factors, part.sequence_factors[:, 0] == 2],
        )
        for part in (train, test)
    )
    result = leakage(train, test, probe="knn", sequence_names=("hue", "is red"), **OPTIONS)
    names = [(p.about, p.codes, p.factor) for p in result.probes]
    assert names[:2] == [("content", "static", "hue"), ("content", "static", "is red")]
    pair = [found(result, "content", "dynamic", name) for name in ("hue", "is red")]
    mean = result.mean("content", "dynamic")
    assert mean is not None
    for name in ("score", "chance", "uniform_chance"):
        assert getattr(mean, name) == pytest.approx(np.mean([getattr(p, name) for p in pair]))
    # Two factors of the same data: not independent, so between the mean error and that of two.
    both = np.array([p.standard_error for p in pair])
    assert sqrt((both**2).sum()) / 2 < mean.standard_error <= both.mean()
    assert result.mean("content", "static", discrete=False) is None
    assert len(result.table()) == len(result.probes) + len(result.means)
    assert "mean of content | dynamic" in result.summary()
    assert "largest class" in str(mean)


def test_masked_frames_are_never_used():
    def masked(part, seed, value):
        random = np.random.default_rng(seed)
        mask = np.arange(FRAMES) < random.integers(1, FRAMES + 1, size=(len(part.static), 1))
        dynamic, factors = part.dynamic.copy(), part.frame_factors.copy()
        dynamic[~mask], factors[~mask] = value, value
        return replace(part, dynamic=dynamic, frame_factors=factors, mask=mask)

    results = [
        leakage(
            masked(apart(60, 0), 2, value),
            masked(apart(50, 1), 3, value),
            probe="logistic",
            **OPTIONS,
        )
        for value in (np.nan, 1e3)
    ]
    assert results[0] == results[1]
    count = masked(apart(50, 1), 3, 0).mask.sum()
    assert found(results[0], "pose", "dynamic", "place").count == count < 50 * FRAMES
    assert results[0] != leakage(apart(60, 0), apart(50, 1), probe="logistic", **OPTIONS)


@pytest.mark.parametrize("probe", ["mlp", "logistic", "knn"])
def test_scores_repeat_themselves_by_the_seed(monkeypatch, probe):
    monkeypatch.setattr(PROBES, "_EPOCHS", 5)
    parts = [apart(60, 0), apart(50, 1)]
    noisy = [
        replace(
            p,
            frame_factors=None,
            dynamic=p.dynamic + 0.7 * np.random.default_rng(2).normal(size=p.dynamic.shape),
        )
        for p in parts
    ]
    results = [leakage(*noisy, probe=probe, seed=seed, max_rows=40) for seed in (0, 0, 1)]
    assert results[0] == results[1] != results[2]


def test_training_rows_are_bounded(monkeypatch):
    sizes = []

    def seen(probe, codes, target, clusters, test, **options):
        sizes.append((len(codes), len(target), len(clusters), len(test)))
        return np.zeros(len(test))

    monkeypatch.setattr(LEAKAGE, "tell", seen)
    leakage(apart(60, 0), apart(50, 1), max_rows=55, **OPTIONS)
    assert sizes == [(55, 55, 55, 50)] + [(55, 55, 55, 250)] * 5


def test_frames_of_one_sequence_stop_the_net_together(monkeypatch):
    """Else noise that marks a sequence would be learnt by heart as its class."""
    held = []
    true = PROBES._hold_out

    def seen(clusters, classes, random):
        held.append((clusters, true(clusters, classes, random)))
        return held[-1][1]

    monkeypatch.setattr(PROBES, "_hold_out", seen)
    monkeypatch.setattr(PROBES, "_EPOCHS", 2)
    leakage(apart(20, 0), apart(15, 1), **OPTIONS)
    assert len(held) == 6
    for clusters, out in held:
        assert set(clusters[out]).isdisjoint(clusters[~out])
        assert len(set(clusters[out])) == 4


def test_tensors_are_welcome():
    parts = [apart(30, 0), apart(20, 1)]
    tensors = [
        KnownSequences(
            torch.tensor(p.static, requires_grad=True),
            torch.from_numpy(p.dynamic),
            torch.from_numpy(p.sequence_factors),
            torch.from_numpy(p.frame_factors),
            torch.ones(p.dynamic.shape[:2], dtype=torch.bool),
            torch.arange(len(p.static)),
        )
        for p in parts
    ]
    expected = leakage(*parts, probe="knn", **OPTIONS)
    assert leakage(*tensors, probe="knn", **OPTIONS) == expected


def test_bad_input_is_refused():
    train, test = apart(30, 0), apart(20, 1)

    def refused(pattern, *, of_train=None, of_test=None, **options):
        parts = replace(train, **(of_train or {})), replace(test, **(of_test or {}))
        with pytest.raises(ValueError, match=pattern):
            leakage(*parts, **{**OPTIONS, "probe": "knn", **options})

    refused("probe is 'svm'; expected one of mlp, logistic, knn", probe="svm")
    refused("max_rows is 1; expected at least 2", max_rows=1)
    broken = train.dynamic.copy()
    broken[3, 2, 1] = np.nan
    refused(r"train.dynamic\[3, 2, 1\] is nan; expected finite", of_train={"dynamic": broken})
    broken = test.static.copy()
    broken[4, 0] = -np.inf
    refused(r"test.static\[4, 0\] is -inf; expected finite", of_test={"static": broken})
    refused(r"train.static has shape \(29, 7\)", of_train={"static": train.static[1:]})
    refused("static and dynamic codes of test have shapes", of_test={"dynamic": test.static})
    refused("test_static_codes have 6 values", of_test={"static": test.static[:, 1:]})
    refused(
        r"train.frame_factors has shape \(30, 4, 2\)",
        of_train={"frame_factors": train.frame_factors[:, 1:]},
    )
    refused("expected 2 axes", of_train={"sequence_factors": np.arange(30)})
    refused("2 columns and 1 names", frame_names=("place",))
    refused(
        r"train.mask is int64 \(30, 5\); expected bool", of_train={"mask": np.ones((30, 5), int)}
    )
    empty = np.ones((20, FRAMES), bool)
    empty[6] = False
    refused(r"test.mask\[6\] is all False", of_test={"mask": empty})
    refused("place is .*; expected classes 0 to 2", frame_sizes=(3, 0))
    refused("height is .*; expected classes 0 to 3", frame_sizes=(PLACES, 4))
    refused("test.groups are float64", of_test={"groups": np.ones(20)})
    same = np.zeros((30, 1), int)
    refused("factor 0 is 0 in all training data", of_train={"sequence_factors": same})
    refused("factor 0 is 0 in all test data", of_test={"sequence_factors": same[:20]})
    strange = test.sequence_factors.copy()
    strange[2] = 5
    refused("factor 0 is 5 in test data and never", of_test={"sequence_factors": strange})
    refused("sequence_factors are missing in test", of_test={"sequence_factors": None})
    refused(
        "sequence_factors are continuous in test; expected classes",
        of_test={"sequence_factors": test.sequence_factors * 1.0},
    )
    nothing = {"sequence_factors": None, "frame_factors": None}
    refused("train has neither", of_train=nothing, of_test=nothing)


def test_figures_show_every_score():
    result = leakage(apart(60, 0), apart(50, 1), probe="knn", **OPTIONS)
    figure = leakage_figure(result)
    classes, numbers = figure.axes
    heights = sorted(bar.get_height() for bar in classes.patches if isinstance(bar, Rectangle))
    assert heights == sorted(probe.score for probe in result.probes if probe.discrete)
    assert len(numbers.patches) == 2
    names = [tick.get_text() for tick in classes.get_xticklabels()]
    assert names == ["factor 0\n(content)", "place\n(pose)"]
    figure.canvas.draw()


def test_the_figure_names_what_was_fitted():
    """The linear probe of numbers is a ridge regression."""
    figure = leakage_figure(leakage(apart(60, 0), apart(50, 1), probe="logistic", **OPTIONS))
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert "without codes" in [text.get_text() for text in legend.get_texts()]
    assert [title[title.index("(") :] for title in titles] == [
        "(logistic) tells from codes",
        "(ridge) tells from codes",
    ]


@pytest.mark.parametrize("clips", [1, 8])
def test_no_class_is_held_out_as_a_whole(clips):
    """Codes that say who it is, ten people of `clips` sequences: the net tells each of them."""
    who = np.arange(10).repeat(8)
    codes = np.eye(10)[who] + np.random.default_rng(3).normal(size=(80, 10)) / 100
    clusters = np.arange(80) // clips
    told = PROBES.tell("mlp", codes, who, clusters, codes, discrete=True, seed=0)
    assert (told == who).mean() > 0.95


def test_clusters_that_leave_some_of_each_class_are_held_out_whole():
    classes, clusters = np.arange(60) // 2 % 3, np.arange(60) // 6
    for seed in range(5):
        held_out = PROBES._hold_out(clusters, classes, np.random.RandomState(seed))
        assert held_out.sum() == 12 and len(np.unique(clusters[held_out])) == 2
    last = clusters == 9  # and all of a class
    for seed in range(5):
        held_out = PROBES._hold_out(clusters, last, np.random.RandomState(seed))
        assert not held_out[last].any() and held_out.sum() == 12
