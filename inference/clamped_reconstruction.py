r"""Reconstruction of sets in which one factor varies, with all other coordinates clamped.

Of a set of images, the coordinates that are not meant for what varies in it are replaced by their
mean over the set before they are decoded, and are pulled to it:

\[ -\log p(x_i \mid \bar z_{-a}, z_{i,a})
   + \tfrac\lambda2 \lVert z_{i,-a} - \bar z_{-a} \rVert^2 \]

The published gradient of a clamped coordinate is `lambda (z - mean)` in place of the decoder's:
what varies cannot reach it, and it learns only to stay where it is.

Source: Kulkarni, Whitney, Kohli & Tenenbaum (2015), "Deep Convolutional Inverse Graphics Network",
section 3, https://arxiv.org/abs/1503.03167.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .hooks import Batch, Hook
from .terms import Terms

ACTIVE = "active"


class ClampedReconstruction(Hook):
    """`-log p(x)` with clamped coordinates, and the pull on these towards the mean of their set.

    Args:
        together: Images of a set, at least 2, which follow each other in a batch.
        dims: Number of coordinates that each kind of set makes active, in their order.
        invariance: Weight `lambda` of half the squared distance from the mean; the published
            gradient is the difference times 1/100.
        filtered: Whether the decoder's gradient stops at clamped coordinates, as published;
            otherwise it passes through their mean.
        latent: The latent site, one datum `(K,)`, `K` the sum of `dims`.
        site: The observed site.

    Raises:
        ValueError: If a number is none of the accepted.
    """

    name = "clamped"
    kind: Tensor

    def __init__(
        self,
        together: int,
        dims: Sequence[int],
        invariance: float = 0.01,
        filtered: bool = True,
        latent: str = "z",
        site: str = "x",
    ) -> None:
        super().__init__()
        if together < 2 or not dims or min(dims) < 1 or not 0 <= invariance < float("inf"):
            raise ValueError(
                f"together is {together}, dims are {tuple(dims)} and invariance is {invariance}; "
                "expected at least 2 images, at least one coordinate of each kind, and at least 0"
            )
        self.sites = (latent, site)
        self.together, self.invariance, self.filtered = together, invariance, filtered
        self.latent, self.site = latent, site
        numbers = torch.arange(len(dims)).repeat_interleave(torch.tensor(list(dims)))
        self.register_buffer("kind", numbers, persistent=False)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the clamped reconstruction and the pull, nats per datum.

        Raises:
            ValueError: If the batch has no sets, or no whole number of them.
        """
        z = terms[self.latent].value
        if z.dim() != 2:
            raise ValueError(
                f"codes have shape {tuple(z.shape)}; expected (B, K), as means are over sets of "
                "data and not over particles. Train with particles=1"
            )
        if ACTIVE not in batch or len(z) % self.together or z.shape[-1] != len(self.kind):
            raise ValueError(
                f"the batch of {len(z)} data with codes of {z.shape[-1]} coordinates has "
                f"{', '.join(map(repr, batch))}; expected {ACTIVE!r}, sets of {self.together} and "
                f"{len(self.kind)} coordinates. Train with Batches(active=...)"
            )
        free = self.kind.to(z.device) == batch[ACTIVE].unsqueeze(-1)
        mean = self._means(z)
        clamped = torch.where(free, z, mean.detach() if self.filtered else mean)
        decoded = terms.replay({self.latent: clamped})
        cost = -decoded.per_datum(decoded[self.site].log_p).mean()
        astray = torch.where(free, torch.zeros_like(z), z - mean)
        return cost + 0.5 * self.invariance * astray.square().sum(-1).mean()

    def _means(self, z: Tensor) -> Tensor:
        """Return each datum's mean over its set, `(B, K)`."""
        sets = z.unflatten(0, (-1, self.together))
        return sets.mean(1, keepdim=True).expand_as(sets).flatten(0, 1)
