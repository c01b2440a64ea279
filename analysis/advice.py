"""What speaks against trusting an importance-sampled log p(x), and what to do next."""

from collections.abc import Mapping
from math import log10
from typing import Any

from .evaluation import Evaluation, known, unreliable_share

FEW = 0.1
"""Share of data with heavy-tailed weights up to which they change the mean little."""
RISING = 0.5
"""Nats that the bound gains from ten times the samples, above which it is called rising."""


def proposal_words(evaluation: Evaluation) -> str | None:
    """Say what the samples were drawn from; None where that is the guide as it is."""
    widen, share = evaluation.get("widen", 1.0), evaluation.get("prior_share", 0.0)
    parts = []
    if widen != 1:
        parts.append(f"the guide's Normals {widen:g} times as wide")
    if share:
        parts.append(f"a share of {share:g} from the prior")
    return ", and ".join(parts) or None


def rise(evaluation: Evaluation) -> float | None:
    """Return the nats that the bound gains from ten times the samples, at its right end.

    It is the slope of L_K along log10 K from the largest power of ten that is at most a fifth of
    all samples; None where there is none, or a bound is not finite.
    """
    bounds = {int(k): value for k, value in evaluation.get("by_samples", {}).items()}
    if not bounds:
        return None
    last = max(bounds)
    earlier = [k for k in bounds if 5 * k <= last]
    if not earlier:
        return None
    first = max(earlier)
    low, high = bounds[first], bounds[last]
    if not (known(low) and known(high)):
        return None
    return (high - low) / log10(last / first)


def advice(evaluation: Evaluation, datum: str = "image") -> list[str]:
    """Say what is wrong with an importance-sampled log p(x), with the flags that may mend it.

    Args:
        evaluation: The numbers.
        datum: What one datum is called.

    Returns:
        Sentences; none where nothing is wrong.
    """
    found = []
    share, gained = unreliable_share(evaluation), rise(evaluation)
    if share is not None and share >= FEW:
        found.append(
            f"Pareto k-hat is above 0.7 for {share:.0%} of the {datum}s: log p(x) is likely too "
            "low, and the proposal too narrow"
        )
    if gained is not None and gained > RISING:
        found.append(
            f"the bound still rises, by {gained:.2f} nats for ten times the samples: log p(x) is "
            "above it"
        )
    return [*found, f"next: {_steps(evaluation)}"] if found else []


def _steps(evaluation: Mapping[str, Any]) -> str:
    steps = []
    if evaluation.get("widen", 1.0) == 1 and evaluation.get("has_normals", True):
        steps.append("a wider proposal (--widen 1.5)")
    samples = evaluation.get("samples")
    steps.append(f"more samples (--samples {10 * samples})" if samples else "more samples")
    if not evaluation.get("frames"):
        if not _is_there("fitted", evaluation):
            steps.append("Normals fitted to each datum (--estimator fitted)")
        if not _is_there("annealed", evaluation):
            steps.append("annealing (--estimator annealed), which needs no good guide")
    elif _may_average_frames(evaluation):
        steps.append("weights that are averaged by frame (--inner-samples 10)")
    return f"{', '.join(steps[:-1])} or {steps[-1]}" if len(steps) > 1 else steps[0]


def _is_there(estimator: str, evaluation: Mapping[str, Any]) -> bool:
    """Whether the same weights have been judged by another estimator."""
    other = evaluation.get(estimator)
    return other is not None and other.get("step") == evaluation.get("step")


def _may_average_frames(evaluation: Mapping[str, Any]) -> bool:
    """Whether frames have codes of their own, and nothing that was asked for speaks against it."""
    is_possible = evaluation.get("averages_frames", True) and not evaluation.get("prior_share")
    return is_possible and evaluation.get("inner_samples", 1) == 1
