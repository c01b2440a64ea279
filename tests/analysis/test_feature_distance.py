"""Fréchet and kernel distances against closed forms of Gaussians and sums over pairs."""

from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from unbraid.analysis import frechet_distance, frechet_distance_of_moments, kernel_distance

DIMS = 6


def draws(count, seed=0, scale=1.0, shift=0.0, dims=DIMS):
    return shift + scale * np.random.default_rng(seed).standard_normal((count, dims))


def covariance(seed, dims=DIMS, rank=None):
    factor = draws(rank or 2 * dims, seed, dims=dims)
    return factor.T @ factor / len(factor)


def test_scaled_identities_have_a_closed_form():
    """|m - n|^2 + D (s - t)^2."""
    identity = np.eye(DIMS)
    found = frechet_distance_of_moments(
        np.zeros(DIMS), 4 * identity, np.full(DIMS, 0.5), 9 * identity
    )
    assert found == pytest.approx(DIMS * (0.25 + 1), rel=1e-12)


def test_one_dimension_has_a_closed_form():
    found = frechet_distance_of_moments(
        torch.tensor([1.0]), torch.tensor(4.0), np.array([3.0]), np.array([[0.25]])
    )
    assert found == pytest.approx(4 + (2 - 0.5) ** 2)


@pytest.mark.parametrize("rank", [None, 3])
def test_moments_are_as_with_scipys_root(rank):
    """The formula of Heusel et al., with the root of the product of both."""
    first, second = covariance(1, rank=rank), covariance(2)
    mean = draws(2, 3)
    # scipy's root of a singular matrix is not exact, so that a little is added.
    root = sqrtm((first + 1e-12 * np.eye(DIMS)) @ second)
    expected = ((mean[0] - mean[1]) ** 2).sum() + np.trace(first + second - 2 * np.real(root))
    found = frechet_distance_of_moments(mean[0], first, mean[1], second)
    assert found == pytest.approx(expected, rel=1e-4 if rank else 1e-9)
    assert found == pytest.approx(frechet_distance_of_moments(mean[1], second, mean[0], first))


def test_a_common_rotation_changes_nothing():
    first, second, mean = covariance(1), covariance(2), draws(2, 3)
    turn = np.linalg.qr(draws(DIMS, 4))[0]
    turned = frechet_distance_of_moments(
        turn @ mean[0], turn @ first @ turn.T, turn @ mean[1], turn @ second @ turn.T
    )
    assert turned == pytest.approx(frechet_distance_of_moments(mean[0], first, mean[1], second))


def test_sets_are_as_their_moments():
    own, other = draws(50), draws(80, 1, scale=2, shift=1)
    moments = [m for x in (own, other) for m in (x.mean(0), np.cov(x.T))]
    expected = frechet_distance_of_moments(*moments)
    assert frechet_distance(torch.tensor(own), other) == pytest.approx(expected)


def test_sets_converge_to_their_distributions():
    """The mean of 20 distances nears the true 6 (1 + 0.25); the bias falls with the count.

    The seeds are fixed. The standard error of the mean distance of 4000 data is 0.04 (measured
    over 20 pairs of sets), so that 0.3 is 7 of them.
    """
    errors = []
    for count in (40, 4000):
        pairs = [
            (draws(count, 2 * seed), draws(count, 2 * seed + 1, scale=1.5, shift=1))
            for seed in range(20)
        ]
        errors.append(np.mean([frechet_distance(*pair) for pair in pairs]) - 6 * 1.25)
    assert abs(errors[1]) < 0.3
    same = [frechet_distance(draws(n, 1), draws(n, 2)) for n in (40, 400, 4000)]
    assert same[0] > 5 * same[1] > 25 * same[2] > 0


def test_equal_sets_have_no_distance():
    own = draws(50)
    assert frechet_distance(own, own[::-1]) == pytest.approx(0, abs=1e-10)


def test_too_few_data_for_a_covariance_are_refused():
    with pytest.raises(ValueError, match=r"others have 6 data of 6 features.*at least 7 data"):
        frechet_distance(draws(50), draws(6))


def naive(x, y):
    """The estimate without bias, pair by pair."""

    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    n, m = len(x), len(y)
    own = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    other = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own + other - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_blocks_are_the_estimate_pair_by_pair():
    x, y = draws(8, dims=3), draws(13, 1, dims=3, shift=0.5)
    found = kernel_distance(x, y, blocks=2, seed=5)
    random = np.random.default_rng(5)
    x, y = x[random.permutation(8)], y[random.permutation(13)]
    values = [naive(x[:4], y[:6]), naive(x[4:], y[6:12])]
    assert found.blocks == 2
    assert found.value == pytest.approx(np.mean(values))
    assert found.standard_error == pytest.approx(abs(values[0] - values[1]) / 2)


def test_equal_distributions_are_zero_on_average():
    """200 estimates of few data: unbiased, as the one with its diagonal is not.

    With fixed seeds; the mean is within 5 standard errors of 0, which a true 0 misses in one of
    two million.
    """
    values = np.array(
        [
            kernel_distance(draws(20, 2 * i), draws(20, 2 * i + 1), blocks=2).value
            for i in range(200)
        ]
    )
    assert abs(values.mean()) < 5 * values.std(ddof=1) / sqrt(200)
    assert values.min() < 0
    # With the diagonal, the estimate would exceed 0 by 2 E[k(x, x) - k(x, y)] / 10, about 1.
    assert values.std(ddof=1) / sqrt(200) < 0.1


def test_the_standard_error_is_how_much_the_value_varies():
    """Over 100 pairs of sets; the ratio of the two has a standard error below 0.1."""
    found = [
        kernel_distance(draws(200, 2 * i), draws(200, 2 * i + 1, shift=0.5)) for i in range(100)
    ]
    spread = np.std([each.value for each in found], ddof=1)
    told = sqrt(np.mean([each.standard_error**2 for each in found]))
    assert 0.5 < told / spread < 1.5
    error = spread / sqrt(100)
    mean = np.mean([each.value for each in found])
    assert abs(mean - known_discrepancy(0.5)) < 5 * error < 0.2 * mean


def known_discrepancy(shift):
    """The squared discrepancy of N(0, I) and N(shift, I), from the moments of x . y."""

    def mean_kernel(a, b):
        inner = a @ b
        second = DIMS + a @ a + b @ b + inner**2
        third = inner**3 + 3 * inner * (a @ a + b @ b + DIMS + 2)
        return 1 + 3 * inner / DIMS + 3 * second / DIMS**2 + third / DIMS**3

    zero, other = np.zeros(DIMS), np.full(DIMS, shift)
    return mean_kernel(zero, zero) + mean_kernel(other, other) - 2 * mean_kernel(zero, other)


def test_few_data_of_many_features_have_a_kernel_distance():
    own, other = draws(20, dims=100), draws(20, 1, dims=100, shift=1)
    found = kernel_distance(own, other, blocks=5)
    assert found.value > 5 * found.standard_error


@pytest.mark.parametrize("blocks", [0, 1, 11])
def test_wrong_blocks_are_named(blocks):
    with pytest.raises(ValueError, match=f"blocks is {blocks} for 20 features.* from 2 to 10,"):
        kernel_distance(draws(20), draws(40), blocks=blocks)


@pytest.mark.parametrize("blocks", [5.0, 2.5, np.nan, "5", None])
def test_blocks_that_are_no_integer_are_named(blocks):
    with pytest.raises(ValueError, match=f"blocks is {blocks!r}; expected an integer of at least"):
        kernel_distance(draws(20), draws(40), blocks=blocks)
    wide: Any = np.int64(5)
    assert kernel_distance(draws(20), draws(40), blocks=wide).blocks == 5


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_wrong_features_are_named(distance):
    with pytest.raises(ValueError, match="others have 5 features per datum; expected 6"):
        distance(draws(20), draws(20, dims=5))
    wrong = draws(20)
    wrong[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"others\[3, 2\] is nan"):
        distance(draws(20), wrong)
    with pytest.raises(ValueError, match=r"features have shape \(20,\)"):
        distance(np.zeros(20), draws(20))


def test_wrong_moments_are_named():
    mean, good = np.zeros(2), np.eye(2)
    for bad, message in (
        (np.diag([1.0, -1.0]), "least eigenvalue of -1"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "asymmetry of 0.5"),
        (np.eye(3), r"other_covariance is \(3, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            frechet_distance_of_moments(mean, good, mean, bad)
    with pytest.raises(ValueError, match="mean has 2 values and other_mean 3"):
        frechet_distance_of_moments(mean, good, np.zeros(3), np.eye(3))


@pytest.mark.parametrize("seed", [1.5, -1, "0"])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed is {seed!r}; expected an integer of at least 0"):
        kernel_distance(torch.randn(20, 3), torch.randn(20, 3), blocks=2, seed=seed)
