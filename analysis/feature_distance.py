"""How far two sets of data are from each other in the features of a net: Fréchet and kernel."""

from dataclasses import dataclass
from math import sqrt
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from .score_inputs import Values, code_rows, host_array

BLOCKS = 10
FEWEST_PER_BLOCK = 2
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KernelDistance:
    """Squared maximum mean discrepancy of two sets.

    Attributes:
        value: Mean over blocks, without bias: 0 on average where both sets have one distribution,
            so that it may be negative.
        standard_error: Of the value, from how much the blocks differ.
        blocks: Number of blocks, which share no data.
    """

    value: float
    standard_error: float
    blocks: int


def frechet_distance(features: Values, others: Values) -> float:
    r"""Return the squared Fréchet distance between Gaussians fitted to two sets of features.

    Moments are those of the sets, covariances with `N - 1`. Of finite sets the distance is too
    large, the more so the fewer data and the more features there are: compare numbers of equally
    many data only, and state beside them the distance of two sets of real data. Numbers of other
    features, such as the FID of Inception's, cannot be compared with it.

    Source: Heusel et al. (2017), https://arxiv.org/abs/1706.08500; Dowson & Landau (1982),
    https://doi.org/10.1016/0047-259X(82)90077-X.

    Args:
        features: `(N, D)`, `N` larger than `D`.
        others: `(M, D)`, `M` larger than `D`.

    Returns:
        At least 0, in squares of the features' unit.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, or there are too few data for the
            covariance of so many features.
    """
    parts = _both(features, others)
    for what, part in zip(("features", "others"), parts, strict=True):
        count, dims = part.shape
        if count <= dims:
            raise ValueError(
                f"{what} have {count} data of {dims} features; expected more data than features, "
                f"since a covariance of fewer has no full rank. Give at least {dims + 1} data, "
                "better ten times as many, or use kernel_distance, which needs no covariance."
            )
    own, other = ((part.mean(0), np.cov(part, rowvar=False, ddof=1)) for part in parts)
    return frechet_distance_of_moments(*own, *other)


def frechet_distance_of_moments(
    mean: Values, covariance: Values, other_mean: Values, other_covariance: Values
) -> float:
    r"""Return the squared Fréchet distance of two Gaussians, exactly.

    That is \( |\mu - \nu|^2 + \operatorname{tr}(S + T - 2 (S^{1/2} T S^{1/2})^{1/2}) \), which is
    the squared Wasserstein-2 distance. The last trace is the nuclear norm of
    \( S^{1/2} T^{1/2} \), so no root of a matrix that is not symmetric is taken.

    Source: Dowson & Landau (1982), https://doi.org/10.1016/0047-259X(82)90077-X.

    Args:
        mean: \( \mu \), `(D,)`.
        covariance: S, `(D, D)`, symmetric and without negative eigenvalues; may lack full rank.
        other_mean: \( \nu \), `(D,)`.
        other_covariance: T, `(D, D)`.

    Returns:
        At least 0, in squares of the unit.

    Raises:
        ValueError: If shapes do not fit, or a covariance is none.
    """
    means = [np.asarray(host_array(m), np.float64).reshape(-1) for m in (mean, other_mean)]
    dims = len(means[0])
    if len(means[1]) != dims:
        raise ValueError(
            f"mean has {dims} values and other_mean {len(means[1])}; expected as many. Take both "
            "from the same features."
        )
    roots, trace = [], 0.0
    for what, given in (("covariance", covariance), ("other_covariance", other_covariance)):
        matrix = np.atleast_2d(np.asarray(host_array(given), np.float64))
        roots.append(_root(what, matrix, dims))
        trace += float(np.trace(matrix))
    shared = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    difference = float(((means[0] - means[1]) ** 2).sum())
    return max(0.0, difference + trace - 2 * float(shared))


def kernel_distance(
    features: Values, others: Values, *, blocks: int = BLOCKS, seed: int = 0
) -> KernelDistance:
    r"""Return the kernel distance of two sets of features (KID with Inception's features).

    The squared maximum mean discrepancy under the kernel \( (x \cdot y / D + 1)^3 \), by the
    estimate without bias, in blocks of the shuffled data that share none, and their mean. Other
    than the Fréchet distance it does not depend on how many data there are, but for its error, and
    may be taken of fewer data than features.

    Source: Bińkowski et al. (2018), https://arxiv.org/abs/1801.01401. Their blocks are drawn with
    replacement; blocks that share no data have a standard error that can be told.

    Args:
        features: `(N, D)`.
        others: `(M, D)`.
        blocks: Number of blocks, at least 2, with at least 2 data of each set in each; data that
            are left over are not used.
        seed: Of the shuffling.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, `blocks` or `seed` is no integer
            or too small, or there are too few data for so many blocks.
    """
    if not isinstance(blocks, Integral):
        raise ValueError(f"blocks is {blocks!r}; expected an integer of at least 2. Round it.")
    if not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed is {seed!r}; expected an integer of at least 0. Choose another.")
    parts = _both(features, others)
    sizes = [len(part) // max(blocks, 1) for part in parts]
    if blocks < 2 or min(sizes) < FEWEST_PER_BLOCK:
        most = min(map(len, parts)) // FEWEST_PER_BLOCK
        raise ValueError(
            f"blocks is {blocks} for {len(parts[0])} features and {len(parts[1])} others; "
            f"expected from 2 to {most}, so that each block has two of both. Give more data, or "
            "fewer blocks."
        )
    random = np.random.default_rng(seed)
    shuffled = [part[random.permutation(len(part))] for part in parts]
    values = [
        squared_discrepancy(
            *(part[i * size : (i + 1) * size] for part, size in zip(shuffled, sizes, strict=True))
        )
        for i in range(blocks)
    ]
    error = float(np.std(values, ddof=1)) / sqrt(blocks)
    return KernelDistance(float(np.mean(values)), error, blocks)


def squared_discrepancy(features: _Floats, others: _Floats) -> float:
    """Estimate without bias the squared discrepancy under the cubic kernel.

    Args:
        features: `(N, D)`, `N` at least 2.
        others: `(M, D)`, `M` at least 2.
    """
    within = _mean_of_pairs(features) + _mean_of_pairs(others)
    return within - 2 * float(_kernel(features, others).mean())


def _mean_of_pairs(features: _Floats) -> float:
    """Mean kernel of two different data."""
    count = len(features)
    kernel = _kernel(features, features)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _kernel(features: _Floats, others: _Floats) -> _Floats:
    return (features @ others.T / features.shape[1] + 1) ** 3


def _both(features: Values, others: Values) -> tuple[_Floats, _Floats]:
    own, other = (
        code_rows(what, values).astype(np.float64)
        for what, values in (("features", features), ("others", others))
    )
    if own.shape[1] != other.shape[1]:
        raise ValueError(
            f"others have {other.shape[1]} features per datum; expected {own.shape[1]}, as "
            "features have. Take both from the same net."
        )
    return own, other


def _root(what: str, matrix: _Floats, dims: int) -> _Floats:
    """Return the symmetric root of a covariance."""
    if matrix.shape != (dims, dims) or not np.isfinite(matrix).all():
        raise ValueError(
            f"{what} is {matrix.shape}; expected finite values ({dims}, {dims}), as mean has "
            f"{dims}. Give the moments of one set together."
        )
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    largest = max(float(np.abs(matrix).max()), np.finfo(float).tiny)
    if np.abs(matrix - matrix.T).max() > 1e-6 * largest or values.min() < -1e-6 * largest:
        raise ValueError(
            f"{what} has a least eigenvalue of {values.min():g} and an asymmetry of "
            f"{np.abs(matrix - matrix.T).max():g}; expected a symmetric matrix without negative "
            "eigenvalues. Give the covariance itself, not its root or inverse."
        )
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
