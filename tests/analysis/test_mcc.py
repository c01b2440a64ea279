"""Mean correlation coefficients that are known, and against every matching tried."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from unbraid.analysis import mcc


def normal(count, seed, dims=3):
    return np.random.default_rng(seed).normal(size=(count, dims))


def test_a_permutation_with_scales_and_signs_is_exact():
    factors = normal(40, 1, 4)
    codes = factors[:, [2, 0, 3, 1]] * [1e-170, -3, 1e6, -0.5] + [0, 1, 5, -7]
    score = mcc(codes, factors)
    assert score.score == pytest.approx(1, abs=1e-9)
    assert score.matched.tolist() == [1, 3, 0, 2]
    assert np.sign(score.correlations[[1, 3, 0, 2], range(4)]).tolist() == [-1, -1, 1, 1]
    assert mcc(np.exp(3 * codes[:, [3]]), factors[:, [1]]).score < 0.9
    monotone = mcc(np.exp(-codes[:, [3]]), factors[:, [1]], correlation="spearman")
    assert monotone.score == pytest.approx(1)


@pytest.mark.parametrize("correlation", ["pearson", "spearman"])
def test_it_equals_the_best_of_all_matchings(correlation):
    factors = np.round(2 * normal(70, 1))  # ties
    codes = np.round(factors @ normal(3, 2, 5) + 2 * normal(70, 3, 5))
    score = mcc(codes, factors, correlation=correlation)
    expected = np.zeros((5, 3))
    for k, f in itertools.product(range(5), range(3)):
        if correlation == "pearson":
            expected[k, f] = np.corrcoef(codes[:, k], factors[:, f])[0, 1]
        else:
            ranked: Any = spearmanr(codes[:, k], factors[:, f])
            expected[k, f] = ranked.statistic
    assert score.correlations == pytest.approx(expected)
    matchings = itertools.permutations(range(5), 3)
    means = {m: np.mean([abs(expected[k, f]) for f, k in enumerate(m)]) for m in matchings}
    best = max(means, key=lambda m: means[m])
    assert score.matched.tolist() == list(best)
    assert score.score == pytest.approx(means[best])
    greedy = np.abs(expected).max(0)
    assert score.score <= greedy.mean()


def test_one_code_serves_one_factor():
    shared = normal(200, 1, 1)
    factors = np.c_[shared, shared + 0.5 * normal(200, 2, 1)]
    score = mcc(shared, factors)
    assert score.matched.tolist() == [0, -1]
    assert score.factor_scores == pytest.approx([1, 0])
    assert score.score == pytest.approx(0.5)


def test_a_turn_by_45_degrees_costs_what_its_cosine_says():
    corners = np.array(list(itertools.product([-1, 1], repeat=2)))
    turned = corners @ np.array([[1, -1], [1, 1]])
    assert mcc(turned, corners).score == pytest.approx(np.sqrt(0.5))


def test_noise_and_constant_codes():
    factors = normal(5000, 1, 2)
    assert mcc(normal(5000, 2), factors).score < 5.7 / np.sqrt(5000)  # six at most 1e-7
    still = mcc(np.c_[np.full(5000, 1 / 3), factors[:, 0]], factors)
    assert still.correlations[0].tolist() == [0, 0]
    assert still.factor_scores[0] == pytest.approx(1)
    assert mcc(np.ones((9, 2)), normal(9, 1)).score == 0


def test_tensors_and_bad_input():
    codes, factors = normal(9, 1), normal(9, 2, 2)
    assert (
        mcc(torch.from_numpy(codes), torch.from_numpy(factors)).score == mcc(codes, factors).score
    )

    def refused(pattern, codes=codes, factors=factors, **options):
        with pytest.raises(ValueError, match=pattern):
            mcc(codes, factors, **options)

    broken = codes.copy()
    broken[3, 1] = np.nan
    refused(r"codes\[3, 1\] is nan; expected finite", codes=broken)
    refused(r"factors have shape \(8, 2\)", factors=factors[:8])
    refused(r"factors\[:, 1\] are all 2; expected at least two", factors=factors * [1, 0] + [0, 2])
    refused(r"factors\[:, 0\] are all", codes=codes[:1], factors=factors[:1])
    refused("correlation is 'kendall'; expected one of pearson, spearman", correlation="kendall")
