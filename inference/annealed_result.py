"""What annealing found out, per datum and in the mean, and whether to trust it."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .mean_statistics import finite, standard_error

LOW_ACCEPTANCE = 0.4
"""Acceptance rate, aimed at 0.65, below which moves may have been too few."""
LOW_SHARE = 0.25
"""Share of the chains below which the effective sample size is too small."""
LEAST_SIZE = 2.0
"""Effective sample size that is too small with any number of chains."""
WIDE_GAP = 1.0
"""Gap between the bounds, nats, above which they do not certify much."""


@dataclass(frozen=True)
class AnnealedLikelihood:
    """Log-likelihoods of `N` data by annealed importance sampling, and how far to trust them.

    Args:
        log_weights: Log-weights of `C` chains for each datum, float64 `(N, C)`, nats.
        acceptance: Mean acceptance rate of a datum's moves, `(N,)`; NaN where there were none.
        least_acceptance: The lowest of its mean rates in each tenth of the path, `(N,)`.
        temperatures: Number of steps of the path.
        schedule: How the inverse temperatures were spaced.
        leapfrog_steps: Leapfrog steps of a move.
        start: Where the path started: `"prior"` or `"guide"`.
        adaptation: How step sizes were found: `"pilot"` or `"online"`.
        seed: The seed of the noise.
    """

    log_weights: Tensor
    acceptance: Tensor
    least_acceptance: Tensor
    temperatures: int
    schedule: str
    leapfrog_steps: int
    start: str
    adaptation: str
    seed: int

    @property
    def chains(self) -> int:
        """Number of chains per datum."""
        return self.log_weights.shape[1]

    @property
    def log_likelihood(self) -> Tensor:
        """`log mean_c w_c` per datum, `(N,)`, nats: in expectation below `log p(x)`."""
        return log_mean(self.log_weights)

    @property
    def monte_carlo_error(self) -> Tensor:
        """Standard error of `log_likelihood` over chains, `(N,)`, nats; NaN for one chain.

        By the delta method, `sd(w) / (mean(w) sqrt(C))`.
        """
        return log_mean_error(self.log_weights)

    @property
    def effective_sample_size(self) -> Tensor:
        """`(sum w)^2 / sum w^2`, `(N,)`, from 1 to the number of chains."""
        return sample_size(self.log_weights)

    @property
    def mean(self) -> float:
        """Mean log-likelihood over data, nats."""
        return float(self.log_likelihood.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of `mean` over data, nats; NaN for one datum."""
        return standard_error(self.log_likelihood)

    @property
    def mean_monte_carlo_error(self) -> float:
        """Standard error of `mean` over chains, for these very data, nats; NaN for one chain."""
        return error_of_mean(self.monte_carlo_error)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What speaks against trusting the numbers, in words; empty where nothing does."""
        return (
            *_finite_remarks(self.log_likelihood),
            *_acceptance_remarks(self.least_acceptance),
            *_sample_size_remarks(self.effective_sample_size, self.chains),
        )

    def summary(self) -> dict[str, Any]:
        """The means as plain numbers for JSON; None stands where there is no finite number."""
        numbers = {
            "log_likelihood": self.mean,
            "log_likelihood_se": self.standard_error,
            "monte_carlo_error": self.mean_monte_carlo_error,
            "effective_sample_size": float(self.effective_sample_size.mean()),
            "acceptance": float(self.acceptance.mean()),
            "least_acceptance": float(self.least_acceptance.min()),
        }
        return {
            **{name: finite(number) for name, number in numbers.items()},
            "non_finite": int((~self.log_likelihood.isfinite()).sum()),
            "n": len(self.log_weights),
            "chains": self.chains,
            "temperatures": self.temperatures,
            "schedule": self.schedule,
            "leapfrog_steps": self.leapfrog_steps,
            "start": self.start,
            "adaptation": self.adaptation,
            "seed": self.seed,
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True)
class BidirectionalBounds:
    """Bounds of log-likelihoods of `N` data that the model drew, from below and from above.

    Args:
        forward: Log-weights of `C` chains from the start to the posterior, float64 `(N, C)`, nats.
        backward: Log-weights of `C` chains from the posterior to the start, likewise.
        acceptance: Mean acceptance rate of a datum's moves, `(N,)`; NaN where there were none.
        least_acceptance: The lowest of its mean rates in each tenth of either run, `(N,)`.
        data: What the model drew, by name, each `(N, ...)`.
        temperatures: Number of steps of the path.
        seed: The seed of the noise.
    """

    forward: Tensor
    backward: Tensor
    acceptance: Tensor
    least_acceptance: Tensor
    data: dict[str, Tensor]
    temperatures: int
    seed: int

    @property
    def chains(self) -> int:
        """Number of chains per datum in each direction."""
        return self.forward.shape[1]

    @property
    def lower(self) -> Tensor:
        """`log mean_c w_c`, `(N,)`, nats: in expectation below `log p(x)`."""
        return log_mean(self.forward)

    @property
    def upper(self) -> Tensor:
        """`-log mean_c (1 / w_c)`, `(N,)`, nats: in expectation above `log p(x)`."""
        return -log_mean(-self.backward)

    @property
    def lower_error(self) -> Tensor:
        """Standard error of `lower` over chains, `(N,)`, nats; NaN for one chain."""
        return log_mean_error(self.forward)

    @property
    def upper_error(self) -> Tensor:
        """Standard error of `upper` over chains, `(N,)`, nats; NaN for one chain.

        The chains of a datum start at one exact sample, apart from some moves, so that this is
        somewhat too small where the posterior mixes slowly.
        """
        return log_mean_error(-self.backward)

    @property
    def gap(self) -> Tensor:
        """`upper - lower`, `(N,)`, nats; below zero by chance alone."""
        return self.upper - self.lower

    def interval(self, errors: float = 3.0) -> tuple[float, float]:
        """Bounds of the mean log-likelihood of these data, so many standard errors further out.

        Args:
            errors: Standard errors over chains that each bound is moved by.
        """
        low = float(self.lower.mean()) - errors * error_of_mean(self.lower_error)
        high = float(self.upper.mean()) + errors * error_of_mean(self.upper_error)
        return low, high

    @property
    def remarks(self) -> tuple[str, ...]:
        """What speaks against trusting the bounds, in words; empty where nothing does."""
        gap = float(self.gap.mean())
        wide = f"the bounds are {gap:.2f} nats apart in the mean; raise temperatures"
        return (
            *_finite_remarks(self.gap),
            *_acceptance_remarks(self.least_acceptance),
            *((wide,) if gap > WIDE_GAP else ()),
        )

    def summary(self) -> dict[str, Any]:
        """The means as plain numbers for JSON; None stands where there is no finite number."""
        numbers = {
            "lower": float(self.lower.mean()),
            "lower_error": error_of_mean(self.lower_error),
            "upper": float(self.upper.mean()),
            "upper_error": error_of_mean(self.upper_error),
            "gap": float(self.gap.mean()),
            "gap_se": standard_error(self.gap),
            "gap_max": float(self.gap.max()),
            "acceptance": float(self.acceptance.mean()),
            "least_acceptance": float(self.least_acceptance.min()),
        }
        return {
            **{name: finite(number) for name, number in numbers.items()},
            "n": len(self.forward),
            "chains": self.chains,
            "temperatures": self.temperatures,
            "seed": self.seed,
            "remarks": list(self.remarks),
        }


def log_mean(log_weights: Tensor) -> Tensor:
    """Logarithm of the mean weight over the last dim."""
    return log_weights.logsumexp(-1) - math.log(log_weights.shape[-1])


def log_mean_error(log_weights: Tensor) -> Tensor:
    """Standard error of `log_mean` by the delta method."""
    shares = log_weights.softmax(-1) * log_weights.shape[-1]
    return (
        shares.std(-1) / math.sqrt(log_weights.shape[-1])
        if shares.shape[-1] > 1
        else (torch.full_like(shares[..., 0], torch.nan))
    )


def sample_size(log_weights: Tensor) -> Tensor:
    """Effective sample size over the last dim."""
    return 1 / log_weights.softmax(-1).square().sum(-1)


def error_of_mean(errors: Tensor) -> float:
    """Standard error of a mean of `(N,)` independent numbers with these errors."""
    return float(errors.square().sum().sqrt() / len(errors))


def _finite_remarks(values: Tensor) -> tuple[str, ...]:
    count = int((~values.isfinite()).sum())
    return (f"{count} of {len(values)} data have no finite estimate",) if count else ()


def _acceptance_remarks(least: Tensor) -> tuple[str, ...]:
    count = int((least < LOW_ACCEPTANCE).sum())
    if not count:
        return ()
    return (
        f"{count} of {len(least)} data accepted fewer than {LOW_ACCEPTANCE:.0%} of the moves in "
        "some tenth of the path, where the chains lagged behind; raise temperatures",
    )


def _sample_size_remarks(sizes: Tensor, chains: int) -> tuple[str, ...]:
    least = max(LEAST_SIZE, LOW_SHARE * chains)
    count = int((sizes < least).sum())
    if not count or chains <= LEAST_SIZE:
        return ()
    return (
        f"{count} of {len(sizes)} data have an effective sample size below {least:g} of the "
        f"{chains} chains, so that their log p(x) is likely too low; raise temperatures",
    )
