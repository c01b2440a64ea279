"""Mutual information gaps of codes and of posteriors whose information is known."""

import itertools
from math import log

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import mutual_info_score

from unbraid.analysis import mig_of_means, mig_of_posteriors

SIZES = (4, 3, 7)
GRID = np.array(list(itertools.product(*map(range, SIZES))) * 5)
TWO = np.array(list(itertools.product(range(4), range(3))) * 25)


def test_one_code_per_factor_is_perfect():
    score = mig_of_means(GRID[:, [2, 0, 1]], GRID)
    assert score.score == pytest.approx(1)
    assert score.gaps == pytest.approx(np.ones(3))
    assert score.factor_entropies == pytest.approx(np.log(SIZES))
    expected = np.diag(np.log(SIZES))[[2, 0, 1]]
    assert score.mutual_information == pytest.approx(expected, abs=1e-9)


def test_information_of_bins_equals_scikit_learn_s_of_histograms():
    draws = np.random.default_rng(0)
    codes = GRID @ draws.normal(size=(3, 4)) + draws.normal(size=(len(GRID), 4))
    score = mig_of_means(codes, GRID, bins=9)
    assert score.mutual_information.shape == (4, 3)
    expected = np.zeros((4, 3))
    for k, f in itertools.product(range(4), range(3)):
        edges = np.histogram(codes[:, k], 9)[1]
        expected[k, f] = mutual_info_score(np.digitize(codes[:, k], edges[:-1]), GRID[:, f])
    assert score.mutual_information == pytest.approx(expected)
    gaps = []
    for f in range(3):
        best, second = sorted(expected[:, f], reverse=True)[:2]
        gaps.append((best - second) / log(SIZES[f]))
    assert score.gaps == pytest.approx(gaps)
    assert score.score == pytest.approx(np.mean(gaps))
    assert score.standard_error is None


def test_order_scale_and_shift_do_not_matter():
    draws = np.random.default_rng(0)
    codes = GRID @ draws.normal(size=(3, 4)) + draws.normal(size=(len(GRID), 4))
    moved = codes[:, [3, 1, 0, 2]] * [8, -0.25, 2, 64]
    first, second = mig_of_means(codes, GRID), mig_of_means(moved, GRID)
    assert second.score == pytest.approx(first.score)
    assert 0 < first.score < 0.5
    scales = np.abs(draws.normal(size=codes.shape)) + 0.1
    one, other = (
        mig_of_posteriors(loc, scale, GRID, samples=9000)
        for loc, scale in ((codes, scales), (codes * 8 + 3, scales * 8))
    )
    assert other.score == pytest.approx(one.score)


def test_noise_holds_as_little_as_counting_makes_up():
    """The counts' bias is about that of a chi-squared variable, (20 - 1)(7 - 1) / 2N at most."""
    draws = np.random.default_rng(1)
    factors = draws.integers(SIZES, size=(5000, 3))
    codes = draws.uniform(size=(5000, 6))
    score = mig_of_means(codes, factors)
    freedom = 19 * (np.array(SIZES) - 1)
    mean, spread = freedom / 1e4, np.sqrt(2 * freedom) / 1e4
    assert np.all(np.abs(score.mutual_information - mean) < 8 * spread)  # 1e-7
    posterior = mig_of_posteriors(np.zeros((5000, 6)), np.ones((5000, 6)), factors)
    assert posterior.mutual_information == pytest.approx(np.zeros((6, 3)), abs=1e-9)
    assert posterior.score == pytest.approx(0, abs=1e-9)


def test_two_codes_of_one_factor_have_no_gap():
    score = mig_of_means(np.c_[TWO[:, 0], -2 * TWO[:, 0], TWO[:, 1]], TWO)
    assert score.gaps == pytest.approx([0, 1], abs=1e-9)


def test_constant_codes_hold_nothing_and_constant_factors_do_not_count():
    still = np.full(len(TWO), 1 / 3)
    score = mig_of_means(np.c_[still, TWO], np.c_[TWO, still > 1])
    assert score.mutual_information[0] == pytest.approx(np.zeros(3), abs=1e-12)
    assert score.gaps[:2] == pytest.approx([1, 1])
    assert np.isnan(score.gaps[2])
    assert score.score == pytest.approx(1)
    codes = np.c_[TWO, still]
    sampled = mig_of_posteriors(codes, np.full(codes.shape, 1e-3), np.c_[TWO, still > 1])
    assert np.isnan(sampled.gaps[2])
    assert sampled.factor_entropies[2] == 0
    assert sampled.score == pytest.approx(1, abs=1e-6)
    assert sampled.mutual_information[:, 2] == pytest.approx(np.zeros(3))


LOCS = np.stack([0.9 * TWO[:, 0], TWO[:, 1] - 0.2 * TWO[:, 0], 0.3 * TWO[:, 1] ** 2], 1)
SCALES = np.stack([0.4 + 0.1 * TWO[:, 1], 0.5 + 0.2 * TWO[:, 0], 0.3 + 0 * TWO[:, 0]], 1)


def integrated(column, k):
    """I(z_k; v) of the mixture, in nats, by sums over a fine grid."""
    grid = np.linspace(-8, 12, 40_001)
    of_value = []
    for value in np.unique(column):
        parts = np.unique(np.c_[LOCS[:, k], SCALES[:, k]][column == value], axis=0)  # as likely
        of_value.append(norm.pdf(grid, *parts[:, :, None].swapaxes(0, 1)).mean(0))
    whole = np.mean(of_value, 0)
    ratios = [np.where(q > 0, q * np.log(np.where(q > 0, q / whole, 1)), 0) for q in of_value]
    return np.mean([one.sum() * (grid[1] - grid[0]) for one in ratios])


def test_information_of_posteriors_equals_the_integral():
    score = mig_of_posteriors(LOCS, SCALES, TWO, samples=40_000)
    expected = np.array([[integrated(TWO[:, f], k) for f in range(2)] for k in range(3)])
    # A log ratio is at most log 4 above 0 and rarely far below: its deviation is below 1.
    assert score.mutual_information == pytest.approx(expected, abs=5 / 200)  # 6 times 6e-7
    gaps = []
    for f, size in enumerate((4, 3)):
        best, second = sorted(expected[:, f], reverse=True)[:2]
        gaps.append((best - second) / log(size))
    assert 0.1 < np.mean(gaps) < 0.9
    assert score.standard_error is not None
    assert 0 < score.standard_error < 0.005
    assert score.score == pytest.approx(np.mean(gaps), abs=5 * score.standard_error)  # 6e-7
    assert score.score == pytest.approx(score.gaps.mean())


def test_the_standard_error_is_how_much_seeds_differ():
    scores = [mig_of_posteriors(LOCS, SCALES, TWO, samples=900, seed=seed) for seed in range(60)]
    spread = np.std([score.score for score in scores], ddof=1)
    stated = np.mean([float(score.standard_error or 0) for score in scores])
    assert 0.6 < spread / stated < 1.6  # 60 seeds: 9 % off is one deviation


def test_some_components_stand_for_all_without_counting_the_own_twice():
    """Counted as one of 300, a datum's own density would make up information."""
    draws = np.random.default_rng(4)
    factors = draws.integers(SIZES[:2], size=(2500, 2))
    locs = np.c_[factors[:, 0] + 0.5 * draws.normal(size=2500), 2 * draws.normal(size=2500)]
    scales = np.full(locs.shape, 0.05)
    exact = mig_of_posteriors(locs, scales, factors, samples=1500)
    some = mig_of_posteriors(locs, scales, factors, samples=1500, components=300)
    assert exact.mutual_information[0, 0] > 0.5
    assert some.mutual_information == pytest.approx(exact.mutual_information, abs=0.08)
    half = mig_of_posteriors(locs, scales, factors, samples=1500, components=2499)
    assert half.mutual_information == pytest.approx(exact.mutual_information, abs=0.02)
    again = mig_of_posteriors(locs, scales, factors, samples=1500, components=2500)
    assert np.array_equal(again.mutual_information, exact.mutual_information)


def test_a_density_equals_the_mean_over_the_data():
    """Every datum sampled once: the estimate by scipy's densities at the same samples."""
    order = np.random.default_rng(0)
    data = order.permutation(len(TWO))
    z = LOCS[data] + SCALES[data] * order.standard_normal(LOCS.shape)
    score = mig_of_posteriors(LOCS, SCALES, TWO, samples=len(TWO), seed=0)
    ratios = np.zeros((3, 2, len(TWO)))
    for k, f in itertools.product(range(3), range(2)):
        density = norm.pdf(z[:, k, None], LOCS[:, k], SCALES[:, k])
        same = TWO[data, f][:, None] == TWO[:, f]
        conditional = (density * same).sum(1) / same.sum(1)
        ratios[k, f] = np.log(conditional / density.mean(1))
    assert score.mutual_information == pytest.approx(ratios.mean(-1))
    shares = []
    for f, size in enumerate((4, 3)):
        best, second = sorted(range(3), key=lambda k, f=f: -ratios[k, f].mean())[:2]
        shares.append((ratios[best, f] - ratios[second, f]) / log(size))
    spread = np.mean(shares, 0).std(ddof=1)
    assert score.score == pytest.approx(np.mean(shares))
    assert score.standard_error == pytest.approx(spread / np.sqrt(len(TWO)))


def test_values_of_single_data_are_known_from_their_own_density():
    locs = np.c_[np.arange(40.0), np.zeros(40)]
    score = mig_of_posteriors(locs, np.full((40, 2), 0.01), np.arange(40), samples=400)
    assert score.gaps == pytest.approx([1])
    assert score.mutual_information[0, 0] == pytest.approx(log(40))


def test_noise_that_hides_means_counts_for_posteriors_alone():
    codes = np.c_[1e-3 * TWO]
    assert mig_of_means(codes, TWO).score == pytest.approx(1)
    assert mig_of_posteriors(codes, np.ones(codes.shape), TWO).score == pytest.approx(0, abs=1e-3)


def test_seeds_make_it_deterministic():
    tensors = torch.from_numpy(LOCS), torch.from_numpy(SCALES), torch.from_numpy(TWO)
    first, again, other = (
        mig_of_posteriors(*tensors, samples=500, seed=seed) for seed in (3, 3, 4)
    )
    assert first.score == again.score != other.score


def test_bad_input_is_refused():
    good = {"locs": LOCS, "scales": SCALES, "factors": TWO}

    def refused(pattern, **changed):
        with pytest.raises(ValueError, match=pattern):
            mig_of_posteriors(**{**good, **changed})

    broken = LOCS.copy()
    broken[3, 1] = np.nan
    refused(r"locs\[3, 1\] is nan; expected finite", locs=broken)
    refused(r"scales have shape \(300, 2\); expected \(300, 3\)", scales=SCALES[:, :2])
    refused("scales have a least value of 0; expected positive", scales=SCALES * [0, 1, 1])
    refused("samples is 1; expected at least 2", samples=1)
    refused("components is 1; expected at least 2", components=1)
    refused("locs have 1 column; expected at least 2", locs=LOCS[:, :1], scales=SCALES[:, :1])
    refused("factors have one value each; expected one that varies", factors=TWO * 0)
    for pattern, changed in (
        (r"codes\[3, 1\] is nan; expected finite", {"codes": broken}),
        ("codes have 1 column; expected at least 2", {"codes": LOCS[:, :1]}),
        ("factors are not integers; expected classes", {"factors": LOCS}),
        (r"factors have shape \(9, 2\)", {"factors": TWO[:9]}),
        ("factors have one value each", {"codes": LOCS[:1], "factors": TWO[:1]}),
        ("bins is 1; expected at least 2", {"bins": 1}),
    ):
        with pytest.raises(ValueError, match=pattern):
            mig_of_means(**{"codes": LOCS, "factors": TWO, **changed})
