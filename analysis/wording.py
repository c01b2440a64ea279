"""The report's sentences and numbers: unknown values are said in words, never printed as NaN."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from .advice import FEW, proposal_words
from .evaluation import Evaluation, bounds, known, told_scores, unreliable_share

UNKNOWN = "not available"


def number(value: Any, digits: int = 2) -> str:
    """Return a number with its thousands grouped, or the words for an unknown one."""
    if not known(value):
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def with_error(value: Any, error: Any) -> str:
    """Return a mean with its standard error, where there is one."""
    text = number(value)
    return f"{text} ± {number(error)}" if known(value) and known(error) else text


def summary(evaluation: Evaluation | None, datum: str = "image") -> str:
    """Return the one sentence that a report starts with; `datum` is what one datum is called."""
    if not evaluation or not known(evaluation.get("log_likelihood")):
        annealed = (evaluation or {}).get("annealed") or {}
        if known(annealed.get("log_likelihood")):
            return _annealed_summary(annealed, datum)
        fitted = (evaluation or {}).get("fitted") or {}
        if known(fitted.get("log_likelihood")):
            return _fitted_summary(fitted, datum)
        return "No likelihood is known: this model has not been evaluated."
    value = with_error(evaluation.get("log_likelihood"), evaluation.get("log_likelihood_se"))
    where = f"{number(evaluation.get('n'))} {evaluation.get('split', '')} {datum}s"
    where = " ".join(where.split())
    if evaluation.get("frames"):
        where += f", {evaluation.get('frames')} frames of each,"
    if not evaluation.get("is_likelihood", True):
        return (
            f"On {where} the importance-sampled bound is {value} nats per {datum}: "
            f"not a likelihood, as {evaluation.get('likelihood', 'the decoder')} has no "
            "normalised density of such images."
        )
    samples = number(evaluation.get("samples"))
    return (
        f"On {where} the importance-sampled log-likelihood{_given(evaluation)} is {value} nats "
        f"per {datum} (K = {samples} samples each, ± one standard error over {datum}s)."
    )


def _annealed_summary(annealed: Mapping[str, Any], datum: str) -> str:
    value = with_error(annealed.get("log_likelihood"), annealed.get("log_likelihood_se"))
    where = f"{number(annealed.get('n'))} {annealed.get('split', '')} {datum}s"
    chains, steps = number(annealed.get("chains")), number(annealed.get("temperatures"))
    return (
        f"On {' '.join(where.split())} the log-likelihood{_given(annealed)} by annealing is "
        f"{value} nats per {datum} ({chains} chains of {steps} steps each, ± one standard error "
        f"over {datum}s)."
    )


def _fitted_summary(fitted: Mapping[str, Any], datum: str) -> str:
    value = with_error(fitted.get("log_likelihood"), fitted.get("log_likelihood_se"))
    where = f"{number(fitted.get('n'))} {fitted.get('split', '')} {datum}s"
    return (
        f"On {' '.join(where.split())} the log-likelihood{_given(fitted)} by Normals fitted to "
        f"each is {value} nats per {datum} (K = {number(fitted.get('samples'))} samples each, "
        f"± one standard error over {datum}s)."
    )


def _given(evaluation: Mapping[str, Any]) -> str:
    names = " and ".join(evaluation.get("given") or ())
    return f" given the {names}" if names else ""


def likelihood_rows(evaluation: Evaluation, datum: str = "image") -> list[tuple[str, str, bool]]:
    """Return name and value of each number, and whether it rests on the likelihood."""
    get, data = evaluation.get, f"{datum.capitalize()}s"
    proposal = proposal_words(evaluation)
    rows = [
        (
            f"{density(evaluation)}, nats",
            with_error(get("log_likelihood"), get("log_likelihood_se")),
            True,
        ),
        (elbo_words(evaluation), with_error(get("elbo"), get("elbo_se")), True),
    ]
    rows += _other_rows(get("annealed") or {}, "annealing")
    rows += _other_rows(get("fitted") or {}, "fitted Normals")
    if get("bits_per_dimension") is not None:
        rows.append(("Bits per dimension", number(get("bits_per_dimension"), 4), True))
    if get("non_finite"):
        rows.append((f"{data} without a finite estimate", number(get("non_finite")), False))
    return [
        *rows,
        ("Effective sample size", _of_samples(evaluation), False),
        (f"{data} with Pareto k-hat above 0.7", percent(unreliable_share(evaluation)), False),
        (data, f"{number(get('n'))} ({get('split', 'split unknown')})", False),
        *_frame_rows(evaluation),
        *_told_rows(evaluation),
        *_error_rows(evaluation.get("classification") or {}),
        (f"Samples K per {datum}", number(get("samples")), False),
        *([("Proposal", proposal, False)] if proposal else []),
        ("Seed of the samples", _plain(get("seed")), False),
        ("Likelihood", _plain(get("likelihood")), False),
    ]


def density(evaluation: Mapping[str, Any]) -> str:
    """Return what the log-likelihood is of: `log p(x)`, or `log p(x|c)` given a condition."""
    return "log p(x|c)" if evaluation.get("given") else "log p(x)"


def elbo_words(evaluation: Evaluation) -> str:
    """Return what the bound is called: the proposal's, where that is not the guide as it is."""
    return "ELBO of the proposal, nats" if proposal_words(evaluation) else "ELBO, nats"


def _told_rows(evaluation: Evaluation) -> list[tuple[str, str, bool]]:
    """Return what probes tell of a condition from codes, beside what is told without them."""
    rows = []
    for name, of in (evaluation.get("condition_from_codes") or {}).items():
        for kind, told in of.items():
            accuracy = told["standard_error"] is not None
            words = [
                f"{probe} {percent(score) if accuracy else number(score)}"
                for probe, score in told_scores(told).items()
            ]
            without = f"; {percent(told['chance'])} without codes"
            what = f"{name.capitalize()} told from {kind.removeprefix('of_')} of codes"
            unit = without if accuracy else " of the variance"
            rows.append((what, ", ".join(words) + unit, False))
    return rows


def _error_rows(told: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Return how often the likeliest class is wrong."""
    if not told:
        return []
    value = f"{number(100 * told['error'])} % ± {number(100 * told['standard_error'])} %"
    return [("Error of the likeliest class", f"{value} of {number(told['n'])}", False)]


def _other_rows(found: Mapping[str, Any], by: str) -> list[tuple[str, str, bool]]:
    """Return what another estimator found, and what speaks against trusting it."""
    if not found:
        return []
    value = with_error(found.get("log_likelihood"), found.get("log_likelihood_se"))
    of = f"{number(found.get('n'))} {found.get('split', '')}".strip()
    rows = [(f"{density(found)} by {by}, nats ({of})", value, False)]
    name = f"{by[0].upper()}{by[1:]}"
    return rows + [(name, text, False) for text in found.get("remarks", [])]


def _frame_rows(evaluation: Evaluation) -> list[tuple[str, str, bool]]:
    """Return what is to be said of the frames of sequences."""
    if not evaluation.get("frames"):
        return []
    return [
        ("Frames of each, judged together", number(evaluation.get("frames")), False),
        ("Samples of each frame per sample", number(evaluation.get("inner_samples")), False),
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


def pareto_words(share: Any, datum: str = "image") -> str:
    """Say what the share of data with a Pareto k-hat above 0.7 means."""
    if not known(share):
        return "Whether the importance weights have heavy tails was not measured."
    meaning = (
        "Where Pareto k-hat is above 0.7 a handful of samples carries the estimate of log p(x), "
        "which is then likely too low"
    )
    if share == 0:
        return f"{meaning}; no {datum} here is such a case."
    if share < FEW:
        return f"{meaning}; here these are few {datum}s, which change the mean little."
    return f"{meaning}. Here these are many."


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
