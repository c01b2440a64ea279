"""Explicitness: how well a linear classifier of all codes ranks the values of each factor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from .factor_kinds import class_columns
from .score_inputs import Values, check_varies, check_widths, code_rows


@dataclass(frozen=True, eq=False)
class Explicitness:
    """Areas under the receiver operating characteristic, one value of a factor against the rest.

    Attributes:
        score: Mean of `factor_scores`; 1 is best, 0.5 what a guess has: the number of
            disentanglement_lib.
        rescaled: `2 score - 1`, of which a guess has 0: the paper's range.
        factor_scores: Mean area of the values of each factor, `(F,)`.
    """

    score: float
    rescaled: float
    factor_scores: NDArray[np.floating]


def explicitness(
    train_codes: Values, train_factors: Values, test_codes: Values, test_factors: Values
) -> Explicitness:
    """Score all codes together by how openly they hold the factors.

    A multinomial logistic regression of the standardised codes, penalty 1, tells each factor. Each
    of its probabilities should rank the test data of that value before the rest; the area says how
    often it does. A rotation of the codes costs nothing, but what lies in a curve is not found. An
    area forgives more than an accuracy: of 40 values in a row, far ones are ranked right easily.

    Source: Ridgeway & Mozer (2018), https://arxiv.org/abs/1802.05312, section 3.

    Args:
        train_codes: `(N, K)`.
        train_factors: Integers `(N, F)`, each with at least two values.
        test_codes: `(M, K)`.
        test_factors: Integers `(M, F)`, each with at least two of the values; what the training
            data do not have counts among the rest.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, or a factor is no class or does not
            vary.
    """
    train, test = code_rows("train_codes", train_codes), code_rows("test_codes", test_codes)
    check_widths(train, test)
    factors = class_columns("train_factors", train_factors, len(train))
    truth = class_columns("test_factors", test_factors, len(test))
    check_widths(factors, truth, "factors")
    check_varies("train_factors", factors)
    check_varies("test_factors", truth)
    scaler = StandardScaler().fit(train.astype(np.float64))
    rows, asked = (np.asarray(scaler.transform(part)) for part in (train, test))
    scores = np.array(
        [_area(rows, factors[:, f], asked, truth[:, f], f) for f in range(factors.shape[1])]
    )
    return Explicitness(float(scores.mean()), float(2 * scores.mean() - 1), scores)


def _area(
    train: NDArray[np.floating],
    factor: NDArray[np.integer],
    test: NDArray[np.floating],
    truth: NDArray[np.integer],
    f: int,
) -> float:
    classifier = LogisticRegression(max_iter=2000).fit(train, factor)
    chances = classifier.predict_proba(test)
    known = [place for place, value in enumerate(classifier.classes_) if (truth == value).any()]
    if not known:
        raise ValueError(
            f"test_factors[:, {f}] have no value of train_factors[:, {f}]; expected some in both. "
            "Split the data at random."
        )
    areas = [roc_auc_score(truth == classifier.classes_[p], chances[:, p]) for p in known]
    return float(np.mean(areas))
