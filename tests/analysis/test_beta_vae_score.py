"""Beta-VAE score of codes whose differences are known."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from unbraid.analysis import beta_vae_score, beta_vae_score_of_encoder

SIZES = (5, 3, 7)
GRID = np.array(list(itertools.product(*map(range, SIZES))) * 4)
FEW = {"train_points": 600, "test_points": 500}


def test_one_code_per_factor_is_perfect():
    score = beta_vae_score(GRID[:, [2, 0, 1]], GRID, **FEW)
    assert (score.score, score.train_score) == (1, 1)
    assert score.chance == pytest.approx(1 / 3)


def test_a_rotation_is_perfect_as_well():
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    assert beta_vae_score(GRID @ turn, GRID, **FEW).score > 0.95


def test_noise_and_constants_score_chance():
    codes = np.random.default_rng(0).normal(size=(len(GRID) * 20, 4))
    factors = np.tile(GRID, (20, 1))
    error = 5 * np.sqrt(2 / 9 / 5000)  # 6e-7
    noise = beta_vae_score(codes, factors, train_points=2000)
    assert noise.score == pytest.approx(1 / 3, abs=error)
    still = beta_vae_score(np.full((len(GRID), 2), 1 / 3), GRID, train_points=600)
    assert still.score == pytest.approx(1 / 3, abs=error)


def test_a_constant_code_costs_nothing():
    codes = np.c_[np.full(len(GRID), 1 / 3), GRID]
    assert beta_vae_score(codes, GRID, **FEW).score == 1


def test_with_one_code_of_one_factor_the_rest_is_guessed():
    """The first of three factors is told rightly, of the others every second."""
    score = beta_vae_score(GRID[:, :1], GRID, train_points=3000)
    assert score.score == pytest.approx(2 / 3, abs=5 * np.sqrt(2 / 9 / 5000))  # 6e-7


def test_points_equal_those_counted_one_by_one():
    seen = []
    mixing = np.array([[1, 0, 0.5], [1, 1, 0], [0.5, 1, 3]]) / 12

    def encode(factors):
        seen.append(factors)
        return factors @ mixing

    sizes = (41, 37, 43)  # so many that chance makes no other factor the same in 3 pairs
    score = beta_vae_score_of_encoder(encode, sizes, pairs=3, train_points=700, test_points=300)
    points, shared = [], []
    for point in np.concatenate(seen).reshape(1000, 3, 2, 3):
        (factor,) = (f for f in range(3) if all(point[:, 0, f] == point[:, 1, f]))
        shared.append(factor)
        points.append(np.mean([abs((a - b) @ mixing) for a, b in point], 0))
    points = (np.array(points) - np.mean(points[:700], 0)) / np.std(points[:700], 0)
    assert sorted(shared[:700]) == sorted([0, 1, 2] * 233 + [0])
    plain = LogisticRegression(C=1e3, tol=1e-8, max_iter=9999).fit(points[:700], shared[:700])
    right = plain.predict(points) == shared
    assert score.score == pytest.approx(right[700:].mean(), abs=1.5 / 300)
    assert score.train_score == pytest.approx(right[:700].mean(), abs=1.5 / 700)
    assert 0.5 < score.score < 0.99
    first = np.concatenate(seen).reshape(1000, 3, 2, 3)[:, :, 0]
    values = [len(set(point[:, factor])) for point, factor in zip(first, shared, strict=True)]
    assert np.mean(values) > 2.7  # each pair has a value of its own


def test_order_and_scale_do_not_matter():
    mixing = np.array([[1, 0.9, 0.2], [0.3, 1, 0.8], [0, 1.1, 1]])
    codes = GRID @ mixing
    score, moved = (
        beta_vae_score(part, GRID, pairs=2, **FEW)
        for part in (codes, codes[:, [2, 0, 1]] * [1e-5, -2, 8] + 1)
    )
    assert moved.score == pytest.approx(score.score, abs=0.005)
    assert 0.4 < score.score < 0.99


def test_seeds_make_it_deterministic():
    codes = torch.from_numpy(GRID @ np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]]))
    scores = [
        beta_vae_score(codes, torch.from_numpy(GRID), pairs=1, seed=seed, **FEW)
        for seed in (3, 3, 4)
    ]
    assert scores[0] == scores[1] != scores[2]


def test_bad_input_is_refused():
    good = {"codes": GRID * 1.0, "factors": GRID}

    def refused(pattern, **changed):
        with pytest.raises(ValueError, match=pattern):
            beta_vae_score(**{**good, **changed})

    broken = GRID * 1.0
    broken[3, 1] = np.nan
    refused(r"codes\[3, 1\] is nan; expected finite", codes=broken)
    refused(r"factors have shape \(9, 3\)", factors=GRID[:9])
    refused("factors are not integers; expected classes", factors=GRID + 0.5)
    refused(r"factors\[:, 0\] are all 0; expected at least two", factors=GRID * [0, 1, 1])
    refused("factors have 1 column; expected at least 2", factors=GRID[:, :1])
    refused("pairs is 0; expected at least 1", pairs=0)
    refused("train_points is 2; expected at least 3", train_points=2)
    refused("test_points is 0; expected at least 1", test_points=0)
    with pytest.raises(ValueError, match=r"sizes\[1\] is 1; expected at least 2"):
        beta_vae_score_of_encoder(lambda factors: factors, (3, 1))


@pytest.mark.parametrize("sizes", [(200, 5), (20, 50)])
def test_noise_scores_chance_where_few_data_share_a_value(sizes):
    """A pair of one datum would have no differences, and tell which factor has few data."""
    factors = np.array(list(itertools.product(*map(range, sizes))))
    codes = np.random.default_rng(0).normal(size=(len(factors), 3))
    score = beta_vae_score(codes, factors, pairs=16, train_points=2000, test_points=2000)
    # Four standard errors of a guess, and what a thousand fixed codes have by chance.
    assert score.score == pytest.approx(0.5, abs=0.045 + 0.05)
