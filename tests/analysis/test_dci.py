"""DCI of importance matrices whose scores are known, and of codes made from their factors."""

import numpy as np
import pytest
import torch

from unbraid.analysis import dci, score_importance


def scored(importance):
    matrix = np.array(importance, float)
    return score_importance(matrix, np.zeros(matrix.shape[1]))


def test_one_code_per_factor_is_perfect():
    for matrix in (np.eye(4), np.eye(4)[[2, 0, 3, 1]] * [1, 2, 5, 0.1]):
        score = scored(matrix)
        assert (score.disentanglement, score.completeness) == pytest.approx((1, 1))
        assert score.code_scores == pytest.approx(np.ones(4))


def test_codes_that_matter_to_all_alike_score_nothing():
    score = scored(np.full((3, 5), 0.2))
    assert (score.disentanglement, score.completeness) == pytest.approx((0, 0))


def test_scores_equal_the_paper_s_formulas():
    matrix = np.array([[4.0, 0, 0], [1, 1, 2], [0, 0, 0], [0, 3, 1]])
    score = scored(matrix)

    def entropy(shares, base):
        return -sum(p * np.log(p) for p in shares if p) / np.log(base)

    by_code = [1, 1 - entropy([0.25, 0.25, 0.5], 3), 0, 1 - entropy([0.75, 0.25], 3)]
    by_factor = [1 - entropy(column, 4) for column in ([0.8, 0.2], [0.25, 0.75], [2 / 3, 1 / 3])]
    assert score.code_scores == pytest.approx(by_code)
    assert score.code_weights == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])
    assert score.disentanglement == pytest.approx(np.sum(by_code) / 3)
    assert score.factor_scores == pytest.approx(by_factor)
    assert score.completeness == pytest.approx(np.mean(by_factor))


def test_order_does_not_matter_and_dead_codes_weigh_nothing():
    matrix = np.random.default_rng(0).exponential(size=(4, 3))
    score = scored(matrix)
    moved = scored(np.insert(matrix[[3, 1, 0, 2]][:, [1, 2, 0]], 2, 0, axis=0))
    assert moved.disentanglement == pytest.approx(score.disentanglement)
    assert 0 < score.disentanglement < 1
    assert moved.code_weights[2] == moved.code_scores[2] == 0


def test_one_factor_in_two_codes_is_disentangled_but_incomplete():
    score = scored([[1, 0], [1, 0], [0, 1]])
    assert score.disentanglement == pytest.approx(1)
    assert score.factor_scores == pytest.approx([1 - np.log(2) / np.log(3), 1])


def test_a_factor_that_no_code_tells_is_incomplete():
    score = scored([[1, 0], [0, 0]])
    assert (score.disentanglement, score.completeness) == pytest.approx((1, 0.5))
    assert scored(np.zeros((2, 3))).disentanglement == scored(np.zeros((2, 3))).completeness == 0


def uniform(count, seed, dims=2):
    return np.random.default_rng(seed).uniform(-1, 1, (count, dims))


def turned(codes, degrees):
    angle = np.radians(degrees)
    return codes @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize("regressor", ["forest", "lasso", "boosting"])
def test_rotated_codes_are_as_informative_but_entangled(regressor):
    factors, truth = uniform(500, 1), uniform(200, 2)
    straight, braided = (
        dci(turned(factors, by), factors, turned(truth, by), truth, regressor=regressor)
        for by in (0, 45)
    )
    assert straight.disentanglement > 0.95
    assert straight.completeness > 0.95
    assert braided.disentanglement < 0.1
    assert braided.completeness < 0.1
    assert min(straight.informativeness, braided.informativeness) > 0.9


@pytest.mark.parametrize("regressor", ["forest", "boosting"])
def test_discrete_factors_are_classified(regressor):
    factors = np.random.default_rng(3).integers([3, 4], size=(400, 2))
    noise = 0.1 * np.random.default_rng(4).normal(size=(400, 3))
    codes = np.c_[factors[:, 1] ** 2, factors[:, 0] == 1, factors[:, 0] == 2] + noise
    score = dci(
        codes[:300], factors[:300], codes[300:], factors[300:], regressor=regressor, seed=5
    )
    assert score.informativeness > 0.97
    assert score.disentanglement > 0.9
    assert score.factor_scores[0] < 0.6 < 0.9 < score.factor_scores[1]  # two codes, one code
    assert score.importance.shape == (3, 2)
    assert score.importance[0].argmax() == 1


def test_classes_may_be_any_numbers():
    """As `disentanglement_scores` takes them, also halves and what is no power of two."""
    random = np.random.default_rng(8)
    numbers = random.integers(3, size=(160, 2))
    codes = numbers + random.normal(size=(160, 2)) / 4
    places = np.array([-1.3, 0.5, 0.6])
    found = [
        dci(codes[:100], of[:100], codes[100:], of[100:], discrete=[True, True])
        for of in (numbers, places[numbers])
    ]
    assert found[0].informativeness == found[1].informativeness > 0.9
    assert np.array_equal(found[0].importance, found[1].importance)


def test_informativeness_is_that_of_its_kind():
    draw = np.random.default_rng(5)
    codes = uniform(1500, 6)
    factors = np.c_[codes[:, 0] + 0.2 * draw.normal(size=1500), codes[:, 1] > 0]
    mixed = dci(codes[:900], factors[:900], codes[900:], factors[900:], discrete=(False, True))
    explained = (1 / 3) / (1 / 3 + 0.04)  # variance of the code over that of the noisy factor
    assert mixed.factor_informativeness == pytest.approx([explained, 1], abs=0.03)
    assert mixed.informativeness == pytest.approx(mixed.factor_informativeness.mean())


def test_what_cannot_be_told_is_not_informative():
    score = dci(uniform(300, 1), uniform(300, 2), uniform(300, 3), uniform(300, 4))
    assert score.informativeness < 0.1
    unseen = dci(
        uniform(90, 1), np.arange(180).reshape(90, 2) % 3, uniform(4, 3), np.full((4, 2), 9)
    )
    assert unseen.informativeness == 0


def test_lasso_drops_a_code_whatever_its_scale():
    factors, truth = uniform(300, 1), uniform(100, 2)
    codes, test = (
        np.c_[part * [1e3, 1e-3], uniform(len(part), 7, 1)] for part in (factors, truth)
    )
    score = dci(codes, 1e4 + factors, test, 1e4 + truth, regressor="lasso")
    assert score.importance[:2] == pytest.approx(0.98 * np.eye(2), abs=0.01)  # 1 less the penalty
    assert score.importance[2] == pytest.approx([0, 0])
    assert score.informativeness > 0.99


def test_seeds_make_it_deterministic():
    factors, truth = uniform(100, 1), uniform(50, 2)
    codes, test = turned(factors, 20), turned(truth, 20)
    first, again, other = (dci(codes, factors, test, truth, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.importance, again.importance)
    assert not np.array_equal(first.importance, other.importance)
    tensors = [torch.from_numpy(part) for part in (codes, factors, test, truth)]
    assert np.array_equal(first.importance, dci(*tensors, seed=3).importance)


def test_bad_input_is_refused():
    good = {
        "train_codes": uniform(9, 1, 3),
        "train_factors": uniform(9, 2),
        "test_codes": uniform(5, 3, 3),
        "test_factors": uniform(5, 4),
    }

    def refused(pattern, **changed):
        with pytest.raises(ValueError, match=pattern):
            dci(**{**good, **changed})

    broken = good["train_factors"].copy()
    broken[3, 1] = np.nan
    constant = good["train_factors"] * [1, 0] + [0, 2]
    refused(r"train_factors\[3, 1\] is nan; expected finite", train_factors=broken)
    refused(r"train_codes\[3, 1\] is nan; expected finite", train_codes=np.c_[broken, broken])
    refused(r"train_factors\[:, 1\] are all 2; expected at least two", train_factors=constant)
    refused(r"test_factors\[:, 1\] are all 2", test_factors=constant[:5])
    refused(r"train_factors have shape \(8, 2\)", train_factors=good["train_factors"][:8])
    refused("test_factors have 1 values per datum; expected 2", test_factors=uniform(5, 4, 1))
    refused("test_codes have 2 values per datum; expected 3", test_codes=uniform(5, 4))
    refused(
        "train_factors have 1 column; expected at least 2",
        train_factors=uniform(9, 2, 1),
        test_factors=uniform(5, 4, 1),
    )
    refused(
        "train_codes have 1 column; expected at least 2",
        train_codes=uniform(9, 2, 1),
        test_codes=uniform(5, 4, 1),
    )
    refused("discrete has 3 entries; expected 2", discrete=(True, False, True))
    refused("regressor is 'tree'; expected one of forest, lasso, boosting", regressor="tree")
    refused("'lasso' and a factor is discrete", regressor="lasso", discrete=(True, False))
