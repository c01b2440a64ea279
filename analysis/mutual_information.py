"""Mutual information of single codes and factors, in nats: of binned codes, and of posteriors."""

from math import log, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.floating]
_Integers = NDArray[np.integer]
_CHUNK = 2**16  # densities at a time: they stay in the processor's cache


def factor_entropies(factors: _Integers) -> _Floats:
    """Return the entropy of each factor's empirical distribution, nats, `(F,)`.

    Args:
        factors: Integers `(N, F)`.
    """
    return np.array([_entropy(np.unique(column, return_counts=True)[1]) for column in factors.T])


def binned_information(codes: _Floats, factors: _Integers, bins: int) -> _Floats:
    """Return the plug-in mutual information of binned codes and factors, nats, `(K, F)`.

    The bins of a code are as wide as each other and reach from its least to its greatest value; a
    constant code has one bin. The estimate is too high by about `(bins - 1)(values - 1) / 2N`.

    Args:
        codes: `(N, K)`.
        factors: Integers `(N, F)`.
        bins: Number of bins, at least 2.
    """
    binned = [_bin(code, bins) for code in codes.T]
    values = [np.unique(column, return_inverse=True)[1] for column in factors.T]
    return np.array([[_information(b, v) for v in values] for b in binned])


def posterior_log_ratios(
    locs: _Floats,
    scales: _Floats,
    factors: _Integers,
    *,
    samples: int,
    components: int,
    random: np.random.Generator,
) -> _Floats:
    r"""Return \( \log q(z_k | v_f) - \log q(z_k) \) at samples of the codes, `(F, S, K)`, nats.

    Here \( q(z) = \frac{1}{N} \sum_n q(z|x_n) \), and `q(z|v)` is the mean over the data of that
    value. The mean over the samples estimates the mutual information. Where a mean has more than
    `components` data, it is estimated at the sample of datum `n` by `q(z|x_n) / N` and the
    `(N-1) / N`-fold mean over `components` of the others: without bias, whose logarithm then is
    too low by about half the relative variance of that mean.

    Args:
        locs: Means of the factorised Normal `q(z|x_n)`, `(N, K)`.
        scales: Standard deviations, positive, `(N, K)`.
        factors: Integers `(N, F)`.
        samples: Number `S` of codes; their data differ as long as there are enough.
        components: Most data whose densities are averaged.
        random: Of the data, the samples and the components.
    """
    data = np.resize(random.permutation(len(locs)), samples)
    z = locs[data] + scales[data] * random.standard_normal((samples, locs.shape[1]))
    every, everywhere = np.arange(len(locs)), np.arange(samples)
    marginal = _log_aggregate(z, data, everywhere, every, locs, scales, components, random)
    ratios = np.empty((factors.shape[1], *z.shape))
    for f, column in enumerate(factors.T):
        for value in np.unique(column[data]):
            places, members = (
                np.flatnonzero(column[data] == value),
                np.flatnonzero(column == value),
            )
            ratios[f, places] = _log_aggregate(
                z, data, places, members, locs, scales, components, random
            )
    return ratios - marginal


def _log_aggregate(
    z: _Floats,
    data: _Integers,
    places: _Integers,
    members: _Integers,
    locs: _Floats,
    scales: _Floats,
    components: int,
    random: np.random.Generator,
) -> _Floats:
    """Log of the members' mean density at `z[places]`, whose data are members, by dimension."""
    pool = members
    if len(members) > components:
        pool = random.choice(members, components, replace=False)
    own = data[places]
    pooled = np.isin(own, pool)[:, None]
    own_density = _density((z[places] - locs[own]) / scales[own], scales[own])
    total = _sum_densities(z[places], locs[pool], scales[pool])
    others = np.maximum(total - pooled * own_density, 0) / np.maximum(len(pool) - pooled, 1)
    return np.log((own_density + (len(members) - 1) * others) / len(members))


def _sum_densities(z: _Floats, locs: _Floats, scales: _Floats) -> _Floats:
    """Sum over components `(M, K)` of the densities at `z`, `(S, K)`, dimension by dimension."""
    sums = np.empty(z.shape)
    rows = max(1, _CHUNK // len(locs))
    for k in range(z.shape[1]):
        precise = 1 / scales[:, k]
        heights = precise / sqrt(2 * pi)
        centres = locs[:, k] * precise
        for start in range(0, len(z), rows):
            part = slice(start, start + rows)
            work = np.multiply.outer(z[part, k], precise)
            work -= centres
            np.multiply(work, work, out=work)
            work *= -0.5
            np.exp(work, out=work)
            sums[part, k] = work @ heights
    return sums


def _density(standard: _Floats, scale: _Floats) -> _Floats:
    return np.exp(-0.5 * standard**2) / (scale * sqrt(2 * pi))


def _bin(code: _Floats, bins: int) -> _Integers:
    edges = np.linspace(code.min(), code.max(), bins + 1)[:-1]
    return np.searchsorted(np.unique(edges), code, side="right") - 1


def _information(first: _Integers, second: _Integers) -> float:
    """Plug-in mutual information of two columns of counted classes, nats."""
    shape = (int(first.max()) + 1, int(second.max()) + 1)
    table = np.bincount(first * shape[1] + second, minlength=shape[0] * shape[1])
    table = table.reshape(shape).astype(float)
    rows, columns = _entropy(table.sum(1)), _entropy(table.sum(0))
    return max(0.0, rows + columns - _entropy(table.ravel()))


def _entropy(counts: NDArray[Any]) -> float:
    """Entropy of the distribution that counts are proportional to, nats."""
    positive = counts[counts > 0].astype(float)
    total = positive.sum()
    return log(total) - float(positive @ np.log(positive)) / total
