"""What `log_likelihood` found out, per datum and in the mean."""

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .diagnostics import RELIABLE
from .mean_statistics import finite, standard_error
from .proposal import Proposal

NOTE = "not a likelihood"


@dataclass(frozen=True)
class LogLikelihood:
    """Importance-sampled log-likelihoods of `N` data, and how far they can be trusted.

    Args:
        log_likelihood: `log mean_k w_k` per datum, float64 `(N,)`, nats: in expectation below `log
            p(x)`, and closer to it with every sample more.
        elbo: Mean of the same log-weights, float64 `(N,)`, nats; never above `log_likelihood`.
            Discrete sites that are summed out are so here too. It is the bound of the proposal:
            the guide's own where the proposal is the guide as it is.
        by_samples: Mean over data of the estimate from `K` samples, nats, for `K` = 1, 10, 100,
            ... and `samples`. For each `K`, the samples are cut in order into disjoint groups of
            `K`, and all whole groups are averaged.
        effective_sample_size: `(sum w)^2 / sum w^2`, `(N,)`, from 1 to `samples`.
        pareto_k: Tail shape of the weights, `(N,)`; above 0.7 the estimate is unreliable, NaN
            below 25 samples.
        max_weight: The largest weight's share of all, `(N,)`, in [0, 1].
        samples: Number of samples per datum.
        inner_samples: Samples of sites nested inside a datum, such as frames, per sample of the
            others.
        seed: The seed of the noise.
        discrete_levels: Number of values of a pixel, or None where the data are not discrete.
        dimensions: Number of observed values per datum, or None where it varies.
        is_likelihood: False where the model's observation term is no log-likelihood, such as a
            cross-entropy on grey pixels.
        proposal: What the samples were drawn from.
        has_normals: Whether the guide has Normals, which a proposal can widen.
    """

    log_likelihood: Tensor
    elbo: Tensor
    by_samples: dict[int, float]
    effective_sample_size: Tensor
    pareto_k: Tensor
    max_weight: Tensor
    samples: int
    inner_samples: int
    seed: int
    discrete_levels: int | None
    dimensions: int | None
    is_likelihood: bool
    proposal: Proposal = field(default_factory=Proposal)
    has_normals: bool = True

    @property
    def mean(self) -> float:
        """Mean log-likelihood over data, nats."""
        return float(self.log_likelihood.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of `mean` over data, nats; NaN for one datum."""
        return standard_error(self.log_likelihood)

    @property
    def elbo_mean(self) -> float:
        """Mean evidence lower bound over data, nats."""
        return float(self.elbo.mean())

    @property
    def elbo_standard_error(self) -> float:
        """Standard error of `elbo_mean` over data, nats; NaN for one datum."""
        return standard_error(self.elbo)

    @property
    def bits_per_dimension(self) -> float | None:
        """Mean code length in bits per observed value; None unless the data are discrete."""
        if self.discrete_levels is None or self.dimensions is None or not self.is_likelihood:
            return None
        return -self.mean / (self.dimensions * math.log(2))

    @property
    def unreliable_share(self) -> float | None:
        """Share of the data whose k-hat is above 0.7 or NaN; None where it is NaN for all.

        A datum without a k-hat among others that have one has weights of zero, of NaN or tied in
        its tail, which nobody should trust.
        """
        if bool(self.pareto_k.isnan().all()):
            return None
        return _share(~(self.pareto_k <= RELIABLE))

    def summary(self) -> dict[str, Any]:
        """The means as plain numbers for JSON; None stands where there is no finite number."""
        numbers = {
            "log_likelihood": self.mean,
            "log_likelihood_se": self.standard_error,
            "elbo": self.elbo_mean,
            "elbo_se": self.elbo_standard_error,
            "bits_per_dimension": self.bits_per_dimension,
            "effective_sample_size": float(self.effective_sample_size.mean()),
            "pareto_k_max": float(self.pareto_k.nan_to_num(-math.inf).max()),
            "pareto_k_unreliable": self.unreliable_share,
            "max_weight_above_half": _share(self.max_weight > 0.5),
        }
        return {
            **{name: finite(number) for name, number in numbers.items()},
            "by_samples": {str(k): finite(bound) for k, bound in self.by_samples.items()},
            "non_finite": int((~self.log_likelihood.isfinite()).sum()),
            "n": len(self.log_likelihood),
            "samples": self.samples,
            "inner_samples": self.inner_samples,
            "seed": self.seed,
            "widen": float(self.proposal.widen),
            "prior_share": float(self.proposal.prior_share),
            "has_normals": self.has_normals,
            "is_likelihood": self.is_likelihood,
            "note": None if self.is_likelihood else NOTE,
        }


def _share(flags: Tensor) -> float:
    return float(flags.double().mean())
