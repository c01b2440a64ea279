"""Interventional robustness of codes whose deviations are known."""

import itertools

import numpy as np
import pytest
import torch

from unbraid.analysis import irs

SIZES = (4, 3, 6)
GRID = np.array(list(itertools.product(*map(range, SIZES))))


def test_one_code_per_factor_stands_still():
    score = irs(GRID[:, [2, 0, 1]] * [0.5, -3, 1], GRID)
    assert score.score == pytest.approx(1)
    assert score.code_scores == pytest.approx(np.ones(3))
    assert score.robustness.argmax(1).tolist() == [2, 0, 1]
    # A factor that does not matter leaves the values as far from their mean as they were.
    exact = irs(GRID[:, [2, 0, 1]], GRID, quantile=1)
    assert exact.robustness == pytest.approx(np.eye(3)[[2, 0, 1]])


@pytest.mark.parametrize("quantile", [1, 0.9])
def test_scores_equal_the_formula(quantile):
    draws = np.random.default_rng(0)
    codes = GRID @ draws.normal(size=(3, 4)) + draws.normal(size=(len(GRID), 4))
    score = irs(codes, GRID, quantile=quantile)
    weights, best = [], []
    for k in range(4):
        code = codes[:, k]
        largest = max(abs(code - code.mean()))
        row = []
        for f in range(3):
            parts = [code[GRID[:, f] == value] for value in range(SIZES[f])]
            large = [np.quantile(abs(part - part.mean()), quantile) for part in parts]
            row.append(1 - np.mean(large) / largest)
        assert score.robustness[k] == pytest.approx(row)
        weights.append(largest)
        best.append(max(row))
    assert score.deviations == pytest.approx(weights)
    assert score.score == pytest.approx(np.average(best, weights=weights))
    assert 0.1 < score.score < 0.9


def test_uniform_noise_has_the_quantile_left():
    """Deviations of uniform noise are uniform up to the largest."""
    draws = np.random.default_rng(1)
    factors = draws.integers([3, 2], size=(60_000, 2))
    score = irs(draws.uniform(-1, 1, (60_000, 5)), factors, quantile=0.8)
    # 20 000 data a value: an error of 0.0028 each, less of their mean; best of 2 and mean of 5.
    assert score.robustness == pytest.approx(np.full((5, 2), 0.2), abs=0.012)
    assert score.score == pytest.approx(0.2, abs=0.012)


def test_constant_codes_weigh_nothing_and_scale_is_weight():
    codes = np.c_[np.full(len(GRID), 1 / 3), GRID[:, 0], GRID @ [1, 2, 1]]
    score = irs(codes, GRID)
    assert score.code_scores[0] == score.deviations[0] == 0
    assert score.deviations == pytest.approx([0, 1.5, 6])
    expected = (1.5 * score.code_scores[1] + 6 * score.code_scores[2]) / 7.5
    assert score.score == pytest.approx(expected)
    moved = irs(codes[:, [2, 1, 0]] * [-0.5, 4, 1] + 3, GRID)
    assert moved.robustness == pytest.approx(score.robustness[[2, 1, 0]])
    assert moved.score > score.score  # the purer code weighs more
    assert irs(np.ones((len(GRID), 2)), GRID).score == 0


def test_one_code_and_one_factor_are_enough():
    assert irs(GRID[:, :1], GRID[:, 0]).score == pytest.approx(1)


def test_tensors_and_bad_input():
    codes = GRID * 1.0
    assert irs(torch.from_numpy(codes), torch.from_numpy(GRID)).score == irs(codes, GRID).score

    def refused(pattern, codes=codes, factors=GRID, **options):
        with pytest.raises(ValueError, match=pattern):
            irs(codes, factors, **options)

    broken = codes.copy()
    broken[3, 1] = np.nan
    refused(r"codes\[3, 1\] is nan; expected finite", codes=broken)
    refused(r"factors have shape \(9, 3\)", factors=GRID[:9])
    refused("factors are not integers; expected classes", factors=codes)
    refused(r"factors\[:, 1\] are all 0; expected at least two", factors=GRID * [1, 0, 1])
    refused("quantile is 0; expected more than 0 and at most 1", quantile=0)
