"""How well the nearest codes tell the class of a datum."""

from dataclasses import dataclass
from math import sqrt

from sklearn.neighbors import KNeighborsClassifier

from .score_inputs import Values, check_widths, class_column, code_rows


@dataclass(frozen=True)
class Accuracy:
    """Share of the test data whose class is told rightly.

    Attributes:
        accuracy: In [0, 1].
        standard_error: Of the accuracy over the test data, `sqrt(a (1 - a) / N)`; the training
            data and the codes' own training are taken as given.
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
    the lowest class wins.

    Args:
        train_codes: `(N, K)`, or images `(N, C, H, W)`, whose pixels are the values.
        train_labels: Integers `(N,)`.
        test_codes: `(M, K)`, or images of the same shape.
        test_labels: Integers `(M,)`; a class that the training data lack counts as wrong.
        neighbours: How many vote, 1 to `N`.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, or `neighbours` is out of range.
    """
    train, test = code_rows("train_codes", train_codes), code_rows("test_codes", test_codes)
    check_widths(train, test)
    classes = class_column("train_labels", train_labels, len(train))
    truth = class_column("test_labels", test_labels, len(test))
    if not 1 <= neighbours <= len(train):
        raise ValueError(
            f"neighbours is {neighbours}; expected 1 to {len(train)}, the number of training "
            "codes. Choose fewer, or give more codes."
        )
    # scikit-learn works through the distances in chunks, so that memory stays bounded.
    told = KNeighborsClassifier(neighbours).fit(train, classes).predict(test)
    accuracy = float((told == truth).mean())
    return Accuracy(accuracy, sqrt(accuracy * (1 - accuracy) / len(test)), len(test))
