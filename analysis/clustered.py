"""Standard errors of means over data that come in clusters, such as the frames of one sequence."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from .neighbours import Accuracy


def clustered_error(parts: Sequence[NDArray[np.floating]], clusters: NDArray[np.integer]) -> float:
    r"""Return the standard error of a score whose data are independent between clusters only.

    That is \( \sqrt{\sum_c (\sum_{i \in c} d_i)^2} \), where `d_i` is how much datum `i` moves the
    score. With one datum per cluster an accuracy `a` has `sqrt(a (1 - a) / N)`.

    Source: Liang & Zeger (1986), https://doi.org/10.1093/biomet/73.1.13, for independent working
    correlation and a mean.

    Args:
        parts: Influences `d` `(N,)`, one array for each of the scores that are averaged.
        clusters: Cluster of each datum, integers `(N,)`.
    """
    influence = np.mean(np.stack(parts), 0)
    _, places = np.unique(clusters, return_inverse=True)
    return sqrt(float((np.bincount(places, weights=influence) ** 2).sum()))


def clustered_accuracy(right: NDArray[np.bool_], clusters: NDArray[np.integer]) -> Accuracy:
    """Return the share of data that are right, its standard error taken over clusters.

    Args:
        right: Bools `(N,)`, `N` at least 1.
        clusters: Cluster of each datum, integers `(N,)`.
    """
    accuracy = float(right.mean())
    influence = (right - accuracy) / len(right)
    return Accuracy(accuracy, clustered_error([influence], clusters), len(right))
