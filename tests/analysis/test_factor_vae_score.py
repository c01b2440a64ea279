"""FactorVAE score of codes whose votes are known, and against votes counted one by one."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import norm

from unbraid.analysis import factor_vae_score, factor_vae_score_of_encoder

SIZES = (5, 3, 7)
GRID = np.array(list(itertools.product(*map(range, SIZES))) * 4)


def spread(values, size):
    """Quantiles of a Normal: with integers, two variances could be the same."""
    return norm.ppf((np.asarray(values) + 0.5) / size)


def columns(factors, kept):
    return np.stack([spread(factors[:, f], SIZES[f]) for f in kept], 1)


def test_one_code_per_factor_is_perfect():
    score = factor_vae_score(columns(GRID, (2, 0, 1)), GRID, train_votes=900)
    assert score.score == score.train_score == 1
    assert score.chance == pytest.approx(1 / 3)
    assert score.votes.shape == (3, 3)
    assert score.votes.sum() == 900
    assert (score.votes > 0).tolist() == np.eye(3, dtype=bool)[[2, 0, 1]].tolist()


def test_votes_and_accuracy_equal_those_counted_one_by_one():
    seen = []
    mixing = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 3], [0.9, 0.8, 0.9], [0, 0, 0.01]])

    def encode(factors):
        seen.append(factors)
        return factors @ mixing.T / 12

    sizes = (41, 37, 43)  # so many that no factor is the same in 6 data by chance
    score = factor_vae_score_of_encoder(encode, sizes, samples=6, train_votes=700, test_votes=300)
    every, groups = seen[0] @ mixing.T / 12, np.concatenate(seen[1:]).reshape(1000, 6, 3)
    ballots = []
    for group in groups:
        (fixed,) = (f for f in range(3) if len(set(group[:, f])) == 1)
        codes = group @ mixing.T / 12
        ratios = [codes[:, k].var(ddof=1) / every[:, k].var(ddof=1) for k in range(4)]
        ballots.append((ratios.index(min(ratios)), fixed))
    votes = Counter(ballots[:700])
    assert score.votes.tolist() == [[votes[k, f] for f in range(3)] for k in range(5)]
    named = [max(range(3), key=lambda f, k=k: votes[k, f]) for k in range(4)]
    assert score.score == pytest.approx(np.mean([named[k] == f for k, f in ballots[700:]]))
    assert score.train_score == pytest.approx(np.mean([named[k] == f for k, f in ballots[:700]]))
    assert 0.5 < score.score < 0.95
    assert score.active.tolist() == [True] * 4 + [False]


@pytest.mark.parametrize("way", ["given", "encoder"])
def test_a_code_of_one_factor_beside_one_of_none_names_three_of_four(way):
    """While the unknown factor is fixed, either code varies least as often."""
    sizes = (9, 4, 9)
    grid = np.array(list(itertools.product(*map(range, sizes))) * 5)

    def encode(factors, unnamed):
        return np.stack([spread(factors[:, 0], 9), spread(unnamed, 9)], 1)

    if way == "given":
        score = factor_vae_score(encode(grid, grid[:, 2]), grid[:, :2])
    else:
        draws = np.random.default_rng(1)
        score = factor_vae_score_of_encoder(
            lambda factors: encode(factors, draws.integers(9, size=len(factors))), sizes[:2]
        )
    assert score.votes[1, 0] == 0
    error = np.sqrt(0.75 * 0.25 / 5000)
    assert score.score == pytest.approx(0.75, abs=5 * error)  # 6e-7


def test_noise_scores_chance():
    codes = np.random.default_rng(0).normal(size=(len(GRID) * 20, 6))
    factors = np.tile(GRID, (20, 1))
    # A code that varies less at one value by chance moves votes, so chance is met but nearly.
    assert factor_vae_score(codes, factors).score == pytest.approx(1 / 3, abs=0.06)


def test_order_and_scale_do_not_matter():
    codes = columns(GRID, (0, 1, 2)) @ np.array([[1, 0.9, 0.2], [0.3, 1, 0.8], [0, 1.1, 1]])
    score, moved = (
        factor_vae_score(part, GRID, samples=8)
        for part in (codes, codes[:, [2, 0, 1]] * [4, -2, 8])
    )
    assert 0.4 < score.score < 0.95
    assert moved.score == score.score
    assert np.array_equal(moved.votes, score.votes[[2, 0, 1]])


def test_dead_codes_take_no_part():
    codes = columns(GRID, (0, 1, 2))
    noise = np.random.default_rng(0).normal(size=len(GRID))
    plain = factor_vae_score(codes, GRID)
    full = np.c_[np.full(len(GRID), 3.0), codes, 0.04 * noise]
    score = factor_vae_score(full, GRID)
    assert score.active.tolist() == [False, True, True, True, False]
    assert score.active_count == 3
    assert np.array_equal(score.votes[1:4], plain.votes)
    assert score.votes[[0, 4]].sum() == 0
    assert score.score == 1
    # Votes that a constant, in floats not always so, could win.
    assert factor_vae_score(full, GRID, least_scale=0).active.tolist() == [False] + [True] * 4


def test_without_active_codes_it_is_chance():
    score = factor_vae_score(np.zeros((len(GRID), 2)), GRID)
    assert (score.score, score.active_count, score.votes.sum()) == (score.chance, 0, 0)


def test_one_code_names_one_factor():
    score = factor_vae_score(columns(GRID, (0,)), GRID)
    assert score.votes.shape == (1, 3)
    assert score.score == pytest.approx(1 / 3, abs=5 * np.sqrt(2 / 9 / 5000))  # 6e-7


def test_values_of_single_data_are_not_fixed():
    """The single datum's code is far away: as a vote of its own it would tie all codes at 0."""
    factors = np.r_[GRID, [[5, 0, 0]]]
    codes = np.r_[columns(GRID, (1, 0, 2)), [[0, 0, 0]]]
    score = factor_vae_score(codes, factors)
    assert score.score == 1
    assert (score.votes > 0).sum() == 3


def test_values_are_fixed_as_often_as_the_data_have_them():
    """Code 0 stands still at value 0 of factor 0 alone, which three of four data have."""
    rare = np.repeat([0, 1], [3000, 1000])
    draws = np.random.default_rng(2)
    other = draws.integers(20, size=4000)
    wild = np.where(rare == 0, 0, draws.normal(size=4000))
    score = factor_vae_score(np.c_[wild, spread(other, 20)], np.c_[rare, other])
    votes = score.votes[:, 0]
    error = np.sqrt(0.75 * 0.25 / votes.sum())
    assert votes[0] / votes.sum() == pytest.approx(0.75, abs=5 * error)  # 6e-7


def test_seeds_make_it_deterministic():
    codes = columns(GRID, (0, 1, 2)) @ np.array([[1, 0.9, 0.2], [0.3, 1, 0.8], [0, 1.1, 1]])
    tensors = torch.from_numpy(codes), torch.from_numpy(GRID)
    first, again, other = (
        factor_vae_score(*tensors, seed=seed, train_votes=300) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.votes, again.votes)
    assert not np.array_equal(first.votes, other.votes)
    state = np.random.get_state()
    factor_vae_score(*tensors, train_votes=9)
    assert str(state) == str(np.random.get_state())


def test_bad_input_is_refused():
    good = {"codes": columns(GRID, (0, 1, 2)), "factors": GRID}

    def refused(pattern, **changed):
        with pytest.raises(ValueError, match=pattern):
            factor_vae_score(**{**good, **changed})

    broken = good["codes"].copy()
    broken[3, 1] = np.nan
    refused(r"codes\[3, 1\] is nan; expected finite", codes=broken)
    refused(r"factors have shape \(9, 3\)", factors=GRID[:9])
    refused("factors are not integers; expected classes", factors=GRID + 0.5)
    refused(
        r"factors\[:, 1\] are all 2; expected at least two", factors=GRID * [1, 0, 1] + [0, 2, 0]
    )
    refused("factors have 1 column; expected at least 2", factors=GRID[:, :1])
    refused(
        r"factors\[:, 0\] have another value in each of 420 data",
        factors=np.c_[np.arange(len(GRID)), GRID],
    )
    refused("samples is 1; expected at least 2", samples=1)
    refused("test_votes is 0; expected at least 1", test_votes=0)
    refused("least_scale is -1; expected at least 0", least_scale=-1)
    with pytest.raises(ValueError, match=r"sizes\[1\] is 1; expected at least 2"):
        factor_vae_score_of_encoder(lambda factors: factors, (3, 1))
    with pytest.raises(ValueError, match="encode returned 1 codes; expected 10000"):
        factor_vae_score_of_encoder(lambda factors: factors[:1], (3, 2))
