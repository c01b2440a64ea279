"""How dependent the dimensions of a code are over the data: the penalty of the beta-TCVAE."""

import math
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from .aggregate import normal_codes
from .hooks import Batch, Hook
from .terms import Terms
from .weights import Weight, as_weight

Sampling = Literal["stratified", "weighted"]


class DivergenceParts(NamedTuple):
    """The three parts of `E_x KL(q(z|x) || p(z))`, scalars, nats per datum.

    Args:
        mutual_information: Of datum and code, `KL(q(z, n) || q(z) p(n))`.
        total_correlation: `KL(q(z) || prod_j q(z_j))`.
        dimension_wise: `KL(prod_j q(z_j) || p(z))`.
    """

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise: Tensor


def divergence_parts(
    terms: Terms, site: str, size: int, sampling: Sampling = "stratified"
) -> DivergenceParts:
    """Estimate the parts of a site's divergence on a batch (Chen et al. 2018, eq. 2).

    Their sum is the mean of `log q(z|x) - log p(z)` at the samples, whatever the batch. The parts
    need the aggregate posterior `q(z) = 1/N sum_n q(z|n)` over all `N` data, which a batch of `B`
    distinct data stands for. For the code `z_i` of datum `i`, and likewise for each dimension of
    it:

    - `"stratified"` (appendix C.2): `q(z_i) ~ 1/N q(z_i|i) + (N-1)/N mean_{j != i} q(z_i|j)`.
      Unbiased for batches drawn without replacement, and exact where the batch is all of the data.
      The paper gives one of the other data another weight, `(N-B+1)/(N(B-1))`, and the rest
      `1/(B-1)`; this is the mean over which one it is: the same expectation, less variance.
    - `"weighted"` (eq. 3): `q(z_i) ~ 1/(NB) sum_j q(z_i|j)`. Biased: its gradient does not depend
      on `N`, and is that of taking the batch for all of the data.

    The logarithm of either is biased downwards, the less so the larger the batch.

    Args:
        terms: The terms of a batch of distinct data.
        site: A latent site whose guide is a factorised Normal.
        size: Number `N` of training data, at least `B`.
        sampling: How `q(z)` is estimated.

    Raises:
        ValueError: If the site's guide is no factorised Normal over the data, if the batch has
            fewer than two data or more than `size`, if the prior depends on enumerated sites, or
            if there is no such sampling.
    """
    _check_size(size)
    _check_sampling(sampling)
    own, joint, product = _log_densities(terms, site, size, sampling)
    prior = terms[site].log_p
    if prior.shape != own.shape:
        raise ValueError(
            f"the prior of site {site!r} has batch shape {tuple(prior.shape)}; expected "
            f"{tuple(own.shape)}, without enumerated sites. Choose another site"
        )
    return DivergenceParts(
        (own - joint).mean(), (joint - product).mean(), (product - prior).mean()
    )


def _log_densities(
    terms: Terms, site: str, size: int, sampling: Sampling
) -> tuple[Tensor, Tensor, Tensor]:
    """Log densities of each datum's code, `(..., B)`: `q(z|x)`, `q(z)`, `prod_j q(z_j)`."""
    value, loc, scale = normal_codes(terms, site)
    if value.shape[-2] > size:
        raise ValueError(
            f"size is {size}, but a batch has {value.shape[-2]} data; expected the number of "
            "training data. Pass size=len(data)"
        )
    # Of datum i's code under datum j's guide, by dimension: (..., B, B, K).
    standard = (value.unsqueeze(-2) - loc.unsqueeze(-3)) / scale.unsqueeze(-3)
    log_q = -0.5 * standard.square() - scale.log().unsqueeze(-3) - 0.5 * math.log(2 * math.pi)
    weights = _log_weights(value, size, sampling)
    own = log_q.diagonal(dim1=-3, dim2=-2).sum(-2)
    joint = (log_q.sum(-1) + weights).logsumexp(-1)
    product = (log_q + weights.unsqueeze(-1)).logsumexp(-2).sum(-1)
    return own, joint, product


def _log_weights(codes: Tensor, size: int, sampling: Sampling) -> Tensor:
    """Log weight of datum j's guide in the aggregate as datum i sees it, `(B, B)`."""
    batch = codes.shape[-2]
    if sampling == "weighted":
        return codes.new_full((batch, batch), -math.log(size * batch))
    other = math.log((size - 1) / (size * (batch - 1)))
    return codes.new_full((batch, batch), other).fill_diagonal_(-math.log(size))


class TotalCorrelation(Hook):
    """`weight * TC` of a latent site, the penalty of the beta-TCVAE.

    Beside the divergence at weight 1, a weight of `beta - 1` gives the loss of the beta-TCVAE,
    `-log p(x|z) + MI + beta TC + dimension-wise KL` (Chen et al. 2018, eq. 4, alpha = gamma = 1,
    https://arxiv.org/abs/1802.04942).

    Args:
        site: A latent site whose guide is a factorised Normal.
        weight: Number of at least 0, or a schedule.
        size: Number `N` of training data, at least 2.
        sampling: How the aggregate posterior is estimated; see `divergence_parts`.

    Raises:
        ValueError: If a number is out of range or there is no such sampling.
    """

    def __init__(
        self, site: str, weight: float | Weight, *, size: int, sampling: Sampling = "stratified"
    ) -> None:
        super().__init__()
        _check_size(size)
        _check_sampling(sampling)
        self.sites = (site,)
        self.size = size
        self.sampling: Sampling = sampling
        self.weight = as_weight(weight)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted total correlation, a scalar, nats per datum.

        Raises:
            ValueError: As `divergence_parts`.
        """
        _, joint, product = _log_densities(terms, self.sites[0], self.size, self.sampling)
        return self.weight((joint - product).mean(), None)


def _check_size(size: int) -> None:
    if not isinstance(size, int) or size < 2:
        raise ValueError(
            f"size is {size}; expected the number of training data, an integer of at least 2"
        )


def _check_sampling(sampling: str) -> None:
    if sampling not in get_args(Sampling):
        raise ValueError(f"sampling is {sampling!r}; expected {' or '.join(get_args(Sampling))}")
