"""How dependent codes are on each other, were they Gaussian: closed forms of their covariance."""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from .score_inputs import Values, code_rows

_SINGULAR = 1e-12


@dataclass(frozen=True)
class GaussianDependence:
    """Distances of a Gaussian from the product of its marginals; 0 for uncorrelated codes.

    Attributes:
        total_correlation: Kullback-Leibler divergence, nats; infinite where a code is a linear
            function of others. The scale of codes does not matter.
        wasserstein: Squared 2-Wasserstein distance, in squared units of the codes.
        wasserstein_share: That divided by the sum of all variances, in [0, 1]; 0 without variance.
    """

    total_correlation: float
    wasserstein: float
    wasserstein_share: float


def gaussian_dependence(codes: Values) -> GaussianDependence:
    r"""Measure the linear dependence of codes by a Gaussian of their mean and covariance.

    With the covariance `C` and its diagonal `D` the total correlation is
    \( \frac{1}{2} (\log \det D - \log \det C) \), and the Wasserstein distance is
    \( 2 \operatorname{tr} C - 2 \operatorname{tr} (D^{1/2} C D^{1/2})^{1/2} \). Of no other shape
    than the Gaussian's is it the true total correlation, which uncorrelated codes can have as
    well. Of means, give the encoder's samples too: their noise hides dependence. Estimates from
    `N` data are too high by about `K (K - 1) / 4N` nats. Constant codes are left out.

    Source: Locatello et al. (2019), https://arxiv.org/abs/1811.12359, for the scores; Dowson &
    Landau (1982), https://doi.org/10.1016/0047-259X(82)90077-X, for the distance.

    Args:
        codes: `(N, K)`, `N` at least 2; means of q or samples.

    Raises:
        ValueError: If a code is not finite or there is one datum only.
    """
    values = code_rows("codes", codes).astype(np.float64)
    if len(values) < 2:
        raise ValueError(f"codes have {len(values)} datum; expected at least 2. Give more data.")
    kept = values[:, (values != values[0]).any(0)]
    if not kept.shape[1]:
        return GaussianDependence(0.0, 0.0, 0.0)
    covariance = np.atleast_2d(np.cov(kept, rowvar=False))
    return dependence_of_covariance(covariance)


def dependence_of_covariance(covariance: NDArray[np.floating]) -> GaussianDependence:
    """Measure the dependence of a Gaussian.

    Args:
        covariance: `(K, K)`, symmetric and not negative, with a positive diagonal.
    """
    variances = np.diag(covariance)
    scales = np.sqrt(variances)
    correlation = covariance / np.outer(scales, scales)
    spectrum = np.linalg.eigvalsh(correlation)
    singular = spectrum[0] <= _SINGULAR * len(spectrum)
    total_correlation = inf if singular else max(0.0, -0.5 * float(np.log(spectrum).sum()))
    rooted = np.linalg.eigvalsh(covariance * np.outer(scales, scales))
    trace = float(variances.sum())
    distance = max(0.0, 2 * trace - 2 * float(np.sqrt(np.maximum(rooted, 0)).sum()))
    return GaussianDependence(total_correlation, distance, distance / trace)
