"""SAP of codes whose separate predictability is known."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC

from unbraid.analysis import sap


def normal(count, seed, dims=3):
    return np.random.default_rng(seed).normal(size=(count, dims))


def classes(count, seed):
    return np.random.default_rng(seed).integers([2, 2], size=(count, 2))


def test_one_code_per_number_is_perfect():
    factors = normal(50, 1)
    codes = factors[:, [2, 0, 1]] * [3, -0.1, 1e-9] + [0, 5, 0]
    score = sap(codes, factors[:, :2], codes[:9], factors[:9, :2])
    uncorrelated = sap(np.eye(4), np.eye(4)[:, :2], np.eye(4), np.eye(4)[:, :2])
    assert score.told[[1, 2], [0, 1]] == pytest.approx([1, 1])
    assert uncorrelated.told[:2] == pytest.approx(np.where(np.eye(2) > 0, 1, 1 / 9))
    assert uncorrelated.gaps == pytest.approx([8 / 9, 8 / 9])
    assert uncorrelated.score == pytest.approx(8 / 9)


def test_numbers_are_told_by_the_r2_of_least_squares():
    factors, noise = normal(80, 1), normal(80, 2, 4)
    codes = factors @ normal(3, 3, 4) + noise
    score = sap(codes, factors, codes[:5], factors[:5])
    expected = np.array(
        [
            [LinearRegression().fit(c[:, None], v).score(c[:, None], v) for v in factors.T]
            for c in codes.T
        ]
    )
    assert score.told == pytest.approx(expected)
    ordered = np.sort(expected, 0)
    assert score.gaps == pytest.approx(ordered[3] - ordered[2])
    assert score.score == pytest.approx(np.mean(ordered[3] - ordered[2]))


def test_classes_are_told_by_machines_on_new_data():
    factors, truth = classes(300, 1), classes(90, 2)
    codes, test = (
        2.0 * f @ [[1, 0.5, 0], [0, 1, 0]] + normal(len(f), 3) for f in (factors, truth)
    )
    score = sap(codes, factors, test, truth)
    expected = np.zeros((3, 2))
    for k in range(3):
        for f in range(2):
            machine = LinearSVC(C=0.01, class_weight="balanced")
            told = machine.fit(codes[:, [k]], factors[:, f]).predict(test[:, [k]])
            expected[k, f] = np.mean(told == truth[:, f])
    assert score.told == pytest.approx(expected)
    assert score.told[0, 0] > 0.75 > 0.65 > score.told[2, 0]
    ordered = np.sort(expected, 0)
    assert score.score == pytest.approx(np.mean(ordered[2] - ordered[1]))


def test_classes_may_be_any_numbers():
    factors, truth = classes(300, 1), classes(90, 2)
    codes, test = 2.0 * factors + normal(300, 3, 2), 2.0 * truth + normal(90, 3, 2)
    places = np.array([0.5, 0.6])
    found = [
        sap(codes, of, test, asked, discrete=[True, True]).told
        for of, asked in ((factors, truth), (places[factors], places[truth]))
    ]
    assert np.array_equal(found[0], found[1])


def test_two_codes_of_one_factor_have_no_gap():
    factors = normal(60, 1, 1)
    assert sap(np.c_[factors, -2 * factors], factors, factors @ [[1, 1]], factors).score == 0


def test_noise_and_constants_tell_nothing():
    factors = normal(4000, 1, 2)
    codes = np.c_[normal(4000, 2), np.full(4000, 1 / 3)]
    score = sap(codes, factors, codes[:5], factors[:5])
    assert score.told[3].tolist() == [0, 0]
    assert score.score < 30 / 4000  # N R^2 is chi-squared: 4e-8
    constant = sap(np.full((40, 2), 0.1), classes(40, 1), np.full((9, 2), 0.1), classes(9, 2))
    assert constant.score == 0


def test_order_and_sign_do_not_matter():
    factors, truth = classes(200, 1), classes(90, 2)
    mixing = np.array([[1, 0.4, 0], [0.2, 1, 0.3]])
    codes, test = (f @ mixing + normal(len(f), 3) for f in (factors, truth))
    score = sap(codes, factors, test, truth)
    moved = sap(-codes[:, [2, 0, 1]], factors, -test[:, [2, 0, 1]], truth)
    assert moved.told == pytest.approx(score.told[[2, 0, 1]])
    linear, rescaled = (
        sap(part, factors, test, truth, discrete=(False, False)) for part in (codes, codes * 9 + 1)
    )
    assert rescaled.told == pytest.approx(linear.told)


def test_kinds_of_factors_may_be_told():
    factors = np.c_[normal(90, 1, 1), classes(90, 1)[:, :1]]
    codes = factors + 0.01 * normal(90, 5, 2)
    mixed = sap(codes, factors, codes, factors, discrete=(False, True))
    assert mixed.told[0, 0] == pytest.approx(np.corrcoef(codes[:, 0], factors[:, 0])[0, 1] ** 2)
    assert mixed.told[1, 1] == 1
    tensors = [torch.from_numpy(part) for part in (codes, factors) * 2]
    assert np.array_equal(sap(*tensors, discrete=(False, True)).told, mixed.told)


def test_bad_input_is_refused():
    good = dict(
        zip(
            ("train_codes", "train_factors", "test_codes", "test_factors"),
            (normal(9, 1), normal(9, 2, 2), normal(5, 3), normal(5, 4, 2)),
            strict=True,
        )
    )

    def refused(pattern, **changed):
        with pytest.raises(ValueError, match=pattern):
            sap(**{**good, **changed})

    broken = normal(9, 1)
    broken[3, 1] = np.nan
    refused(r"train_codes\[3, 1\] is nan; expected finite", train_codes=broken)
    refused(r"train_factors have shape \(8, 2\)", train_factors=normal(8, 2, 2))
    refused("test_codes have 2 values per datum; expected 3", test_codes=normal(5, 3, 2))
    refused("test_factors have 3 values per datum; expected 2", test_factors=normal(5, 3))
    refused(r"train_factors\[:, 0\] are all 1", train_factors=np.ones((9, 2)))
    refused(
        "train_codes have 1 column; expected at least 2",
        train_codes=normal(9, 1, 1),
        test_codes=normal(5, 1, 1),
    )
    refused("discrete has 1 entries; expected 2", discrete=(True,))
