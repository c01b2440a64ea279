"""The numbers of a likelihood evaluation, as `evaluation.json` holds them."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple, TypedDict, TypeGuard

from .probes import fitted_name


class Evaluation(TypedDict, total=False):
    """What is known of how likely held-out data are; a value that is missing or None is unknown.

    Other keys may be there; they are left alone.

    Attributes:
        log_likelihood: Mean over the data, nats.
        log_likelihood_se: Its standard error over the data, nats.
        elbo: Mean over the data of the mean of the same log-weights, nats.
        elbo_se: Its standard error over the data, nats.
        by_samples: Mean bound in nats by number of samples, which may be written as text.
        effective_sample_size: Mean over the data, in [1, samples].
        pareto_k_unreliable: Share of the data whose Pareto k-hat is above 0.7 or cannot be had, in
            [0, 1]; None where it can for none.
        pareto_k_max: Largest k-hat; unknown where there are too few samples for one.
        bits_per_dimension: Bits per pixel and channel, where the data are discrete.
        non_finite: Number of data without a finite estimate.
        n: Number of data.
        samples: Number K of samples per datum.
        seed: Seed of the samples.
        split: Which data, such as `"test"`.
        likelihood: Name of the likelihood.
        is_likelihood: False where the numbers are no log-likelihoods.
        frames: Number of frames of each sequence that were judged together; of sequences only.
        inner_samples: Samples of each frame's codes per sample of its sequence's.
        averages_frames: Whether there may be several of these; so where it is missing.
        widen: Factor of the guide's standard deviations in the proposal; 1 where it is missing.
        prior_share: Share of the samples that the prior gave; 0 where it is missing. With either,
            `elbo` is the bound of the proposal and not the guide's.
        has_normals: Whether the guide has Normals, which can be widened; so where it is missing.
        annealed: What annealing found, where it was asked: `log_likelihood`, `log_likelihood_se`,
            `n`, `split`, and `remarks`, which speak against trusting it.
        fitted: What Normals fitted to each datum found, likewise.
        given: Names of the condition c where the density is log p(x|c).
        condition_from_codes: What probes tell of it from codes, by name and by kind of codes, each
            as `ToldCondition.summary`.
        classification: How often the likeliest class is wrong, of pairs that say classes: `error`
            and `standard_error`, in [0, 1], of `n` data.
        codes: What scores and probes say of the codes. Of images `of`, by latent site: `scores`,
            `intervals`, `factors`, `left_out` and `factors_left_out` as `disentanglement_scores`
            has them, and `told`, by factor as `ToldCondition.summary`. Of sequences `leakage`, its
            table. `left_out`, where there is nothing to score, says why.
    """

    log_likelihood: float | None
    log_likelihood_se: float | None
    elbo: float | None
    elbo_se: float | None
    by_samples: Mapping[str, float | None] | Mapping[int, float]
    effective_sample_size: float | None
    pareto_k_unreliable: float | None
    pareto_k_max: float | None
    bits_per_dimension: float | None
    non_finite: int
    n: int
    samples: int
    seed: int
    split: str
    likelihood: str
    is_likelihood: bool
    frames: int
    inner_samples: int
    averages_frames: bool
    widen: float
    prior_share: float
    has_normals: bool
    annealed: Mapping[str, Any]
    fitted: Mapping[str, Any]
    given: Sequence[str]
    condition_from_codes: Mapping[str, Mapping[str, Mapping[str, Any]]]
    classification: Mapping[str, Any]
    codes: Mapping[str, Any]


class Bound(NamedTuple):
    """The bound from `samples` samples per datum, and its standard error over the data, nats."""

    samples: int
    value: float | None
    error: float | None


def known(value: Any) -> TypeGuard[float]:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and isfinite(value)


def bounds(evaluation: Evaluation) -> list[Bound]:
    """Return the bounds, of few samples first.

    The bound from one sample is the ELBO and the one from all is the log-likelihood, so these two
    have the standard errors of those.
    """
    errors = {1: evaluation.get("elbo_se")}
    if "samples" in evaluation:
        errors[evaluation["samples"]] = evaluation.get("log_likelihood_se")
    by_samples = {int(k): value for k, value in evaluation.get("by_samples", {}).items()}
    return [Bound(k, by_samples[k], errors.get(k)) for k in sorted(by_samples)]


def told_scores(told: Mapping[str, Any]) -> dict[str, float]:
    """Return scores by what was fitted, of what `ToldCondition.summary` wrote.

    Earlier versions wrote `logistic` of real values too, where a ridge regression was fitted.
    """
    is_class = told["standard_error"] is not None
    return {fitted_name(probe, is_class): score for probe, score in told["score"].items()}


def unreliable_share(evaluation: Evaluation) -> float | None:
    """Return the share of the data with k-hat above 0.7, or None where it was not measured."""
    share = evaluation.get("pareto_k_unreliable")
    if not known(share) or (share == 0 and not known(evaluation.get("pareto_k_max"))):
        return None
    return share
