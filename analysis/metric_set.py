"""All scores of codes that the factors of the data allow, in one table."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np

from .factor_kinds import numbered_classes, which_discrete
from .listed_scores import Asked, ListedScore, Part, listed_scores
from .score_inputs import Values, check_widths, code_rows, target_columns

_COVERED = (2.5, 97.5)


class ScoreSet(TypedDict):
    """Scores of one set of codes.

    Attributes:
        scores: By name of the score.
        intervals: Percentile bootstrap of 95 % over the data, of the scores that are cheap; the
            codes' training is taken as given.
        factors: Names of the factors that a score looked at.
        left_out: Why a score is missing.
        factors_left_out: Why a factor is in no score.
    """

    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    factors: dict[str, list[str]]
    left_out: dict[str, str]
    factors_left_out: dict[str, str]


def disentanglement_scores(
    train_codes: Values,
    train_factors: Values,
    test_codes: Values,
    test_factors: Values,
    *,
    train_scales: Values | None = None,
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
    ordered: Sequence[bool] | None = None,
    only: Sequence[str] | None = None,
    resamples: int = 200,
    forest_codes: int = 2000,
    seed: int = 0,
) -> ScoreSet:
    """Compute every score of codes that the factors allow.

    Scores that fit something do so on the training data and judge on the test data; all others
    take the training data alone. Factors of one value are left out; scores of classes take
    discrete factors only, correlations those in an order only. A score that does not fit the data
    is left out with its reason.

    Bootstrap intervals are the percentiles of scores of data that are drawn with replacement,
    moved so that their mean is the score: what is drawn twice makes up information of its own.

    Args:
        train_codes: `(N, K)`; the means of q, say.
        train_factors: `(N, F)`.
        test_codes: `(M, K)`.
        test_factors: `(M, F)`.
        train_scales: Standard deviations of q, `(N, K)`, for the mutual information gap of
            posteriors.
        names: Of the factors; numbered unless given.
        discrete: Which factors are classes; unless given, all if they are integers, else none.
        ordered: Which factors have an order, so that they can be correlated; unless given, all.
        only: Names of the scores to compute; those of one fit come together. All unless given.
        resamples: Number of bootstrap samples; 0 for no intervals.
        forest_codes: Most training data that DCI's forests are grown from, which take their time.
        seed: Seed of all that draws, 0 to 2**32 - 1.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, or there is no score of a name.
    """
    train, test = code_rows("train_codes", train_codes), code_rows("test_codes", test_codes)
    check_widths(train, test)
    factors = target_columns("train_factors", train_factors, len(train))
    truth = target_columns("test_factors", test_factors, len(test))
    check_widths(factors, truth, "factors")
    count = factors.shape[1]
    known = tuple(names) if names is not None else tuple(f"factor {f}" for f in range(count))
    if len(known) != count:
        raise ValueError(
            f"names has {len(known)} entries; expected {count}. Give one per factor, or none."
        )
    classes = which_discrete(train_factors, discrete, count)
    in_order = np.ones(count, bool) if ordered is None else np.array(ordered, bool)
    if len(in_order) != count:
        raise ValueError(
            f"ordered has {len(in_order)} entries; expected {count}. Give one per factor, or none."
        )
    found = ScoreSet(scores={}, intervals={}, factors={}, left_out={}, factors_left_out={})
    varies = np.ones(count, bool)
    for what, columns in (("training", factors), ("test", truth)):
        for f in np.flatnonzero((columns == columns[0]).all(0) & varies):
            varies[f] = False
            found["factors_left_out"][known[f]] = f"It has one value in the {what} data."
    numbered = numbered_classes(factors, truth, classes)
    kinds = {"classes": varies & classes, "ordered": varies & in_order, "all": varies}
    for score in listed_scores(only):
        chosen = np.flatnonzero(kinds.get(score.kind, np.zeros(count, bool)))
        of_train, of_test = (factors, truth) if score.kind == "ordered" else numbered
        if len(chosen) < score.least_factors:
            reason = _too_few(score, len(chosen))
            found["left_out"].update(dict.fromkeys(score.names, reason))
            continue
        learnt, judged = (
            Part(codes, columns[:, chosen].astype(np.int64 if score.kind == "classes" else float))
            for codes, columns in ((train, of_train), (test, of_test))
        )
        told = [bool(classes[f]) for f in chosen]
        asked = Asked(learnt, judged, told, train_scales, forest_codes, seed)
        try:
            values = score.compute(asked)
        except ValueError as error:
            found["left_out"].update(dict.fromkeys(score.names, str(error)))
            continue
        found["scores"].update(zip(score.names, map(float, values), strict=True))
        found["factors"].update({name: [known[f] for f in chosen] for name in score.names})
        if score.resample and resamples:
            found["intervals"].update(_intervals(score, asked, values, resamples))
    return found


def _too_few(score: ListedScore, count: int) -> str:
    kinds = {"classes": "discrete factors", "ordered": "factors in an order"}
    kind = kinds.get(score.kind, "factors")
    return f"It needs {score.least_factors} {kind} that vary, and there are {count}."


def _intervals(
    score: ListedScore, asked: Asked, values: Sequence[float], resamples: int
) -> dict[str, tuple[float, float]]:
    """Return the percentiles of each name's score; none where a sample lacks a factor's values."""
    random, train = np.random.default_rng(asked.seed), asked.train
    drawn = []
    for _ in range(resamples):
        rows = random.integers(len(train.codes), size=len(train.codes))
        try:
            part = Part(train.codes[rows], train.factors[rows])
            drawn.append(score.compute(replace(asked, train=part)))
        except ValueError:
            return {}
    sample = np.array(drawn)
    low, high = np.percentile(sample - sample.mean(0) + np.array(values), _COVERED, axis=0)
    ends = np.clip(np.stack([low, high], 1), 0, 1)
    return {name: (float(a), float(b)) for name, (a, b) in zip(score.names, ends, strict=True)}
