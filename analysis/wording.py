"""The report's sentences and numbers: unknown values are said in words, never printed as NaN."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from .evaluation import Evaluation, bounds, known, unreliable_share

UNKNOWN = "not available"
FEW = 0.1


def number(value: Any, digits: int = 2) -> str:
    """Return a number with its thousands grouped, or the words for an unknown one."""
    if not known(value):
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def with_error(value: Any, error: Any) -> str:
    """Return a mean with its standard error, where there is one."""
    text = number(value)
    return f"{text} ± {number(error)}" if known(value) and known(error) else text


def summary(evaluation: Evaluation | None) -> str:
    """Return the one sentence that a report starts with."""
    if not evaluation or not known(evaluation.get("log_likelihood")):
        return "No likelihood is known: this model has not been evaluated."
    value = with_error(evaluation.get("log_likelihood"), evaluation.get("log_likelihood_se"))
    where = f"{number(evaluation.get('n'))} {evaluation.get('split', '')}".strip()
    if not evaluation.get("is_likelihood", True):
        return (
            f"On {where} images the importance-sampled bound is {value} nats per image: "
            f"not a likelihood, as {evaluation.get('likelihood', 'the decoder')} has no "
            "normalised density of such images."
        )
    samples = number(evaluation.get("samples"))
    return (
        f"On {where} images the importance-sampled log-likelihood is {value} nats per image "
        f"(K = {samples} samples each, ± one standard error over images)."
    )


def likelihood_rows(evaluation: Evaluation) -> list[tuple[str, str, bool]]:
    """Return name and value of each number, and whether it rests on the likelihood."""
    get = evaluation.get
    rows = [
        ("log p(x), nats", with_error(get("log_likelihood"), get("log_likelihood_se")), True),
        ("ELBO, nats", with_error(get("elbo"), get("elbo_se")), True),
    ]
    if get("bits_per_dimension") is not None:
        rows.append(("Bits per dimension", number(get("bits_per_dimension"), 4), True))
    if get("non_finite"):
        rows.append(("Images without a finite estimate", number(get("non_finite")), False))
    return [
        *rows,
        ("Effective sample size", _of_samples(evaluation), False),
        ("Images with Pareto k-hat above 0.7", percent(unreliable_share(evaluation)), False),
        ("Images", f"{number(get('n'))} ({get('split', 'split unknown')})", False),
        ("Samples K per image", number(get("samples")), False),
        ("Seed of the samples", _plain(get("seed")), False),
        ("Likelihood", _plain(get("likelihood")), False),
    ]


def bound_rows(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return number of samples and bound of each row of the table along K."""
    return [
        (number(bound.samples), with_error(bound.value, bound.error))
        for bound in bounds(evaluation)
    ]


def percent(share: Any) -> str:
    """Return a share in [0, 1] in per cent, or the words for an unknown one."""
    return f"{number(100.0 * share, 1)} %" if known(share) else UNKNOWN


def _of_samples(evaluation: Evaluation) -> str:
    size, samples = evaluation.get("effective_sample_size"), evaluation.get("samples")
    text = number(size, 1)
    return f"{text} of {number(samples)}" if known(size) and known(samples) else text


def _plain(value: Any) -> str:
    return UNKNOWN if value is None else str(value)


def pareto_words(share: Any) -> str:
    """Say what the share of data with a Pareto k-hat above 0.7 means."""
    if not known(share):
        return "Whether the importance weights have heavy tails was not measured."
    meaning = (
        "Where Pareto k-hat is above 0.7 a handful of samples carries the estimate of log p(x), "
        "which is then likely too low"
    )
    if share == 0:
        return f"{meaning}; no image here is such a case."
    if share < FEW:
        return f"{meaning}; here these are few images, which change the mean little."
    return f"{meaning}. Here these are many: use more samples, or a guide of a wider family."


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each setting with its dotted name, in words where it has no finite value."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}.")
        else:
            yield name, _setting(value)


def _setting(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(_setting(item) for item in value) or "none"
    if isinstance(value, float) and not isfinite(value):
        return UNKNOWN
    return str(value)
