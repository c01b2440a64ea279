"""Correlations of single codes with single factors, or with codes of another run."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def pearson(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the correlation of columns `(N, K)` and `(N, F)`, `(K, F)`; 0 of a constant one."""
    return np.clip(_standard(first).T @ _standard(second), -1, 1)


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the correlation of ranks, of which equal values share the mean, `(K, F)`."""
    return pearson(rankdata(first, axis=0), rankdata(second, axis=0))


def _standard(columns: NDArray[np.floating]) -> NDArray[np.floating]:
    """Bring each column to mean 0 and length 1; constant ones to 0."""
    varies = (columns != columns[0]).any(0)
    centred = np.where(varies, columns.astype(np.float64) - columns.mean(0, dtype=np.float64), 0)
    largest = np.abs(centred).max(0)  # squares of tiny codes would vanish
    centred /= np.where(largest > 0, largest, 1)
    lengths = np.sqrt((centred**2).sum(0))
    return centred / np.where(lengths > 0, lengths, 1)
