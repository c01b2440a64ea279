"""Modularity of matrices and codes whose scores are known."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from unbraid.analysis import modularity, score_modularity

SIZES = (4, 3, 7)
GRID = np.array(list(itertools.product(*map(range, SIZES))) * 5)


def test_one_factor_per_code_is_modular():
    codes = np.c_[GRID[:, [2, 0, 1]], -(GRID[:, 0] ** 2)]
    score = modularity(codes, GRID)
    assert score.code_scores == pytest.approx(np.ones(4))
    assert score.score == pytest.approx(1)


def test_scores_equal_the_paper_s_formula():
    draws = np.random.default_rng(0)
    codes = GRID @ draws.normal(size=(3, 4)) + draws.normal(size=(len(GRID), 4))
    score = modularity(codes, GRID, bins=9)
    expected = []
    for k in range(4):
        binned = np.digitize(codes[:, k], np.histogram(codes[:, k], 9)[1][:-1])
        held = [mutual_info_score(binned, GRID[:, f]) for f in range(3)]
        assert score.mutual_information[k] == pytest.approx(held)
        main = int(np.argmax(held))
        template = [max(held) if f == main else 0 for f in range(3)]
        strays = sum((held[f] - template[f]) ** 2 for f in range(3))
        expected.append(1 - strays / (max(held) ** 2 * 2))
    assert score.code_scores == pytest.approx(expected)
    assert score.score == pytest.approx(np.mean(expected))
    assert 0 < min(expected) < max(expected) < 1


def test_known_matrices():
    score = score_modularity(np.array([[2.0, 0, 0], [1, 1, 1], [0, 0, 0], [0, 4, 2]]))
    assert score.code_scores == pytest.approx([1, 0, 0, 1 - 0.25 / 2])
    assert score.score == pytest.approx((1 + 0.875) / 4)


def test_constant_codes_score_nothing_and_order_and_scale_do_not_matter():
    draws = np.random.default_rng(0)
    codes = GRID @ draws.normal(size=(3, 3)) + draws.normal(size=(len(GRID), 3))
    score = modularity(codes, GRID)
    moved = modularity(np.c_[codes[:, [2, 0, 1]] * [8, -0.25, 1], np.full(len(GRID), 1 / 3)], GRID)
    assert moved.code_scores == pytest.approx([*score.code_scores[[2, 0, 1]], 0])


def test_noise_has_a_score_of_counting_alone():
    """Its information is all bias, in proportion to the factors' values less 1, here 1 to 3."""
    draws = np.random.default_rng(1)
    factors = draws.integers([5, 13], size=(6000, 2))
    score = modularity(draws.normal(size=(6000, 40)), factors)
    assert score.mutual_information.max() < 0.05
    assert score.score == pytest.approx(1 - (4 / 12) ** 2, abs=0.05)


def test_bad_input_is_refused():
    codes = GRID * 1.0
    assert modularity(torch.from_numpy(codes), torch.from_numpy(GRID)).score == pytest.approx(1)

    def refused(pattern, codes=codes, factors=GRID, **options):
        with pytest.raises(ValueError, match=pattern):
            modularity(codes, factors, **options)

    broken = codes.copy()
    broken[3, 1] = np.nan
    refused(r"codes\[3, 1\] is nan; expected finite", codes=broken)
    refused(r"factors have shape \(9, 3\)", factors=GRID[:9])
    refused("factors are not integers; expected classes", factors=codes)
    refused("factors have 1 column; expected at least 2", factors=GRID[:, :1])
    refused(r"factors\[:, 1\] are all 0; expected at least two", factors=GRID * [1, 0, 1])
    refused("bins is 1; expected at least 2", bins=1)
