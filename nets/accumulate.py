r"""One Normal of a group's shared code, from what each of its items says of it.

Product, with the prior as one more factor, and without:

\[ q(s \mid x_{1:n}) \propto p(s) \prod_i N(s; \mu_i, \sigma_i^2), \qquad
q(s \mid x_{1:n}) \propto \prod_i N(s; \mu_i, \sigma_i^2) \]

Mean: `N(mean of mu_i, mean of sigma_i^2)`.

With the prior as a factor each item gives its likelihood of the shared code, as in a Gaussian
model it should, and a group may have any number of items: what no item shows keeps the prior. A
product of the items alone is the surer of it the more there are.

Sources: Bouchacourt, Tomioka & Nowozin (2018), "Multi-Level Variational Autoencoder",
https://arxiv.org/abs/1705.08841, for the product of the items; Hosoya (2019),
https://arxiv.org/abs/1809.02383, for the mean.
"""

from collections.abc import Callable

import pyro.distributions as dist
import torch
from torch import Tensor

Accumulate = Callable[[Tensor, Tensor, Tensor | None], dist.Independent]


def product_with_prior(loc: Tensor, scale: Tensor, mask: Tensor | None = None) -> dist.Independent:
    """Multiply N(0, I) and the items' Normals.

    Args:
        loc: Their means `(..., N, F)`.
        scale: Their standard deviations, likewise.
        mask: Which items are there, bool `(..., N)`, at least one of each group; all where None.

    Returns:
        A Normal with batch `(..., 1)`, ready for a plate of items on the right, and event `(F,)`.
    """
    return _product(loc, scale, mask, 1.0)


def product_of_items(loc: Tensor, scale: Tensor, mask: Tensor | None = None) -> dist.Independent:
    """Multiply the items' Normals, and nothing else; arguments as of `product_with_prior`."""
    return _product(loc, scale, mask, 0.0)


def mean_of_items(loc: Tensor, scale: Tensor, mask: Tensor | None = None) -> dist.Independent:
    """Average the items' means, and variances; arguments as of `product_with_prior`."""
    if mask is None:
        share = loc.new_tensor(1 / loc.shape[-2])
    else:
        there = mask.to(loc.dtype).unsqueeze(-1)
        share = there / there.sum(-2, keepdim=True)
    mean = (loc * share).sum(-2, keepdim=True)
    variance = (scale.square() * share).sum(-2, keepdim=True)
    return dist.Normal(mean, variance.sqrt()).to_event(1)


ACCUMULATIONS: dict[str, Accumulate] = {
    "product": product_with_prior,
    "product-of-items": product_of_items,
    "mean": mean_of_items,
}
"""The ways to accumulate, by name."""


def _product(loc: Tensor, scale: Tensor, mask: Tensor | None, prior: float) -> dist.Independent:
    precision = scale.square().reciprocal()
    if mask is not None:
        precision = precision * mask.to(loc.dtype).unsqueeze(-1)
    total = precision.sum(-2, keepdim=True) + prior
    mean = (precision * loc).sum(-2, keepdim=True) / total
    return dist.Normal(mean, torch.rsqrt(total)).to_event(1)
