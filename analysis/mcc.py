"""Mean correlation coefficient: codes against the factors that they are matched with."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from .correlations import pearson, spearman
from .score_inputs import Values, check_varies, code_rows, target_columns

Correlation: TypeAlias = Literal["pearson", "spearman"]


@dataclass(frozen=True, eq=False)
class MCC:
    """Correlations under the best matching of codes and factors.

    Attributes:
        score: Mean of `factor_scores`, in [0, 1].
        factor_scores: Absolute correlation of each factor with its own code, `(F,)`; 0 where there
            are too few codes.
        matched: Code of each factor, `(F,)`; -1 where it has none.
        correlations: Of code `k` and factor `f`, with sign, `(K, F)`; 0 for a constant code.
    """

    score: float
    factor_scores: NDArray[np.floating]
    matched: NDArray[np.integer]
    correlations: NDArray[np.floating]


def mcc(codes: Values, factors: Values, *, correlation: Correlation = "pearson") -> MCC:
    """Score codes by the correlation of each factor with a code of its own.

    Codes and factors are matched one to one so that the mean absolute correlation is largest. It
    is 1 if each factor is a code up to scale, shift and sign; with ranks, up to any monotone map.
    Codes beyond the matched ones cost nothing, and what they hold does not either, so that this
    says that factors are identified and not that codes are pure. More codes, or few data, match
    better by chance. Classes in no order have no correlation: leave them out.

    Source: Hyvarinen & Morioka (2016), https://arxiv.org/abs/1605.06336; as many codes as factors
    there.

    Args:
        codes: `(N, K)`; the means of q, say.
        factors: Numbers `(N, F)`, in an order, each with at least two values. An angle is better
            given as sine and cosine, or left out.
        correlation: `pearson`, or `spearman` of ranks.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, a factor does not vary, or there
            is no such correlation.
    """
    values = code_rows("codes", codes)
    columns = target_columns("factors", factors, len(values))
    check_varies("factors", columns)
    if correlation not in get_args(Correlation):
        raise ValueError(
            f"correlation is {correlation!r}; expected one of {', '.join(get_args(Correlation))}. "
            "The default is pearson."
        )
    correlations = (pearson if correlation == "pearson" else spearman)(values, columns)
    chosen, found = linear_sum_assignment(np.abs(correlations), maximize=True)
    matched = np.full(columns.shape[1], -1)
    matched[found] = chosen
    scores = np.zeros(columns.shape[1])
    scores[found] = np.abs(correlations[chosen, found])
    return MCC(float(scores.mean()), scores, matched, correlations)
