"""Which sequence a frame's code is of: the discriminative term of the FHVAE."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .hooks import Batch, Hook
from .sites import apply_mask
from .terms import Terms
from .weights import Weight, as_weight


class SequenceDiscrimination(Hook):
    r"""Minus `weight` times the log-probability that each frame is of its own sequence.

    Every sequence `j` has a mean \( \mu_j \), and a frame whose code has the guide's mean `m` is
    taken to be of sequence `i` with

    \[ \log p(i \mid m) = \log \mathrm{softmax}_j \left( - |m - \mu_j|^2 / 2 \sigma^2 \right)_i. \]

    It is summed over the true frames of a datum, as the bound is, and averaged over data: the
    paper's objective is per frame, and this is that of as many frames. The batch must say as
    `index`, int64 `(B,)`, which sequences it holds. All rows of the table are in the sum over `j`,
    and so all of them are taught.

    Source: Hsu et al. (2017), https://arxiv.org/abs/1709.07902, section 2.

    Args:
        site: A latent site of frames whose guide has means, event `(F,)`.
        table: Returns the means of all sequences, `(S, F)`. It is called at every step, since
            recorded steps put other tensors in the places of parameters.
        variance: The variance of codes within a sequence, positive.
        weight: Number of at least 0, or a schedule.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> SequenceDiscrimination("content", lambda: guide.table, 0.25, 10.0)
    """

    def __init__(
        self, site: str, table: Callable[[], Tensor], variance: float, weight: float | Weight
    ) -> None:
        super().__init__()
        if not 0.0 < variance < math.inf:
            raise ValueError(f"variance is {variance}; expected a finite number above 0")
        self.sites = (site,)
        self.table, self.variance = table, float(variance)
        self.weight = as_weight(weight)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted cross-entropy, a scalar, nats per datum.

        Raises:
            ValueError: If the batch has no `index`, or the site has no plate `data`.
        """
        if "index" not in batch:
            raise ValueError(
                f"the batch has no 'index'; it has {', '.join(map(repr, batch))}. "
                "Train with fit and unbraid.data.Batches, or give mean_loss a batch with one"
            )
        site = terms[self.sites[0]].guide_site
        data = [] if site is None else [p.dim for p in site.plates if p.name == "data"]
        if site is None or not data:
            raise ValueError(
                f"site {self.sites[0]!r} is in no plate named 'data' of the guide; expected one "
                "code per frame. Choose another site"
            )
        logits = self._logits(site.fn.mean)
        index = batch["index"].view(-1, *(1,) * (-data[0] - 1)).expand(logits.shape[:-1])
        cost = cross_entropy(logits.flatten(0, -2), index.flatten(), reduction="none")
        cost = apply_mask(cost.view(index.shape), site.mask)
        return self.weight(terms.per_datum(cost).mean(), None)

    def _logits(self, loc: Tensor) -> Tensor:
        """Log-probabilities `(..., S)` up to a constant: what does not depend on j is left out."""
        with torch.autocast(loc.device.type, enabled=False):  # products would be in bfloat16
            table = self.table()
            loc = loc.to(torch.promote_types(loc.dtype, table.dtype))
            return (loc @ table.mT - 0.5 * table.square().sum(-1)) / self.variance
