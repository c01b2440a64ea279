"""Disentanglement, completeness and informativeness of codes, where true factors are known.

Source: Eastwood & Williams (2018), https://openreview.net/forum?id=By-7dz-AZ, section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .factor_kinds import numbered_classes, which_discrete
from .importance import REGRESSORS, RegressorName, fit_importance
from .score_inputs import (
    Values,
    check_varies,
    check_widths,
    code_rows,
    target_columns,
)


@dataclass(frozen=True, eq=False)
class DCI:
    """How codes and factors belong together; all scores are better when higher.

    Attributes:
        disentanglement: Mean of the codes' scores, weighted by `code_weights`, in [0, 1].
        completeness: Plain mean of the factors' scores, in [0, 1].
        informativeness: Plain mean of `factor_informativeness`.
        importance: How much code `k` matters to tell factor `f`, `(K, F)`.
        code_scores: 1 for a code that matters to one factor only, 0 for one that matters to all
            alike or to none, `(K,)`.
        code_weights: Share of a code in all importance, `(K,)`; 0 for a dead code.
        factor_scores: 1 for a factor that one code tells, 0 for one that all codes tell alike, or
            none, `(F,)`.
        factor_informativeness: On test data, the explained variance R^2 of a continuous factor and
            the accuracy of a discrete one, `(F,)`. The paper's error is sqrt(1 - R^2).
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: NDArray[np.floating]
    code_scores: NDArray[np.floating]
    code_weights: NDArray[np.floating]
    factor_scores: NDArray[np.floating]
    factor_informativeness: NDArray[np.floating]


def dci(
    train_codes: Values,
    train_factors: Values,
    test_codes: Values,
    test_factors: Values,
    *,
    regressor: RegressorName = "forest",
    discrete: Sequence[bool] | None = None,
    seed: int = 0,
) -> DCI:
    """Score codes by the importance that each of them has for each true factor.

    Scores of different regressors, numbers of training data or sets of factors do not compare.

    Args:
        train_codes: `(N, K)`, `K` at least 2; the means of q, say.
        train_factors: `(N, F)`, `F` at least 2. An angle is better given as classes, as it has no
            end.
        test_codes: `(M, K)`.
        test_factors: `(M, F)`.
        regressor: `forest`, 50 trees, whose depth of 2, 4, 8 or 16 is the best for the training
            data that each tree left out; `lasso`, penalty 0.02 on standardised values, for
            continuous factors only; `boosting`, 100 trees of depth 3, slow for many classes.
        discrete: Which factors are classes, whatever numbers these are; unless given, all if they
            are integers, else none.
        seed: Seed of forests and boosting, 0 to 2**32 - 1.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, a factor does not vary, or the
            regressor is none of these or not for classes.
    """
    train, test = code_rows("train_codes", train_codes), code_rows("test_codes", test_codes)
    check_widths(train, test)
    factors = target_columns("train_factors", train_factors, len(train))
    truth = target_columns("test_factors", test_factors, len(test))
    check_widths(factors, truth, "factors")
    check_varies("train_factors", factors)
    _check_counts(train.shape[1], factors.shape[1])
    classes = which_discrete(train_factors, discrete, factors.shape[1])
    _check_regressor(regressor, classes)
    if not classes.all():
        check_varies("test_factors", truth[:, ~classes])
    factors, truth = numbered_classes(factors, truth, classes)
    importance = np.zeros((train.shape[1], factors.shape[1]))
    told = np.zeros(factors.shape[1])
    for f, is_class in enumerate(classes.tolist()):
        importance[:, f], fitted = fit_importance(regressor, train, factors[:, f], is_class, seed)
        told[f] = _quality(fitted.predict(test), truth[:, f], is_class)
    return score_importance(importance, told)


def score_importance(
    importance: NDArray[np.floating], factor_informativeness: NDArray[np.floating]
) -> DCI:
    """Score an importance matrix by the entropies of its rows and of its columns.

    Args:
        importance: `(K, F)`, not negative, of `K` codes for `F` factors, at least 2 each.
        factor_informativeness: How well the factors were told, `(F,)`; handed on.
    """
    total = importance.sum()
    weights = importance.sum(1) / total if total > 0 else np.zeros(len(importance))
    code_scores, factor_scores = _concentration(importance), _concentration(importance.T)
    return DCI(
        disentanglement=float(weights @ code_scores),
        completeness=float(factor_scores.mean()),
        informativeness=float(factor_informativeness.mean()),
        importance=importance,
        code_scores=code_scores,
        code_weights=weights,
        factor_scores=factor_scores,
        factor_informativeness=factor_informativeness,
    )


def _concentration(importance: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return 1 minus the entropy of each row, its base the row's length; 0 for an empty row."""
    sums = importance.sum(1, keepdims=True)
    shares = importance / np.where(sums > 0, sums, 1)
    logs = np.log(np.where(shares > 0, shares, 1))
    entropy = -(shares * logs).sum(1) / np.log(importance.shape[1])
    return np.where(sums[:, 0] > 0, 1 - entropy, 0.0)


def _quality(told: NDArray[np.floating], truth: NDArray[np.floating], is_class: bool) -> float:
    if is_class:
        return float((told == truth).mean())
    return float(1 - ((truth - told) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def _check_counts(codes: int, factors: int) -> None:
    for what, count in (("codes", codes), ("factors", factors)):
        if count < 2:
            raise ValueError(
                f"train_{what} have {count} column; expected at least 2. Among one nothing can be "
                "entangled; see knn_accuracy and linear_r2."
            )


def _check_regressor(regressor: str, classes: NDArray[np.bool_]) -> None:
    if regressor not in REGRESSORS:
        raise ValueError(
            f"regressor is {regressor!r}; expected one of {', '.join(REGRESSORS)}. The default is "
            "forest."
        )
    if regressor == "lasso" and classes.any():
        raise ValueError(
            "regressor is 'lasso' and a factor is discrete; expected continuous factors. Choose "
            "forest, or give factors that are in an order as floats."
        )
