"""Total correlation and Wasserstein distance of Gaussians, in closed form."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch.distributions import MultivariateNormal, kl_divergence

from unbraid.analysis import dependence_of_covariance, gaussian_dependence


def exact(covariance, count=60, seed=0):
    """Draw codes whose sample covariance is the one asked for."""
    codes = np.random.default_rng(seed).normal(size=(count, len(covariance)))
    codes -= codes.mean(0)
    whitened = codes @ np.linalg.inv(np.linalg.cholesky(np.cov(codes, rowvar=False))).T
    return whitened @ np.linalg.cholesky(covariance).T + 3


def test_two_codes_have_the_known_total_correlation():
    rho = 0.6
    result = gaussian_dependence(exact(np.array([[4, 2 * rho], [2 * rho, 1]])))
    assert result.total_correlation == pytest.approx(-0.5 * math.log(1 - rho**2))
    equal = gaussian_dependence(exact(np.array([[1, rho], [rho, 1]])))
    # Eigenvalues 1 + rho and 1 - rho against 1 and 1.
    distance = 4 - 2 * (math.sqrt(1 + rho) + math.sqrt(1 - rho))
    assert equal.wasserstein == pytest.approx(distance)
    assert equal.wasserstein_share == pytest.approx(distance / 2)


def test_five_codes_have_torch_s_divergence_and_the_distance_of_roots():
    root = np.random.default_rng(1).normal(size=(5, 5))
    covariance = root @ root.T + 0.1 * np.eye(5)
    diagonal = np.diag(np.diag(covariance))
    zero = torch.zeros(5, dtype=torch.float64)
    joint, product = (
        MultivariateNormal(zero, torch.from_numpy(part)) for part in (covariance, diagonal)
    )
    result = gaussian_dependence(torch.from_numpy(exact(covariance)))
    assert result.total_correlation == pytest.approx(float(kl_divergence(joint, product)))
    half = np.real(sqrtm(diagonal))
    cross = np.real(sqrtm(half @ covariance @ half))
    distance = np.trace(covariance + diagonal - 2 * cross)
    assert result.wasserstein == pytest.approx(distance)
    assert result.wasserstein_share == pytest.approx(distance / np.trace(covariance))
    assert 0 < result.wasserstein_share < 1
    straight = dependence_of_covariance(covariance)
    assert straight.total_correlation == pytest.approx(result.total_correlation)


def test_scale_and_order_do_not_matter_to_the_total_correlation():
    covariance = np.array([[2, 0.5, 0.1], [0.5, 1, -0.3], [0.1, -0.3, 3]])
    codes = exact(covariance)
    first = gaussian_dependence(codes)
    moved = gaussian_dependence(codes[:, [2, 0, 1]] * [1e-6, -4, 1e3])
    assert moved.total_correlation == pytest.approx(first.total_correlation)
    doubled = gaussian_dependence(2 * codes)
    assert doubled.wasserstein == pytest.approx(4 * first.wasserstein)
    assert doubled.wasserstein_share == pytest.approx(first.wasserstein_share)


def test_independent_single_and_constant_codes_do_not_depend():
    codes = exact(np.diag([1, 5.0]))
    for part in (codes, codes[:, :1], np.c_[codes, np.full(60, 1 / 3)], np.ones((9, 2))):
        result = gaussian_dependence(part)
        assert result.total_correlation == pytest.approx(0, abs=1e-12)
        assert result.wasserstein == pytest.approx(0, abs=1e-12)


def test_noise_has_the_bias_of_its_count():
    results = [
        gaussian_dependence(np.random.default_rng(seed).normal(size=(500, 6))).total_correlation
        for seed in range(200)
    ]
    # 2 N TC is chi-squared of 15 degrees: mean 15 / 1000, deviation sqrt(30) / 1000 each.
    assert np.mean(results) == pytest.approx(30 / 2000, abs=5 * math.sqrt(30) / 1000 / 14 + 3e-4)


def test_a_copied_code_is_infinitely_dependent():
    codes = exact(np.diag([1, 5.0]))
    result = gaussian_dependence(np.c_[codes, codes @ [2, -1]])
    assert result.total_correlation == math.inf
    assert 0 < result.wasserstein_share < 1
    few = gaussian_dependence(np.random.default_rng(0).normal(size=(4, 6)))
    assert few.total_correlation == math.inf


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"codes\[1, 0\] is nan; expected finite"):
        gaussian_dependence(np.array([[0, 1], [np.nan, 1]]))
    with pytest.raises(ValueError, match="codes have 1 datum; expected at least 2"):
        gaussian_dependence(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"codes have shape \(3,\)"):
        gaussian_dependence(np.ones(3))
