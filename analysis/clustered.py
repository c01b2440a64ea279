"""Standard errors of means over data that come in clusters, such as the frames of one sequence."""

from collections.abc import Sequence
from math import isnan, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from .neighbours import Accuracy


def clustered_error(parts: Sequence[NDArray[np.floating]], clusters: NDArray[np.integer]) -> float:
    r"""Return the standard error of a score whose data are independent between clusters only.

    That is \( \sqrt{\frac{G}{G - 1} \sum_c (\sum_{i \in c} d_i)^2} \) of `G` clusters, where `d_i`
    is how much datum `i` moves the score. With one datum per cluster an accuracy `a` has
    `sqrt(a (1 - a) / (N - 1))`. Of a single cluster no error is known.

    Source: Liang & Zeger (1986), https://doi.org/10.1093/biomet/73.1.13, for independent working
    correlation and a mean; the factor of few clusters is that of Cameron & Miller (2015),
    https://doi.org/10.3368/jhr.50.2.317, section VI.B.

    Args:
        parts: Influences `d` `(N,)`, one array for each of the scores that are averaged.
        clusters: Cluster of each datum, integers `(N,)`.

    Returns:
        The error; NaN where all data are of one cluster.
    """
    influence = np.mean(np.stack(parts), 0)
    known, places = np.unique(clusters, return_inverse=True)
    if len(known) < 2:
        return nan
    squares = float((np.bincount(places, weights=influence) ** 2).sum())
    return sqrt(squares * len(known) / (len(known) - 1))


def error_words(error: float) -> str:
    """Return a standard error after its sign, in words where it is not known."""
    return "± unknown" if isnan(error) else f"± {error:.3f}"


def clustered_accuracy(right: NDArray[np.bool_], clusters: NDArray[np.integer]) -> Accuracy:
    """Return the share of data that are right, its standard error taken over clusters.

    The error is that of `clustered_error`: NaN where all data are of one cluster.

    Args:
        right: Bools `(N,)`, `N` at least 1.
        clusters: Cluster of each datum, integers `(N,)`.
    """
    accuracy = float(right.mean())
    influence = (right - accuracy) / len(right)
    return Accuracy(accuracy, clustered_error([influence], clusters), len(right))
