"""Mutual information gap: how much more one code holds of a factor than the next best code."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from .factor_kinds import check_two_codes, class_columns
from .mutual_information import binned_information, factor_entropies, posterior_log_ratios
from .score_inputs import Values, code_rows


@dataclass(frozen=True, eq=False)
class MIG:
    """Gaps of mutual information between the two codes that hold most of a factor.

    Attributes:
        score: Mean gap of the factors that vary; 1 is best, 0 is none.
        standard_error: Of the score, over samples and the data that they are of; None where there
            are no samples. With every datum sampled it is too large, as the data are then given.
        gaps: Gap of each factor as a share of its entropy, `(F,)`; NaN for a constant factor.
        mutual_information: Of code `k` and factor `f`, nats, `(K, F)`.
        factor_entropies: Entropy of each factor in the data, nats, `(F,)`.
    """

    score: float
    standard_error: float | None
    gaps: NDArray[np.floating]
    mutual_information: NDArray[np.floating]
    factor_entropies: NDArray[np.floating]


def mig_of_means(codes: Values, factors: Values, *, bins: int = 20) -> MIG:
    r"""Score single numbers as codes, cut into bins: the definition of disentanglement_lib.

    The score is the mean over factors of \( (I(z_{(1)}; v_f) - I(z_{(2)}; v_f)) / H(v_f) \) with
    the two codes of largest mutual information. Information comes from counts, and is too high by
    about `(bins - 1)(values - 1) / 2N`. Where the codes are means of q, that their noise may hide
    them counts for nothing, so that this is no estimate of `mig_of_posteriors`.

    Source: Locatello et al. (2019), https://arxiv.org/abs/1811.12359.

    Args:
        codes: `(N, K)`, `K` at least 2; the means of q, say.
        factors: Integers `(N, F)`, at least one of which varies. Which of them are given decides
            the score as much as the codes do: published ones may leave some out.
        bins: Number of bins of equal width from a code's least to its greatest value, at least 2.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, a factor is no class or none
            varies, or a number is out of range.
    """
    values = code_rows("codes", codes).astype(np.float64)
    columns = _check(values, "codes", factors)
    if bins < 2:
        raise ValueError(f"bins is {bins}; expected at least 2. The default is 20.")
    entropies = factor_entropies(columns)
    information = binned_information(values, columns, bins)
    gaps = _gaps(information, entropies)
    return MIG(float(np.nanmean(gaps)), None, gaps, information, entropies)


def mig_of_posteriors(
    locs: Values,
    scales: Values,
    factors: Values,
    *,
    samples: int = 10_000,
    components: int = 10_000,
    seed: int = 0,
) -> MIG:
    r"""Score the distributions of the codes of a Normal guide: the definition of the paper.

    The score is the mean over factors of \( (I(z_{(1)}; v_f) - I(z_{(2)}; v_f)) / H(v_f) \) under
    \( q(z, v) = \frac{1}{N} \sum_n q(z|x_n) [v = v_n] \), so that a code which is all noise holds
    nothing. The information is the mean of \( \log q(z_k|v_f) - \log q(z_k) \) over samples of the
    codes. The densities are exact up to `components` data, in all and per value of a factor. Of
    more data they are estimated from as many, which leaves a bias of order `1/components` that
    `standard_error` does not hold; it is small where many components overlap each sample.

    Source: Chen et al. (2018), https://arxiv.org/abs/1802.04942, section 4.

    Args:
        locs: Means of q, `(N, K)`, `K` at least 2.
        scales: Standard deviations of q, positive, `(N, K)`.
        factors: Integers `(N, F)`, at least one of which varies; the paper scores shape out of
            dSprites' factors apart. All values of a factor need several data, or the code of each
            datum is the value's own.
        samples: Number of samples of the codes, at least 2; time grows in proportion.
        components: Most data that make up a density, at least 2; time grows in proportion.
        seed: Seed of all draws.

    Raises:
        ValueError: If shapes do not fit, a number is not finite, a scale is not positive, a factor
            is no class or none varies, or a number is out of range.
    """
    means = code_rows("locs", locs).astype(np.float64)
    deviations = _check_scales(code_rows("scales", scales).astype(np.float64), means)
    columns = _check(means, "locs", factors)
    for what, count in (("samples", samples), ("components", components)):
        if count < 2:
            raise ValueError(f"{what} is {count}; expected at least 2. The default is 10 000.")
    ratios = posterior_log_ratios(
        means,
        deviations,
        columns,
        samples=samples,
        components=components,
        random=np.random.default_rng(seed),
    )
    entropies = factor_entropies(columns)
    information = ratios.mean(1).T
    gaps = _gaps(information, entropies)
    best, second = np.argsort(-information, 0)[:2]
    varies = np.flatnonzero(entropies > 0)
    shares = (ratios[varies, :, best[varies]] - ratios[varies, :, second[varies]]).T
    error = (shares / entropies[varies]).mean(1).std(ddof=1) / sqrt(samples)
    return MIG(float(np.nanmean(gaps)), float(error), gaps, information, entropies)


def _gaps(
    information: NDArray[np.floating], entropies: NDArray[np.floating]
) -> NDArray[np.floating]:
    second, best = np.sort(information, 0)[-2:]
    varies = entropies > 0
    return np.where(varies, (best - second) / np.where(varies, entropies, 1), np.nan)


def _check(codes: NDArray[np.floating], what: str, factors: Values) -> NDArray[np.integer]:
    check_two_codes(what, codes)
    columns = class_columns("factors", factors, len(codes))
    if (columns == columns[0]).all():
        raise ValueError(
            "factors have one value each; expected one that varies. Give data of several values."
        )
    return columns


def _check_scales(
    scales: NDArray[np.floating], locs: NDArray[np.floating]
) -> NDArray[np.floating]:
    if scales.shape != locs.shape:
        raise ValueError(
            f"scales have shape {scales.shape}; expected {locs.shape}, as locs. Take both "
            "from the same guide."
        )
    if scales.min() <= 0:
        raise ValueError(
            f"scales have a least value of {scales.min():g}; expected positive numbers. Give "
            "standard deviations, not their logarithms, or use mig_of_means."
        )
    return scales
