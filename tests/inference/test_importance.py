"""Streaming weight statistics and k-hat against direct formulas and ArviZ."""

import math
from importlib import import_module

import pytest
import torch
from arviz_stats.base.array import BaseArray

diagnostics = import_module("unbraid.inference.diagnostics")
importance = import_module("unbraid.inference.importance")


def log_weights(samples: int, size: int = 3, scale: float = 2.0) -> torch.Tensor:
    weights = scale * torch.randn(samples, size, dtype=torch.float64)
    return weights - torch.tensor([600.0, 0.0, -300.0]).repeat(size)[:size]


def statistics(weights: torch.Tensor, piece: int):
    stream = importance.WeightStream(len(weights), weights.shape[1], weights.device)
    for chunk in weights.split(piece):
        stream.add(chunk)
    return stream.result()


@pytest.mark.parametrize("piece", [3, 7, 100, 5000])
def test_pieces_of_any_size_give_the_direct_formulas(piece):
    weights = log_weights(1234)
    found = statistics(weights, piece)
    normalised = weights.softmax(0)
    expected = {
        "log_mean": weights.logsumexp(0) - math.log(1234),
        "mean_log": weights.mean(0),
        "effective_sample_size": 1 / normalised.square().sum(0),
        "max_weight": normalised.amax(0),
    }
    for name, value in expected.items():
        torch.testing.assert_close(getattr(found, name), value, rtol=1e-12, atol=1e-12)
    for level, bound in enumerate(found.bounds):
        k = 10**level
        groups = weights[: 1234 // k * k].unflatten(0, (-1, k))
        direct = (groups.logsumexp(1) - math.log(k)).mean(0)
        torch.testing.assert_close(bound, direct, rtol=1e-12, atol=1e-12)
    assert len(found.bounds) == 4


@pytest.mark.parametrize("samples, levels", [(1, 0), (2, 1), (10, 1), (11, 2), (100, 2)])
def test_bounds_are_given_for_the_powers_of_ten_below(samples, levels):
    assert len(statistics(log_weights(samples), 3).bounds) == levels


def test_weights_of_zero_lower_the_mean_and_all_zero_is_minus_infinity():
    weights = log_weights(40)
    weights[::2, 1], weights[:, 2] = -math.inf, -math.inf
    found = statistics(weights, 7)
    direct = weights.logsumexp(0) - math.log(40)
    torch.testing.assert_close(found.log_mean[:2], direct[:2], rtol=1e-12, atol=0)
    assert found.log_mean[2] == -math.inf
    assert found.mean_log[1] == -math.inf
    assert found.max_weight[2].isnan()


def test_nan_weights_spoil_their_datum_only():
    weights = log_weights(40)
    weights[3, 1] = math.nan
    found = statistics(weights, 7)
    assert found.log_mean.isnan().tolist() == [False, True, False]


def test_equal_weights_have_equal_bounds_in_order():
    found = statistics(-torch.rand(1, 500, dtype=torch.float64).expand(1000, 500), 77)
    assert (found.mean_log <= found.log_mean).all()
    torch.testing.assert_close(found.mean_log, found.log_mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("samples", [25, 100, 225, 226, 1000, 3001])
@pytest.mark.parametrize("tail", ["normal", "heavy", "bounded"])
def test_k_hat_is_that_of_arviz(samples, tail):
    uniform = torch.rand(samples, 4, dtype=torch.float64)
    weights = {
        "normal": torch.randn(samples, 4, dtype=torch.float64),
        "heavy": -1.3 * uniform.log(),
        "bounded": -uniform.square(),
    }[tail]
    found = statistics(weights, 64).pareto_k
    for shape, column in zip(found, weights.T, strict=True):
        _, expected = BaseArray().psislw(-column.numpy())
        assert float(shape) == pytest.approx(float(expected), abs=1e-8)


def test_k_hat_finds_the_shape_of_a_pareto_tail():
    # k-hat's standard deviation at 948 tail points is about (1 + k) / sqrt(948) = 0.05.
    for k in (0.3, 0.8):
        weights = -k * torch.rand(100_000, 2, dtype=torch.float64).log()
        assert (statistics(weights, 10_000).pareto_k - k).abs().max() < 5.5 * 0.06


def test_k_hat_needs_25_samples_and_a_tail_that_is_not_flat():
    assert statistics(log_weights(24), 5).pareto_k.isnan().all()
    assert (statistics(torch.zeros(100, 2, dtype=torch.float64), 5).pareto_k == 0).all()
    ties = torch.zeros(100, 1, dtype=torch.float64)
    ties[0] = 5.0
    assert statistics(ties, 5).pareto_k.isnan().all()
    assert diagnostics.pareto_k(torch.full((21, 2), -math.inf), 100).isnan().all()


def test_the_tail_is_a_fifth_or_three_square_roots():
    assert [diagnostics.tail_length(n) for n in (5, 24, 225, 226, 5000)] == [1, 4, 45, 45, 212]
