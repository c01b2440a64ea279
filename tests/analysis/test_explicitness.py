"""Explicitness of codes whose ranks are known."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from unbraid.analysis import explicitness


def drawn(count, seed, sizes=(2, 3)):
    return np.random.default_rng(seed).integers(sizes, size=(count, len(sizes)))


def normal(count, seed, dims=2):
    return np.random.default_rng(seed).normal(size=(count, dims))


def test_codes_that_part_all_values_are_perfect():
    """Also turned and rescaled: each of three values is at a corner of its own."""
    factors, truth = drawn(200, 1), drawn(80, 2)
    corners = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    codes, test = (
        (corners[f[:, 1]] + f[:, :1] * [1, 0, 0] + 0.01 * normal(len(f), 3, 3))
        for f in (factors, truth)
    )
    turn = np.linalg.qr(normal(3, 4, 3))[0] * [1e3, 1e-3, 1]
    for mixing in (np.eye(3), turn):
        score = explicitness(codes @ mixing, factors, test @ mixing, truth)
        assert (score.score, score.rescaled) == pytest.approx((1, 1))


def test_two_normals_have_the_area_of_their_distance():
    """For means d apart the area is Phi(d / sqrt 2)."""
    factors, truth = drawn(4000, 1, (2,)), drawn(40_000, 2, (2,))
    codes, test = 0.8 * factors + normal(4000, 3, 1), 0.8 * truth + normal(40_000, 4, 1)
    area = norm.cdf(0.8 / np.sqrt(2))
    score = explicitness(codes, factors, test, truth)
    assert score.score == pytest.approx(area, abs=5 * 0.5 / np.sqrt(20_000))  # 6e-7 at most
    assert score.rescaled == pytest.approx(2 * score.score - 1)


def test_areas_equal_ranks_counted_pair_by_pair():
    factors, truth = drawn(150, 1), drawn(60, 2)
    codes, test = (f + 1.5 * normal(len(f), 3) for f in (factors, truth))
    centre, scale = codes.mean(0), codes.std(0)
    expected = []
    for f in range(2):
        classifier = LogisticRegression(max_iter=2000)
        classifier.fit((codes - centre) / scale, factors[:, f])
        chances = classifier.predict_proba((test - centre) / scale)
        areas = []
        for value in range(2 + f):
            inside, rest = (
                chances[mask, value] for mask in (truth[:, f] == value, truth[:, f] != value)
            )
            areas.append(np.mean((inside[:, None] > rest) + 0.5 * (inside[:, None] == rest)))
        expected.append(np.mean(areas))
    score = explicitness(codes, factors, test, truth)
    assert score.factor_scores == pytest.approx(expected)
    assert score.score == pytest.approx(np.mean(expected))
    assert 0.55 < score.score < 0.9


def test_noise_and_constants_are_guesses():
    factors, truth = drawn(2000, 1), drawn(2000, 2)
    noise = explicitness(normal(2000, 3), factors, normal(2000, 4), truth)
    assert noise.score == pytest.approx(0.5, abs=5 * 0.6 / np.sqrt(1300))  # 6e-7 at most
    still = explicitness(np.ones((2000, 1)), factors, np.ones((2000, 1)), truth)
    assert (still.score, still.rescaled) == (0.5, 0)


def test_values_in_one_part_alone_have_no_area():
    factors, truth = drawn(90, 1, (3,)), drawn(30, 2, (2,)) * 3
    codes, test = (f + 0.01 * normal(len(f), 3, 1) for f in (factors, truth))
    score = explicitness(codes, factors, test, truth)  # the data know 0 1 2; they ask 0 3
    assert score.score == pytest.approx(1)


def test_tensors_and_bad_input():
    good = {
        "train_codes": normal(90, 1),
        "train_factors": drawn(90, 1),
        "test_codes": normal(30, 2),
        "test_factors": drawn(30, 2),
    }
    tensors = {name: torch.from_numpy(part) for name, part in good.items()}
    assert explicitness(**tensors).score == explicitness(**good).score

    def refused(pattern, **changed):
        with pytest.raises(ValueError, match=pattern):
            explicitness(**{**good, **changed})

    broken = normal(90, 1)
    broken[3, 1] = np.inf
    refused(r"train_codes\[3, 1\] is inf; expected finite", train_codes=broken)
    refused("test_codes have 1 values per datum; expected 2", test_codes=normal(30, 2, 1))
    refused(r"test_factors have shape \(9, 2\)", test_factors=drawn(9, 2))
    refused("train_factors are not integers; expected classes", train_factors=normal(90, 1))
    refused(r"train_factors\[:, 0\] are all 0", train_factors=drawn(90, 1) * [0, 1])
    refused(r"test_factors\[:, 1\] are all 0", test_factors=drawn(30, 1) * [1, 0])
    unknown = drawn(30, 1) + np.array([7, 0])
    refused(r"test_factors\[:, 0\] have no value of train", test_factors=unknown)
