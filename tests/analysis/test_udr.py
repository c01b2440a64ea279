"""Agreement of the codes of runs where it is known."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from sklearn.linear_model import Lasso

from unbraid.analysis import udr

BOTH = pytest.mark.parametrize("similarity", ["lasso", "spearman"])


def normal(count, seed, dims=3):
    return np.random.default_rng(seed).normal(size=(count, dims))


def white(count, seed, dims=3):
    """Codes that are exactly uncorrelated."""
    codes = normal(count, seed, dims)
    return np.linalg.qr(codes - codes.mean(0))[0] * np.sqrt(count)


def test_codes_that_are_the_same_but_for_order_and_scale_agree():
    base = white(200, 1, 4)
    runs = [base, -3 * base[:, [2, 0, 3, 1]], base[:, ::-1] * [1, 9, -0.1, 2] + 4]
    score = udr(runs)
    # A lasso's coefficient of an uncorrelated code is its correlation less the penalty, 0.9.
    assert score.run_scores == pytest.approx([0.9] * 3)
    assert np.isnan(np.diag(score.pair_scores)).all()
    alone = udr([base[:, :1], base[:, :1] ** 3 + 2], similarity="spearman")
    assert alone.run_scores == pytest.approx([1, 1])


@BOTH
def test_scores_equal_the_paper_s_formula(similarity):
    base = normal(90, 1, 4)
    runs = [base[:, :3], base @ normal(4, 2, 4), base @ normal(4, 3, 2) + normal(90, 4, 2)]
    score = udr(runs, similarity=similarity)
    expected = np.full((3, 3), np.nan)
    for i, j in itertools.permutations(range(3), 2):
        first, second = ((r - r.mean(0)) / r.std(0) for r in (runs[i], runs[j]))
        table = np.zeros((first.shape[1], second.shape[1]))
        for b in range(second.shape[1]):
            if similarity == "lasso":
                table[:, b] = abs(Lasso(alpha=0.1).fit(first, second[:, b]).coef_)
            else:
                ranks = rankdata(second[:, b])
                table[:, b] = [abs(np.corrcoef(rankdata(c), ranks)[0, 1]) for c in first.T]
        total = 0.0
        for b in range(table.shape[1]):
            total += max(table[:, b]) ** 2 / (sum(table[:, b]) or 1)
        for a in range(table.shape[0]):
            total += max(table[a]) ** 2 / (sum(table[a]) or 1)
        expected[i, j] = total / sum(table.shape)
    assert score.pair_scores == pytest.approx(expected, nan_ok=True)
    medians = [np.median([expected[i, j] for i in range(3) if i != j]) for j in range(3)]
    assert score.run_scores == pytest.approx(medians)
    assert 0 < min(medians) < max(medians) < 1


@BOTH
def test_a_rotated_run_agrees_least(similarity):
    base = normal(300, 1)
    turn = np.eye(3) - 2 / 3  # entries of 1/3 and 2/3
    runs = [base + 0.01 * normal(300, seed) for seed in (2, 3, 4)] + [base @ turn]
    score = udr(runs, similarity=similarity)
    assert score.run_scores.argmin() == 3
    assert score.run_scores[:3].min() > 0.75 > 0.65 > score.run_scores[3]


@BOTH
def test_noise_agrees_little(similarity):
    score = udr([normal(5000, seed) for seed in range(3)], similarity=similarity)
    assert score.run_scores.max() < 5.7 / np.sqrt(5000)  # the largest of 27 at most: 4e-7


def test_idle_codes_do_not_count():
    base = white(200, 1, 2)
    idle = np.c_[base[:, 0], np.full(200, 1 / 3), 0.04 * normal(200, 5, 1), base[:, 1]]
    score = udr([base, idle])
    assert [mask.tolist() for mask in score.informative] == [
        [True, True],
        [True, False, False, True],
    ]
    assert score.run_scores == pytest.approx([0.9, 0.9])
    told = udr([base, idle], divergences=[np.array([2, 1]), np.array([2, 9, 0.02, 0.01])])
    assert told.informative[1].tolist() == [True, False, True, False]
    dead = udr([base, np.ones((200, 2))])
    assert dead.run_scores.tolist() == [0, 0]


def test_tensors_and_bad_input():
    runs = [normal(20, 1), normal(20, 2)]
    tensors = [torch.from_numpy(run) for run in runs]
    assert udr(tensors).run_scores.tolist() == udr(runs).run_scores.tolist()

    def refused(pattern, codes=runs, **options):
        with pytest.raises(ValueError, match=pattern):
            udr(codes, **options)

    broken = normal(20, 1)
    broken[3, 1] = np.nan
    refused(r"codes\[1\]\[3, 1\] is nan; expected finite", [runs[0], broken])
    refused("codes are those of 1 run; expected at least 2", runs[:1])
    refused(r"codes\[1\] have 19 data; expected 20", [runs[0], runs[1][:19]])
    refused("similarity is 'kendall'; expected one of lasso, spearman", similarity="kendall")
    refused("divergences are those of 1 runs; expected 2", divergences=[np.ones(3)])
    refused(r"divergences\[1\] have shape \(2,\)", divergences=[np.ones(3), np.ones(2)])
    refused(r"divergences\[0\]\[0, 1\] is nan", divergences=[np.array([1, np.nan, 1]), np.ones(3)])
