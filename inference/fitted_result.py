"""What `fitted_log_likelihood` found out, per datum and in the mean."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .diagnostics import RELIABLE
from .mean_statistics import finite, standard_error


@dataclass(frozen=True)
class FittedLikelihood:
    """Log-likelihoods of `N` data by importance sampling from Normals fitted to each.

    Args:
        log_likelihood: `log mean_k w_k` per datum, float64 `(N,)`, nats: in expectation below `log
            p(x)`.
        elbo: The bound of the best of a datum's Normals, float64 `(N,)`, nats, the mean over the
            last steps of its fit, with noise.
        effective_sample_size: `(sum w)^2 / sum w^2`, `(N,)`, from 1 to `samples`.
        pareto_k: Tail shape of the weights, `(N,)`; above 0.7 the estimate is unreliable, NaN
            below 25 samples.
        samples: Number of samples per datum.
        starts: Number of Normals of a datum.
        steps: Steps of their fit.
        prior_share: Share of the samples that the prior gave.
        seed: The seed of the noise.
    """

    log_likelihood: Tensor
    elbo: Tensor
    effective_sample_size: Tensor
    pareto_k: Tensor
    samples: int
    starts: int
    steps: int
    prior_share: float
    seed: int

    @property
    def mean(self) -> float:
        """Mean log-likelihood over data, nats."""
        return float(self.log_likelihood.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of `mean` over data, nats; NaN for one datum."""
        return standard_error(self.log_likelihood)

    @property
    def unreliable_share(self) -> float | None:
        """Share of the data whose k-hat is above 0.7 or NaN; None where it is NaN for all."""
        if bool(self.pareto_k.isnan().all()):
            return None
        return float((~(self.pareto_k <= RELIABLE)).double().mean())

    @property
    def remarks(self) -> tuple[str, ...]:
        """What speaks against trusting the estimates, in words; empty where nothing does."""
        return tuple(self._remarks())

    def _remarks(self) -> Iterator[str]:
        lost = int((~self.log_likelihood.isfinite()).sum())
        if lost:
            yield f"{lost} data have no finite estimate; look at what the model says of them"
        unreliable = self.unreliable_share
        if unreliable is None:
            yield "there are too few samples for k-hat; take 25 or more"
        elif unreliable:
            yield (
                f"k-hat is above {RELIABLE:g} for {unreliable:.0%} of the data: log p(x) is "
                "likely too low. Fit more Normals by starts, or for longer by steps"
            )

    def summary(self) -> dict[str, Any]:
        """The means as plain numbers for JSON; None stands where there is no finite number."""
        numbers = {
            "log_likelihood": self.mean,
            "log_likelihood_se": self.standard_error,
            "elbo": float(self.elbo.mean()),
            "effective_sample_size": float(self.effective_sample_size.mean()),
            "pareto_k_max": float(self.pareto_k.nan_to_num(-math.inf).max()),
            "pareto_k_unreliable": self.unreliable_share,
        }
        return {
            **{name: finite(number) for name, number in numbers.items()},
            "n": len(self.log_likelihood),
            "samples": self.samples,
            "starts": self.starts,
            "steps": self.steps,
            "prior_share": self.prior_share,
            "seed": self.seed,
            "remarks": list(self.remarks),
        }
