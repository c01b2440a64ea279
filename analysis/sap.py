"""Separated attribute predictability: how much better the best single code tells a factor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import LinearSVC

from .correlations import pearson
from .factor_kinds import check_two_codes, numbered_classes, which_discrete
from .score_inputs import Values, check_varies, check_widths, code_rows, target_columns

PENALTY = 0.01


@dataclass(frozen=True, eq=False)
class SAP:
    """Gaps between the two single codes that tell a factor best.

    Attributes:
        score: Mean of the gaps; 1 is best, 0 is none.
        gaps: Of each factor, in [0, 1], `(F,)`.
        told: How well code `k` alone tells factor `f`, in [0, 1], `(K, F)`: the test accuracy of a
            class, the explained variance R^2 of a number.
    """

    score: float
    gaps: NDArray[np.floating]
    told: NDArray[np.floating]


def sap(
    train_codes: Values,
    train_factors: Values,
    test_codes: Values,
    test_factors: Values,
    *,
    discrete: Sequence[bool] | None = None,
) -> SAP:
    """Score codes by how well each of them tells each factor alone, along a line.

    A class is told by a linear support vector machine, C = 0.01 with balanced classes, whose
    accuracy is that on test data; a number by least squares, whose R^2, the squared correlation,
    is that of the training data. Which factors count as classes decides the score: a number in
    40 classes, of which a machine on one code finds a few, gets far less than its R^2. Order and
    sign of codes do not matter, but of classes the scale does: the machine's penalty holds codes
    down that are small beside the prior's scale 1, for which it is made.

    Source: Kumar et al. (2018), https://arxiv.org/abs/1711.00848, section 3; the machine is that
    of disentanglement_lib.

    Args:
        train_codes: `(N, K)`, `K` at least 2; the means of q, say.
        train_factors: `(N, F)`, each with at least two values.
        test_codes: `(M, K)`.
        test_factors: `(M, F)`.
        discrete: Which factors are classes, whatever numbers these are; unless given, all if they
            are integers, else none.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, or a factor does not vary.
    """
    train, test = code_rows("train_codes", train_codes), code_rows("test_codes", test_codes)
    check_widths(train, test)
    check_two_codes("train_codes", train)
    factors = target_columns("train_factors", train_factors, len(train))
    truth = target_columns("test_factors", test_factors, len(test))
    check_widths(factors, truth, "factors")
    check_varies("train_factors", factors)
    classes = which_discrete(train_factors, discrete, factors.shape[1])
    factors, truth = numbered_classes(factors, truth, classes)
    told = pearson(train, factors) ** 2
    for f in np.flatnonzero(classes):
        for k in range(train.shape[1]):
            machine: Any = LinearSVC(C=PENALTY, class_weight="balanced", dual="auto")
            machine.fit(train[:, k, None], factors[:, f])
            told[k, f] = machine.score(test[:, k, None], truth[:, f])
    second, best = np.sort(told, 0)[-2:]
    return SAP(float((best - second).mean()), best - second, told)
