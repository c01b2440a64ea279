"""Modularity: whether each code holds information of one factor only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .factor_kinds import check_two_factors, class_columns
from .mutual_information import binned_information
from .score_inputs import Values, check_varies, code_rows

_NONE = 1e-12  # below it, information is what rounding leaves


@dataclass(frozen=True, eq=False)
class Modularity:
    """How far the information of each code is of one factor.

    Attributes:
        score: Mean of `code_scores`, in [0, 1].
        code_scores: 1 for a code that holds information of one factor only, 0 for one that holds
            as much of all or none of any, `(K,)`.
        mutual_information: Of code `k` and factor `f`, nats, `(K, F)`.
    """

    score: float
    code_scores: NDArray[np.floating]
    mutual_information: NDArray[np.floating]


def modularity(codes: Values, factors: Values, *, bins: int = 20) -> Modularity:
    r"""Score each code by its information of all factors but its main one.

    With the mutual information `m` of a binned code and the factors, and `m*` the largest, a code
    has the score \( 1 - \sum_{f \ne f^*} m_f^2 / (m^{*2} (F - 1)) \). Codes count alike, however
    little they hold: what counting makes up, about `(bins - 1)(values - 1) / 2N` nats, gives a
    code of pure noise a score of its own. Look at `mutual_information` before you read a mean over
    many idle codes. Constant codes score 0, as in disentanglement_lib.

    Source: Ridgeway & Mozer (2018), https://arxiv.org/abs/1802.05312, section 3.

    Args:
        codes: `(N, K)`; the means of q, say.
        factors: Integers `(N, F)`, `F` at least 2, each with at least two values.
        bins: Number of bins of equal width from a code's least to its greatest value, at least 2.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, a factor is no class or does not
            vary, or a number is out of range.
    """
    values = code_rows("codes", codes).astype(np.float64)
    columns = class_columns("factors", factors, len(values))
    check_two_factors("factors", columns.shape[1])
    check_varies("factors", columns)
    if bins < 2:
        raise ValueError(f"bins is {bins}; expected at least 2. The default is 20.")
    return score_modularity(binned_information(values, columns, bins))


def score_modularity(mutual_information: NDArray[np.floating]) -> Modularity:
    """Score a matrix of mutual information.

    Args:
        mutual_information: `(K, F)`, not negative, of `K` codes and `F` factors, `F` at least 2.
    """
    largest = mutual_information.max(1, keepdims=True)
    shares = mutual_information / np.where(largest > _NONE, largest, 1)
    strays = ((shares**2).sum(1) - 1) / (mutual_information.shape[1] - 1)
    scores = np.where(largest[:, 0] > _NONE, 1 - strays, 0.0)
    return Modularity(float(scores.mean()), scores, mutual_information)
