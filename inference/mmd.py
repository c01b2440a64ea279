"""How far the aggregate posterior is from the prior: the penalty of InfoVAE and WAE-MMD."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from .aggregate import sampled_codes
from .hooks import Batch, Hook
from .kernels import gaussian, inverse_multiquadric, off_diagonal, squared_distances
from .terms import Terms
from .weights import Weight, as_weight

Kernel = Literal["inverse-multiquadric", "gaussian"]

WAE_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def squared_mmd(
    x: Tensor,
    y: Tensor,
    kernel: Kernel = "inverse-multiquadric",
    scales: Sequence[float] | None = None,
    unbiased: bool = True,
) -> Tensor:
    r"""Estimate the squared maximum mean discrepancy of two distributions from their samples.

    \[ \mathrm{MMD}^2 = E\, k(x, x') + E\, k(y, y') - 2 E\, k(x, y) \]

    (Gretton et al. 2012, lemma 6) with `k` a sum of kernels, one per scale `s`:

    - `"inverse-multiquadric"`: `C / (C + |x - y|^2)`, `C = 2 K s` (Tolstikhin et al. 2018, section
      4, https://arxiv.org/abs/1711.01558).
    - `"gaussian"`: `exp(-|x - y|^2 / (2 K s))`.

    `2 K` is the mean squared distance of two draws of a standard Normal. Without `scales` the
    first has the seven of its authors' code, 0.1 to 10, and the second the one scale `K / 2`,
    which is the `exp(-|x - y|^2 / K^2)` of the code of Zhao et al. (2017).

    Args:
        x: Samples of one distribution, `(..., M, K)`, at least 2.
        y: Samples of the other, `(..., N, K)`, at least 2.
        kernel: The kernel.
        scales: Scales of its widths, positive.
        unbiased: Whether a sample is never compared with itself: the U-statistic, whose mean is
            right and which may be below 0. Otherwise the V-statistic, the distance of the two
            empirical distributions, which is never below 0 and too large in the mean.

    Returns:
        The estimates, `(...)`: a scalar for two matrices.

    Raises:
        ValueError: If there is no such kernel, or a scale is not positive.
    """
    _check(kernel, scales)
    dims = x.shape[-1]
    if scales is None:
        scales = WAE_SCALES if kernel == "inverse-multiquadric" else (dims / 2,)
    widths = [2.0 * dims * scale for scale in scales]
    within = _within(x, kernel, widths, unbiased) + _within(y, kernel, widths, unbiased)
    return within - 2.0 * _kernel(squared_distances(x, y), kernel, widths).mean((-2, -1))


def _within(x: Tensor, kernel: Kernel, widths: Sequence[float], unbiased: bool) -> Tensor:
    """Mean of the kernel over pairs of samples of one distribution."""
    gram = _kernel(squared_distances(x, x), kernel, widths)
    if not unbiased:
        return gram.mean((-2, -1))
    count = x.shape[-2]
    return off_diagonal(gram).sum((-2, -1)) / (count * (count - 1))


def _kernel(squares: Tensor, kernel: Kernel, widths: Sequence[float]) -> Tensor:
    """The sum of a kernel over its widths, each a squared distance."""
    if kernel == "gaussian":
        grams = [gaussian(squares, (width / 2) ** 0.5) for width in widths]
    else:
        grams = [inverse_multiquadric(squares, width) for width in widths]
    total = grams[0]
    for gram in grams[1:]:
        total = total + gram
    return total


class MMD(Hook):
    """`weight` times the squared discrepancy of a batch's codes and as many draws of the prior.

    Beside the divergence at weight `1 - alpha`, a weight of `alpha + lambda - 1` gives the loss of
    InfoVAE (Zhao et al. 2017, eq. 6, https://arxiv.org/abs/1706.02262); without a divergence it is
    that of WAE-MMD (Tolstikhin et al. 2018, algorithm 2, https://arxiv.org/abs/1711.01558).

    The codes are samples of the guide, of any kind: the penalty is on the aggregate posterior
    alone and says nothing of a datum's own scale. The prior is the model's at the site, drawn anew
    at every step, and gets no gradient; where it depends on other latents, draws are at their
    sampled values. The scales of the kernels are meant for priors of about unit variance.

    Args:
        site: A latent site, one code per datum.
        weight: Number of at least 0, or a schedule.
        kernel: The kernel; see `squared_mmd`.
        scales: Scales of its widths, positive; those of `squared_mmd` unless given.
        unbiased: Whether it is the U-statistic.

    Raises:
        ValueError: If a number is out of range or there is no such kernel.
    """

    def __init__(
        self,
        site: str,
        weight: float | Weight,
        *,
        kernel: Kernel = "inverse-multiquadric",
        scales: Sequence[float] | None = None,
        unbiased: bool = True,
    ) -> None:
        super().__init__()
        _check(kernel, scales)
        self.sites = (site,)
        self.kernel: Kernel = kernel
        self.scales = None if scales is None else tuple(scales)
        self.unbiased = unbiased
        self.weight = as_weight(weight)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted discrepancy, a scalar, mean over particles.

        Raises:
            ValueError: If the site has no sampled code of each datum, if it is masked or
                enumerated, if its prior depends on enumerated sites, or if the batch has fewer
                than two data.
        """
        codes = sampled_codes(terms, self.sites[0])
        draws = _prior_draws(terms, self.sites[0]).to(codes.dtype).reshape(codes.shape)
        found = squared_mmd(codes, draws, self.kernel, self.scales, self.unbiased)
        return self.weight(found.mean(), None)


@torch.no_grad()
def _prior_draws(terms: Terms, site: str) -> Tensor:
    """Draws of the model's prior, one per code."""
    p, q = terms[site].p, terms[site].q
    if q is None or p.batch_shape != q.batch_shape:
        expected = "()" if q is None else tuple(q.batch_shape)
        raise ValueError(
            f"the prior of site {site!r} has batch shape {tuple(p.batch_shape)}; expected "
            f"{expected}, without enumerated sites. Choose another site"
        )
    return p.sample()


def _check(kernel: str, scales: Sequence[float] | None) -> None:
    if kernel not in get_args(Kernel):
        raise ValueError(f"kernel is {kernel!r}; expected {' or '.join(get_args(Kernel))}")
    if scales is not None and not (
        len(scales) and all(0.0 < scale < float("inf") for scale in scales)
    ):
        raise ValueError(
            f"scales is {tuple(scales)}; expected finite numbers above 0, at least one. "
            "Leave it out for the kernel's own"
        )
