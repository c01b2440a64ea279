"""Streaming statistics of importance weights: memory does not grow with the number of samples."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .diagnostics import pareto_k, tail_length

_GATHERED = 512
"""Log-weights of a datum that are gathered before they are summed up: few calls on small tensors,
and sums that do not depend on the pieces that the weights come in."""
_MERGE_ROWS = 1024
"""Log-weights of a datum that are gathered before the largest are picked out."""


class WeightStatistics(NamedTuple):
    """What the weights of a block of `B` data say, each float64 `(B,)`.

    Args:
        log_mean: Log of the mean weight: the estimate of `log p(x)`, nats.
        mean_log: Mean of the log-weights, nats; never above `log_mean`.
        effective_sample_size: `(sum w)^2 / sum w^2`, from 1 to the number of samples.
        max_weight: The largest weight's share of the sum, in [0, 1].
        pareto_k: Tail shape of the weights, see `pareto_k`.
        bounds: Mean of `log mean w` over groups of 1, 10, 100, ... samples, `(levels, B)`.
    """

    log_mean: Tensor
    mean_log: Tensor
    effective_sample_size: Tensor
    max_weight: Tensor
    pareto_k: Tensor
    bounds: Tensor


def group_sizes(samples: int) -> tuple[int, ...]:
    """The powers of ten below a number of samples."""
    return tuple(10**j for j in range(len(str(samples))) if 10**j < samples)


class WeightStream:
    """Take log-weights of `B` data in pieces of any number of samples.

    Args:
        samples: Number of samples that will come, at least 1.
        size: Number `B` of data.
        device: Where the weights are.
    """

    def __init__(self, samples: int, size: int, device: torch.device) -> None:
        self._samples = samples
        zeros = torch.zeros(size, dtype=torch.float64, device=device)
        self._largest = torch.full_like(zeros, -torch.inf)
        self._sum, self._sum_of_squares, self._sum_of_logs = zeros, zeros, zeros
        self._groups = [_Group(10**j) for j in range(len(group_sizes(samples)))]
        self._tail_rows = tail_length(samples) + 1
        self._tail: list[Tensor] = []
        self._gathered: list[Tensor] = []

    def add(self, log_weights: Tensor) -> None:
        """Take the log-weights, float64 `(k, B)`, of the next `k` samples."""
        self._gathered.append(log_weights)
        if sum(len(piece) for piece in self._gathered) >= _GATHERED:
            rows = torch.cat(self._gathered)
            whole = len(rows) - len(rows) % _GATHERED
            for piece in rows[:whole].split(_GATHERED):
                self._sum_up(piece)
            self._gathered = [rows[whole:]]

    def _sum_up(self, log_weights: Tensor) -> None:
        largest = torch.maximum(self._largest, log_weights.amax(0))
        shift = torch.where(largest.isfinite(), largest, 0.0)
        rescale = (self._largest - shift).exp()
        weights = (log_weights - shift).exp()
        self._sum = self._sum * rescale + weights.sum(0)
        self._sum_of_squares = self._sum_of_squares * rescale**2 + weights.square().sum(0)
        self._sum_of_logs = self._sum_of_logs + log_weights.sum(0)
        self._largest = largest
        rows = log_weights
        for group in self._groups:
            rows = group.add(rows)
        self._tail.append(log_weights)
        if sum(len(piece) for piece in self._tail) > self._tail_rows + _MERGE_ROWS:
            self._merge_tail()

    def _merge_tail(self) -> None:
        rows = torch.cat(self._tail)
        self._tail = [rows.topk(min(self._tail_rows, len(rows)), dim=0).values]

    def result(self) -> WeightStatistics:
        """The statistics of all samples taken."""
        rest = torch.cat(self._gathered)
        if len(rest):
            self._sum_up(rest)
        self._gathered = [rest[:0]]
        self._merge_tail()
        log_mean = self._largest + self._sum.log() - math.log(self._samples)
        # Rounding may lift the mean logarithm of equal weights above the logarithm of their mean.
        mean_log = torch.minimum(self._sum_of_logs / self._samples, log_mean)
        bounds = [group.mean() for group in self._groups]
        return WeightStatistics(
            log_mean,
            mean_log,
            self._sum.square() / self._sum_of_squares,
            torch.where(self._sum > 0, 1 / self._sum, torch.nan),
            pareto_k(self._tail[0], self._samples),
            torch.stack(bounds) if bounds else log_mean.new_empty(0, len(log_mean)),
        )


class _Group:
    """Mean of `log mean w` over disjoint groups of `size` samples, in order."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._total: Tensor | float = 0.0
        self._count = 0
        self._pending: Tensor | None = None

    def add(self, log_sums: Tensor) -> Tensor:
        """Take log-sums of groups, `(groups, B)`; return those of ten groups each."""
        self._total = self._total + (log_sums - math.log(self._size)).sum(0)
        self._count += len(log_sums)
        rows = log_sums if self._pending is None else torch.cat([self._pending, log_sums])
        whole = len(rows) - len(rows) % 10
        self._pending = rows[whole:]
        return rows[:whole].unflatten(0, (-1, 10)).logsumexp(1) if whole else rows[:0]

    def mean(self) -> Tensor:
        return torch.as_tensor(self._total) / self._count
