"""Covariances of codes over the data, held at those of the prior: the penalty of the DIP-VAE."""

from typing import Literal, get_args

import torch
from torch import Tensor

from .aggregate import normal_codes
from .hooks import Batch, Hook
from .terms import Terms

Kind = Literal["i", "ii"]


class DIP(Hook):
    """The disentangled inferred prior: codes uncorrelated over the data, with unit variances.

    `lambda_offdiag sum_{i != j} C_ij^2 + lambda_diag sum_i (C_ii - 1)^2`, where `C` is

    - kind `"i"`: the covariance of the guide's means, `Cov_x[mu(x)]` (Kumar et al. 2018, eq. 6,
      https://arxiv.org/abs/1711.00848). The guide's scales stay free.
    - kind `"ii"`: that of the aggregate posterior, `E_x[diag sigma^2(x)] + Cov_x[mu(x)]` (eq. 7).

    Covariances are the batch's unbiased ones (divided by `B - 1`). Their squares still grow with
    the noise, by about `C_ii C_jj / B` each, so a large batch is better.

    Args:
        site: A latent site whose guide is a factorised Normal.
        lambda_offdiag: Weight of the squared covariances, at least 0.
        lambda_diag: Weight of the squared distances of the variances from 1, at least 0.
        kind: Whose covariance.

    Raises:
        ValueError: If a weight is out of range or there is no such kind.
    """

    def __init__(
        self, site: str, lambda_offdiag: float, lambda_diag: float, kind: Kind = "ii"
    ) -> None:
        super().__init__()
        if kind not in get_args(Kind):
            raise ValueError(f"kind is {kind!r}; expected {' or '.join(get_args(Kind))}")
        weights = {"lambda_offdiag": lambda_offdiag, "lambda_diag": lambda_diag}
        for name, weight in weights.items():
            if not 0.0 <= weight < float("inf"):
                raise ValueError(f"{name} is {weight}; expected a finite number of at least 0")
        self.sites = (site,)
        self.lambda_offdiag, self.lambda_diag, self.kind = lambda_offdiag, lambda_diag, kind

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted squares, a scalar, mean over particles.

        Raises:
            ValueError: If the site's guide is no factorised Normal over the data, or if the batch
                has fewer than two data.
        """
        covariance = self._covariance(terms)
        variances = covariance.diagonal(dim1=-2, dim2=-1)
        squares = covariance.square().sum((-2, -1)) - variances.square().sum(-1)
        distances = (variances - 1.0).square().sum(-1)
        return (self.lambda_offdiag * squares + self.lambda_diag * distances).mean()

    def _covariance(self, terms: Terms) -> Tensor:
        """The covariance over the batch, `(..., K, K)`."""
        _, loc, scale = normal_codes(terms, self.sites[0])
        centred = loc - loc.mean(-2, keepdim=True)
        with torch.autocast(loc.device.type, enabled=False):  # products would be in bfloat16
            covariance = centred.mT @ centred / (loc.shape[-2] - 1)
        if self.kind == "ii":
            covariance = covariance + torch.diag_embed(scale.square().mean(-2))
        return covariance
