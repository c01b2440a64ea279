"""Runs side by side: log p(x) of the same data, and paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .advice import proposal_words
from .evaluation import Evaluation

CLEAR = 2.0  # paired standard errors


@dataclass(frozen=True, eq=False)
class JudgedRun:
    """A run that was judged.

    Attributes:
        name: What it is called in tables.
        method: Name of its method.
        data: What it was trained on.
        evaluation: Its `evaluation.json`.
        values: log p(x) of each datum, nats, `(N,)`; None where it was not kept.
        of: What the data are told apart by: runs of one key were judged on the same data, in the
            same order, of which some may have taken the first only.
    """

    name: str
    method: str
    data: str
    evaluation: Evaluation
    values: NDArray[np.floating] | None = None
    of: str | None = None


@dataclass(frozen=True)
class Difference:
    """How much likelier data are than by another run.

    Attributes:
        mean: Mean difference of log p(x), nats.
        standard_error: Of the mean, over pairs of values of the same datum, nats.
        count: Number of data that both judged, and found a finite value for.
    """

    mean: float
    standard_error: float
    count: int

    @property
    def is_clear(self) -> bool:
        """Whether it is above two of its standard errors in size."""
        return abs(self.mean) > CLEAR * self.standard_error


@dataclass(frozen=True, eq=False)
class Compared:
    """A row of a comparison.

    Attributes:
        run: The run.
        difference: From the run that all are held against; None for itself and where there is
            none.
        reason: Why there is no difference, a sentence; nothing where there is one.
    """

    run: JudgedRun
    difference: Difference | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Rows, and the name of the run that they are held against."""

    rows: Sequence[Compared]
    against: str
    datum: str = "image"
    notes: Sequence[str] = field(default=())


def compare(runs: Sequence[JudgedRun], against: int = 0, datum: str = "image") -> Comparison:
    """Hold runs against one of them, datum by datum.

    Differences of the same data have far smaller standard errors than the means, as what makes a
    datum unlikely does so by every model. Data that only one of two runs judged do not count.

    Args:
        runs: At least two runs.
        against: Place of the one that the others are held against.
        datum: What one datum is called.

    Raises:
        ValueError: If there are fewer than two runs, or no such place.
    """
    if len(runs) < 2:
        raise ValueError(f"number of runs is {len(runs)}; expected at least 2. Name more runs")
    if not 0 <= against < len(runs):
        raise ValueError(f"against is {against}; expected 0 to {len(runs) - 1}")
    base = runs[against]
    rows = [Compared(run) if run is base else _held_against(run, base) for run in runs]
    return Comparison(rows, base.name, datum, tuple(_notes(runs)))


def _held_against(run: JudgedRun, base: JudgedRun) -> Compared:
    for one in (run, base):
        if one.values is None:
            return Compared(run, None, f"values of single data of {one.name} were not kept")
    reason = _unlike(run, base)
    if reason or run.values is None or base.values is None:
        return Compared(run, None, reason)
    count = min(len(run.values), len(base.values))
    pairs = run.values[:count] - base.values[:count]
    pairs = pairs[np.isfinite(pairs)]
    if len(pairs) < 2:
        return Compared(run, None, "fewer than two data have a finite value by both")
    error = float(pairs.std(ddof=1)) / sqrt(len(pairs))
    return Compared(run, Difference(float(pairs.mean()), error, len(pairs)))


def _unlike(run: JudgedRun, base: JudgedRun) -> str:
    """Why two runs cannot be compared, or nothing."""
    mine, other = run.evaluation, base.evaluation
    if run.of != base.of:
        return "judged on other data"
    if not mine.get("is_likelihood", True) or not other.get("is_likelihood", True):
        return "" if mine.get("likelihood") == other.get("likelihood") else "not a likelihood"
    given = mine.get("given"), other.get("given")
    if all(given) and given[0] != given[1]:
        return "given other conditions"
    kinds = {_levels(mine), _levels(other)}
    if len(kinds) > 1:
        return "densities of other values: one of pixels, the other of levels"
    return ""


def _levels(evaluation: Evaluation) -> bool:
    return evaluation.get("bits_per_dimension") is not None


def _notes(runs: Sequence[JudgedRun]) -> list[str]:
    """What has to be said beneath the table."""
    notes = []
    if len({_samples(run.evaluation) for run in runs}) > 1:
        notes.append(
            "Numbers of samples K differ; the estimate rises with K, so that those of fewer "
            "samples are too low by more."
        )
    for run in runs:
        proposal = proposal_words(run.evaluation)
        if proposal:
            notes.append(
                f"{run.name}: samples of {proposal}; its ELBO is that of this proposal, not the "
                "guide's."
            )
    given = [run.name for run in runs if run.evaluation.get("given")]
    if given and len(given) < len(runs):
        notes.append(f"log p(x|c), given a condition: {', '.join(given)}; of the others log p(x).")
    remarks: dict[str, list[str]] = {}
    for run in runs:
        remark = run.evaluation.get("remark")
        if remark:
            remarks.setdefault(remark, []).append(run.name)
    return notes + [f"{', '.join(names)}: {remark}" for remark, names in remarks.items()]


def _samples(evaluation: Mapping[str, Any]) -> Any:
    return evaluation.get("samples"), evaluation.get("inner_samples")
