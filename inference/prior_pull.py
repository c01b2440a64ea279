"""Conditional priors held near the standard Normal, so that they tell little of the condition."""

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from .hooks import Batch, Hook
from .sites import apply_mask
from .terms import Terms
from .weights import Weight, as_weight


class PriorPull(Hook):
    r"""`weight` times the divergence of a learned conditional prior from N(0, I).

    A prior such as \( p(z \mid f) \) may lie elsewhere for every `f`, at no cost to the bound. The
    codes `z` then tell `f` by where they lie, and mean something else for every `f`. With this
    penalty,

    \[ D(p(z \mid f)\, \|\, N(0, I)) = \tfrac12 \sum_k (\mu_k^2 + \sigma_k^2 - 1) - \log \sigma_k,
    \]

    summed over the true frames of a datum as the bound is, all priors share one region. A large
    weight makes the prior standard Normal and the code independent of `f`; the model stays what it
    is, and so does its likelihood.

    Args:
        site: A latent site whose distribution in the model is a factorised Normal.
        weight: Number of at least 0, or a schedule.

    Raises:
        ValueError: If the weight is out of range.
    """

    def __init__(self, site: str, weight: float | Weight) -> None:
        super().__init__()
        self.sites = (site,)
        self.weight = as_weight(weight)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted divergence, a scalar, nats per datum.

        Raises:
            ValueError: If the model's distribution is no factorised Normal.
        """
        site = terms[self.sites[0]].model_site
        prior = site.fn
        if not isinstance(prior, Independent) or not isinstance(prior.base_dist, Normal):
            raise ValueError(
                f"site {self.sites[0]!r} is {type(prior).__name__} in the model; expected a "
                "factorised Normal, Normal(loc, scale).to_event(1). Choose another site"
            )
        loc, scale = prior.base_dist.loc, prior.base_dist.scale
        cost = (0.5 * (loc.square() + scale.square() - 1) - scale.log()).sum(-1)
        cost = apply_mask(cost, site.mask)
        return self.weight(terms.per_datum(torch.as_tensor(cost)).mean(), None)

    def advance(self) -> None:
        """Go on to the next step of the weight's schedule."""
        self.weight.advance()
