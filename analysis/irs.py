"""Interventional robustness: how still a code stands while its factor is fixed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .factor_kinds import class_columns
from .score_inputs import Values, check_varies, code_rows


@dataclass(frozen=True, eq=False)
class IRS:
    """Robustness of each code against all factors but the one that holds it most still.

    Attributes:
        score: Mean of `code_scores`, weighted by `deviations`, in [0, 1].
        code_scores: Largest robustness of each code, `(K,)`; 0 for a constant code.
        robustness: Of code `k` while factor `f` is fixed, at most 1, `(K, F)`; 1 if it stands
            still, and about 0 if the factor does not matter to it.
        deviations: Largest deviation of each code from its mean, `(K,)`; 0 of a constant code.
    """

    score: float
    code_scores: NDArray[np.floating]
    robustness: NDArray[np.floating]
    deviations: NDArray[np.floating]


def irs(codes: Values, factors: Values, *, quantile: float = 0.99) -> IRS:
    r"""Score each code by how little other factors move it once its own factor is fixed.

    For code `k` and factor `f` take, over the data of each value `v`, a large deviation
    \( |z_k - \operatorname{E}[z_k | v]| \); the mean over the values, divided by the largest
    \( |z_k - \operatorname{E} z_k| \) of all, is what is left of the code's movement. Robustness
    is 1 less that, and a code's score the largest of its row.

    Made for crossed factors and codes without noise: factors that go together look robust, and so
    does a code of pure noise whose values are few per value of a factor, or whose largest
    deviation is an outlier. Give as many data per value for each value, and compare only scores of
    as many data. Codes are weighted by their scale, so that rescaling one moves the score.

    Source: Suter et al. (2019), https://arxiv.org/abs/1811.00007, whose large deviation is the
    maximum; the quantile is that of disentanglement_lib.

    Args:
        codes: `(N, K)`; the means of q, say.
        factors: Integers `(N, F)`, each with at least two values.
        quantile: Of the deviations of a value that stands for the largest, in (0, 1]; 1 is the
            maximum.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, a factor is no class or does not
            vary, or the quantile is out of range.
    """
    values = code_rows("codes", codes).astype(np.float64)
    columns = class_columns("factors", factors, len(values))
    check_varies("factors", columns)
    if not 0 < quantile <= 1:
        raise ValueError(
            f"quantile is {quantile}; expected more than 0 and at most 1. The default is 0.99."
        )
    varies = (values != values[0]).any(0)
    deviations = np.where(varies, np.abs(values - values.mean(0)).max(0), 0)
    left = np.stack([_left(values, column, quantile) for column in columns.T], 1)
    robustness = 1 - left / np.where(varies, deviations, 1)[:, None]
    robustness[~varies] = 0
    code_scores = robustness.max(1)
    total = deviations.sum()
    score = float(deviations @ code_scores / total) if total > 0 else 0.0
    return IRS(score, code_scores, robustness, deviations)


def _left(
    codes: NDArray[np.floating], column: NDArray[np.integer], quantile: float
) -> NDArray[np.floating]:
    """Return the mean over a factor's values of each code's large deviation, `(K,)`."""
    large = []
    for value in np.unique(column):
        rows = codes[column == value]
        large.append(np.quantile(np.abs(rows - rows.mean(0)), quantile, axis=0))
    return np.mean(large, 0)
