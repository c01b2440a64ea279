"""What probes tell of a condition: all, nothing, a share; and what chance is."""

from typing import Any

import numpy as np
import pytest

from unbraid.analysis import told_condition, told_scores, write_report

N, M = 600, 900


def make(seed=0):
    random = np.random.default_rng(seed)
    classes = random.choice(4, N + M, p=[0.4, 0.2, 0.2, 0.2])
    return random, classes


def split(values):
    return values[:N], values[N:]


def told(codes, condition, **more):
    (a, b), (c, d) = split(codes), split(condition)
    return told_condition(a, c, b, d, **more)


def test_codes_that_hold_the_class_tell_it_however_small():
    random, classes = make()
    codes = random.normal(size=(N + M, 3))
    codes[:, 1] = 1e-7 * (classes + 0.05 * codes[:, 1])
    found = told(codes, classes)
    assert set(found.score) == {"logistic", "knn"}
    assert found.score["knn"] > 0.95
    assert found.count == M and found.summary()["n"] == M


def test_codes_of_noise_tell_no_more_than_chance():
    """Five standard errors: alarm below 1e-6."""
    random, classes = make(1)
    found = told(random.normal(size=(N + M, 3)), classes)
    share = (classes[N:] == 0).mean()
    assert found.chance == pytest.approx(share)
    assert found.standard_error is not None
    for probe, score in found.score.items():
        assert score < share + 5 * found.standard_error[probe]
        expected = np.sqrt(score * (1 - score) / M)
        assert found.standard_error[probe] == pytest.approx(expected)


def test_chance_is_what_the_commonest_class_of_the_training_data_comes_to():
    """Class 1 is the commonest one to learn from, and a tenth of what is judged."""
    codes = np.random.default_rng(5).normal(size=(20, 2))
    classes = np.r_[np.repeat([0, 1], [4, 6]), np.repeat([0, 1], [9, 1])]
    found = told_condition(codes[:10], classes[:10], codes[10:], classes[10:], probes=("knn",))
    assert found.chance == 0.1


def test_the_linear_probe_needs_lines_and_the_nearest_do_not():
    random = np.random.default_rng(2)
    codes = random.normal(size=(N + M, 2))
    classes = (codes[:, 0] * codes[:, 1] > 0).astype(int)
    found = told(codes, classes)
    assert found.score["logistic"] < 0.62 and found.score["knn"] > 0.9


def test_real_values_by_their_explained_variance():
    random = np.random.default_rng(3)
    codes = random.normal(size=(N + M, 2))
    noise = random.normal(size=N + M)
    found = told(codes, 3 * codes[:, 0] + noise, discrete=False)
    assert found.chance == 0 and found.standard_error is None
    assert set(found.score) == {"ridge", "knn"}
    assert 0.87 < found.score["ridge"] < 0.93  # 9 / 10
    nothing = told(codes, noise, discrete=False)
    assert nothing.score["ridge"] < 0.05 and nothing.score["knn"] < 0.05


def test_a_report_names_what_was_fitted_also_of_evaluations_that_did_not(tmp_path):
    """Earlier versions wrote logistic where a ridge regression told real values."""
    of_numbers = {"score": {"logistic": 0.5}, "chance": 0.0, "standard_error": None, "n": 9}
    of_classes = {**of_numbers, "chance": 0.25, "standard_error": {"logistic": 0.125}}
    assert told_scores(of_numbers) == {"ridge": 0.5}
    assert told_scores(of_classes) == {"logistic": 0.5}
    found = {"scores": {}, "intervals": {}, "factors": {}, "left_out": {}, "factors_left_out": {}}
    told = {"angle": of_numbers, "shape": of_classes}
    numbers: Any = {"codes": {"n": 9, "of": {"z": {**found, "told": told}}}}
    parts: Any = {"config": {}, "history": [], "figures": {}}
    page = write_report(tmp_path, title="t", evaluation=numbers, **parts).read_text()
    assert page.count("<td>ridge</td>") == page.count("<td>logistic</td>") == 1
    assert "the test data that are of the commonest class of the training data" in page


def test_what_cannot_be_told_is_refused():
    codes = np.random.default_rng(4).normal(size=(N + M, 2))
    with pytest.raises(ValueError, match="train_condition is the same throughout"):
        told(codes, np.zeros(N + M, int))
    with pytest.raises(
        ValueError, match=r"probe is 'tree'; expected one of .*The default is both of"
    ):
        told(codes, np.arange(N + M) % 2, probes=("tree",))
    with pytest.raises(ValueError, match="expected integers"):
        told(codes, np.arange(N + M) / 2)
    constant = np.where(np.arange(N + M) < N, np.arange(N + M), 0.5)
    with pytest.raises(ValueError, match="test_condition"):
        told(codes, constant, discrete=False)
