"""Inception score and entropies of what a judge sees in generated data."""

from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from .score_inputs import Values, code_rows

_TOLERANCE = 1e-4


@dataclass(frozen=True)
class GenerationScores:
    """How sure a judge is of single data, and how varied they are together.

    Attributes:
        inception_score: `exp(inter_entropy - intra_entropy)`, from 1 to the number of classes;
            better when higher.
        intra_entropy: Mean entropy of the classes of one datum, H(y|x), in nats; better when
            lower.
        inter_entropy: Entropy of the classes of all data, H(y), in nats, at most the logarithm of
            their number; better when higher.
        count: Number of data.
    """

    inception_score: float
    intra_entropy: float
    inter_entropy: float
    count: int


def generation_scores(probabilities: Values) -> GenerationScores:
    r"""Score generated data by a judge's probabilities of one head.

    The inception score is \( \exp \operatorname{E}_x \mathrm{KL}(p(y|x) \,\|\, p(y)) \), with p(y)
    the mean over the data. It is no more than that of real data whose classes are as balanced:
    state theirs beside it, and give as many data of each class to both.

    Source: Salimans et al. (2016), https://arxiv.org/abs/1606.03498.

    Args:
        probabilities: Of each class, `(N, K)`, rows that sum to 1, as `Judge.probabilities`
            returns for a head.

    Raises:
        ValueError: If these are no probabilities.
    """
    values = code_rows("probabilities", probabilities).astype(np.float64)
    sums = values.sum(1)
    if values.min() < 0 or abs(sums - 1).max() > _TOLERANCE:
        raise ValueError(
            f"probabilities have a least value of {values.min():g} and sums from {sums.min():g} "
            f"to {sums.max():g}; expected rows that sum to 1. Give the probabilities of one head."
        )
    values /= sums[:, None]
    intra = float(_entropy(values).mean())
    inter = float(_entropy(values.mean(0, keepdims=True))[0])
    return GenerationScores(exp(inter - intra), intra, inter, len(values))


def _entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of each row in nats."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1))
    return -(probabilities * logs).sum(1)
