"""What `masked_posterior` found: draws of codes with weights, and completed images."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .diagnostics import RELIABLE
from .mean_statistics import standard_error

LARGEST_R_HAT = 1.05
"""Above this split R-hat, chains have not met."""
LEAST_SIZE = 10.0
"""Effective sample size below which draws say little of a posterior."""


@dataclass(frozen=True)
class MaskedPosterior:
    """Posteriors of the codes of `N` images given the pixels of them that are seen.

    Args:
        latents: `S` draws of each latent site, `(N, S, event)`.
        log_weights: Their normalised log-weights, float64 `(N, S)`.
        log_likelihood: `log p(x_observed | z)` of each draw, float64 `(N, S)`, nats.
        completions: Mean images of `D` distinct draws with the seen pixels kept, `(N, D, C, H,
            W)`: drawn by weight without replacement, the one with the largest weight first.
        completion_weights: Weights of those draws, `(N, D)`.
        completion_draws: Which draws they are, int64 `(N, D)`.
        mean: Posterior mean of the completed mean images, `(N, C, H, W)`.
        log_evidence: Importance-sampled estimate of `log p(x_observed)`, float64 `(N,)`, nats.
        effective_sample_size: Of the draws, `(N,)`: `(sum w)^2 / sum w^2`; of NUTS, the smallest
            of a coordinate, which may exceed S.
        pareto_k: Tail shape of the importance weights behind `log_evidence`, `(N,)`; above 0.7 the
            estimate, and draws with weights, are unreliable; NaN below 25 samples.
        evidence_sample_size: Effective number of the importance samples behind `log_evidence`.
        diagnostics: Of svi, `elbo` `(N,)`, nats; of nuts, `r_hat` and `divergences` (a share).
        by: `"importance"`, `"svi"` or `"nuts"`.
        seed: The seed of the noise.
    """

    latents: dict[str, Tensor]
    log_weights: Tensor
    log_likelihood: Tensor
    completions: Tensor
    completion_weights: Tensor
    completion_draws: Tensor
    mean: Tensor
    log_evidence: Tensor
    effective_sample_size: Tensor
    pareto_k: Tensor
    evidence_sample_size: Tensor
    diagnostics: dict[str, Tensor]
    by: str
    seed: int

    @property
    def samples(self) -> int:
        """Number `S` of draws of an image."""
        return self.log_weights.shape[1]

    @property
    def weights(self) -> Tensor:
        """Weights of the draws, float64 `(N, S)`; they sum to 1."""
        return self.log_weights.exp()

    @property
    def log_evidence_error(self) -> Tensor:
        """Standard error of `log_evidence` over importance samples, `(N,)`, nats.

        By the delta method, `sqrt(1 / ESS - 1 / S)`.
        """
        return (1 / self.evidence_sample_size - 1 / self.samples).clamp(min=0).sqrt()

    def moments(self, site: str) -> tuple[Tensor, Tensor]:
        """Weighted mean `(N, K)` and covariance `(N, K, K)` of a site's draws, flattened.

        Raises:
            ValueError: If there is no such site.
        """
        if site not in self.latents:
            raise ValueError(
                f"site is {site!r}; expected one of {', '.join(map(repr, self.latents))}"
            )
        draws = self.latents[site].reshape(*self.log_weights.shape, -1).double()
        weights = self.weights.unsqueeze(-1)
        mean = (weights * draws).sum(1)
        centred = draws - mean.unsqueeze(1)
        return mean, centred.mT @ (weights * centred)

    def resampled(self, count: int, seed: int = 0) -> Tensor:
        """Indices `(N, count)` of draws by weight, with replacement: equally weighted draws."""
        generator = torch.Generator(self.log_weights.device).manual_seed(seed)
        return torch.multinomial(self.weights, count, True, generator=generator)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What speaks against trusting the draws or the evidence, in words; empty if nothing."""
        return tuple(self._remarks())

    def _remarks(self) -> Iterator[str]:
        tails = ~(self.pareto_k <= RELIABLE)
        if bool(tails.any()) and not bool(self.pareto_k.isnan().all()):
            what = "log p(x_observed) is likely too low"
            if self.by != "nuts":
                what += ", and the draws lie where the proposal does"
            yield f"k-hat is above {RELIABLE:g} for {_share(tails)} of the images: {what}"
        few = self.effective_sample_size < LEAST_SIZE
        if bool(few.any()):
            yield (
                f"fewer than {LEAST_SIZE:g} draws are effective for {_share(few)} of the images: "
                "completions are fewer than they look. Take more samples, or by='svi' or 'nuts'"
            )
        if self.by != "nuts":
            return
        apart = ~(self.diagnostics["r_hat"] <= LARGEST_R_HAT)
        if bool(apart.any()):
            yield (
                f"R-hat is above {LARGEST_R_HAT:g} for {_share(apart)} of the images: their "
                "chains have not met. Take more samples and a longer warm-up; chains that stay "
                "apart say that the posterior has several modes"
            )
        diverged = self.diagnostics["divergences"] > 0.01
        if bool(diverged.any()):
            yield f"more than 1 % of the paths diverged for {_share(diverged)} of the images"

    def summary(self) -> dict[str, Any]:
        """The means as plain numbers for JSON; None stands where there is no finite number."""
        numbers = {
            "log_evidence": float(self.log_evidence.mean()),
            "log_evidence_se": standard_error(self.log_evidence),
            "effective_sample_size": float(self.effective_sample_size.mean()),
            "pareto_k_max": float(self.pareto_k.nan_to_num(-math.inf).max()),
            **{name: float(value.mean()) for name, value in self.diagnostics.items()},
        }
        return {
            **{name: n if math.isfinite(n) else None for name, n in numbers.items()},
            "by": self.by,
            "n": len(self.log_evidence),
            "samples": self.samples,
            "seed": self.seed,
            "remarks": list(self.remarks),
        }


def _share(flags: Tensor) -> str:
    return f"{float(flags.double().mean()):.0%}"
