"""How well the nearest codes tell the class of a datum."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from .score_inputs import Values, check_widths, class_column, code_rows

UNKNOWN = -1  # the class of a datum that has no label
Rows = NDArray[np.floating]


@dataclass(frozen=True)
class Accuracy:
    """Share of the test data whose class is told rightly.

    Attributes:
        accuracy: In [0, 1].
        standard_error: Of the accuracy over the test data, `sqrt(a (1 - a) / N)`, or over clusters
            of these as `clustered_error`; NaN where all are of one. The training data and the
            codes' own training are taken as given.
        count: Number `N` of test data.
    """

    accuracy: float
    standard_error: float
    count: int


def knn_accuracy(
    train_codes: Values,
    train_labels: Values,
    test_codes: Values,
    test_labels: Values,
    *,
    neighbours: int = 5,
) -> Accuracy:
    """Classify test data by a vote of the nearest training data, Euclidean and unweighted.

    The codes are taken as they are: a dimension counts by its scale. This is no disentanglement
    score, because neighbours know no importance of single dimensions; see `dci`. In a tie of votes
    the lowest class wins. Data whose class is -1, not known, are left out.

    Args:
        train_codes: `(N, K)`, or images `(N, C, H, W)`, whose pixels are the values.
        train_labels: Integers `(N,)`.
        test_codes: `(M, K)`, or images of the same shape.
        test_labels: Integers `(M,)`; a class that the training data lack counts as wrong.
        neighbours: How many vote, 1 to `N`.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, no class is known, or `neighbours`
            is out of range.
    """
    train, test = code_rows("train_codes", train_codes), code_rows("test_codes", test_codes)
    check_widths(train, test)
    train, classes = _known("train_labels", train, train_labels)
    test, truth = _known("test_labels", test, test_labels)
    if not 1 <= neighbours <= len(train):
        raise ValueError(
            f"neighbours is {neighbours}; expected 1 to {len(train)}, the number of training "
            "codes. Choose fewer, or give more codes."
        )
    # scikit-learn works through the distances in chunks, so that memory stays bounded.
    told = KNeighborsClassifier(neighbours).fit(train, classes).predict(test)
    accuracy = float((told == truth).mean())
    return Accuracy(accuracy, sqrt(accuracy * (1 - accuracy) / len(test)), len(test))


def _known(what: str, codes: Rows, labels: Values) -> tuple[Rows, NDArray[np.integer]]:
    """Return the codes whose class is known, with their classes."""
    classes = class_column(what, labels, len(codes))
    known = classes != UNKNOWN
    if not known.any():
        raise ValueError(
            f"{what} are all {UNKNOWN}, not known; expected classes from 0. Give data of which "
            "some have a label."
        )
    return codes[known], classes[known]
