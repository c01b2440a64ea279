"""Explained variance equals the formulas written out, on targets that are known functions."""

import numpy as np
import pytest
import torch

from unbraid.analysis import forest_r2, linear_r2

SCORES = [linear_r2, forest_r2]


def linear_data(count, seed, noise=0.7):
    draw = np.random.default_rng(seed)
    codes = draw.normal(size=(count, 3))
    exact = 5 + codes @ np.array([1.0, -2.0, 0.5])
    return codes, np.stack([exact, exact + noise * draw.normal(size=count)], 1)


def test_scores_equal_the_formula():
    codes, targets = linear_data(80, 0)
    test, truth = linear_data(50, 1)
    score = linear_r2(codes, targets, test, truth)
    ones = [np.c_[np.ones(len(part)), part] for part in (codes, test)]
    told = ones[1] @ np.linalg.lstsq(ones[0], targets, rcond=None)[0]
    expected = 1 - ((truth - told) ** 2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0)
    assert score.per_target == pytest.approx(expected)
    assert score.per_target[0] == pytest.approx(1)
    assert 0.7 < score.per_target[1] < 0.97
    assert score.mean == pytest.approx(expected.mean())


def test_scales_rotations_and_dead_codes_do_not_matter():
    codes, targets = linear_data(80, 0)
    test, truth = linear_data(50, 1)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0] * [1e-3, 1.0, 1e3]
    moved = [np.c_[part @ turn, np.full(len(part), 4.0)] for part in (codes, test)]
    straight = linear_r2(codes, targets, test, truth)
    turned = linear_r2(moved[0], targets, moved[1], truth)
    assert turned.per_target == pytest.approx(straight.per_target)


def test_a_forest_sees_what_is_not_linear():
    draw = np.random.default_rng(3)
    codes, test = draw.uniform(-1, 1, (600, 2)), draw.uniform(-1, 1, (300, 2))
    targets, truth = codes[:, 0] ** 2, test[:, 0] ** 2
    assert linear_r2(codes, targets, test, truth).mean < 0.1
    assert forest_r2(codes, targets, test, truth, trees=20).mean > 0.95


def test_a_forest_repeats_itself_by_its_seed():
    codes, targets = linear_data(80, 0)
    scores = [forest_r2(codes, targets, codes, targets, trees=3, seed=s) for s in (1, 1, 2)]
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.parametrize("score", SCORES)
def test_targets_that_codes_do_not_know_score_no_better_than_their_mean(score):
    draw = np.random.default_rng(4)
    codes, targets = draw.normal(size=(400, 2)), draw.normal(size=400)
    assert score(codes[:200], targets[:200], codes[200:], targets[200:]).mean < 0.1


def test_tensors_are_welcome():
    codes, targets = map(torch.from_numpy, linear_data(80, 0))
    expected = linear_r2(codes.numpy(), targets.numpy(), codes.numpy(), targets.numpy())
    assert linear_r2(codes, targets, codes, targets) == expected
    single = linear_r2(codes.requires_grad_(), targets[:, 0].float(), codes.float(), targets[:, 0])
    assert single.per_target == pytest.approx((1,))


@pytest.mark.parametrize("score", SCORES)
def test_bad_input_is_refused(score):
    codes, targets = linear_data(6, 0)
    broken = targets.copy()
    broken[2, 1] = np.inf

    def refused(pattern, *args):
        with pytest.raises(ValueError, match=pattern):
            score(*args)

    refused(r"train_targets have shape \(5, 2\); expected", codes, targets[:5], codes, targets)
    refused(r"test_targets have shape \(6, 2, 1\)", codes, targets, codes, targets[..., None])
    refused(r"test_targets\[2, 1\] is inf; expected finite", codes, targets, codes, broken)
    refused(
        "test_codes have 2 values per datum; expected 3", codes, targets, codes[:, :2], targets
    )
    refused("test_targets have 1 values .* expected 2", codes, targets, codes, targets[:, 0])
    same = targets.copy()
    same[:, 1] = 3
    refused(r"test_targets\[:, 1\] are all 3; expected at least two", codes, targets, codes, same)
    refused(r"train_targets\[:, 1\] are all 3", codes, same, codes, targets)


def test_a_forest_has_trees():
    codes, targets = linear_data(6, 0)
    with pytest.raises(ValueError, match="trees is 0; expected at least 1"):
        forest_r2(codes, targets, codes, targets, trees=0)
