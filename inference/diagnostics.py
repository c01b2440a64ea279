"""Pareto k-hat: how heavy the tail of the importance weights is."""

import math

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

RELIABLE = 0.7
"""Above this k-hat, estimates from the weights are not to be trusted (Vehtari et al. 2024)."""

_FEWEST = 5
_EQUAL = 1e-4  # nats; what float32 densities leave of equal weights


def tail_length(samples: int) -> int:
    """Number of weights in the tail: a fifth of them, or `3 sqrt(samples)` above 225."""
    return math.floor(3 * math.sqrt(samples)) if samples > 225 else samples // 5


def pareto_k(largest: Tensor, samples: int) -> Tensor:
    """Estimate the shape of the generalised Pareto distribution that the largest weights follow.

    Below 0.5 the weights have a finite variance; above 0.7 the estimate of `log p(x)` is
    unreliable. Source: Vehtari, Simpson, Gelman, Yao & Gabry (2024),
    https://arxiv.org/abs/1507.02646; the fit is that of Zhang & Stephens (2009).

    Args:
        largest: The `tail_length(samples) + 1` largest log-weights of each datum, descending, `(M
            + 1, B)`.
        samples: Number of weights that they were chosen from.

    Returns:
        float64 `(B,)`; NaN where there are too few samples (below 25) or weights of zero or NaN in
        the tail; 0 where the tail is flat, its log-weights equal to 1e-4.
    """
    count = tail_length(samples)
    tails = largest.detach().cpu().double().numpy()[: count + 1]
    if count < _FEWEST:
        return torch.full((tails.shape[1],), torch.nan, dtype=torch.float64, device=largest.device)
    shapes = [_shape_of_tail(tail) for tail in tails.T]
    return torch.tensor(shapes, dtype=torch.float64, device=largest.device)


def _shape_of_tail(log_weights: np.ndarray) -> float:
    if not np.isfinite(log_weights).all():
        return math.nan
    if log_weights[0] - log_weights[-1] < _EQUAL:
        return 0.0
    weights = np.exp(log_weights - log_weights[0])
    return _fit_generalised_pareto(np.sort(weights[:-1] - weights[-1]))


def _fit_generalised_pareto(excess: np.ndarray) -> float:
    """Shape of a generalised Pareto distribution, from ascending excesses over the threshold.

    The mean of the profile posterior over a grid of `b = -k / sigma`, drawn towards 0.5 as if by
    ten more observations.
    """
    n = len(excess)
    points = 30 + math.floor(math.sqrt(n))
    quartile = excess[math.floor(n / 4 + 0.5) - 1]
    if quartile <= 0:  # ties with the threshold, as discrete proposals give
        return math.nan
    grid = 1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    grid = grid / (3 * quartile) + 1 / excess[-1]
    shapes = np.log1p(-grid[:, None] * excess).mean(1)
    log_profile = n * (np.log(-grid / shapes) - shapes - 1)
    weights = np.exp(log_profile - logsumexp(log_profile))
    weights[weights < 10 * np.finfo(float).eps] = 0.0
    b = (grid * weights).sum() / weights.sum()
    shape = np.log1p(-b * excess).mean()
    return float((n * shape + 10 * 0.5) / (n + 10))
