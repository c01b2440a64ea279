r"""The conditional variational autoencoder's model: images and their codes, given a condition.

\[ p(x, z \mid c) = \prod_n p(z_n \mid c_n)\, p(x_n \mid z_n, c_n) \]
The prior of codes is standard normal, or learned from the condition. Nothing is said of the
condition itself: the density is the conditional one, \( \log p(x \mid c) \).

Source: Sohn, Lee & Yan (2015), Learning Structured Output Representation using Deep Conditional
Generative Models, NeurIPS, eq. 4.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn


class CVAE(nn.Module):
    """One code per image, given a condition.

    Sites: `z`, event `(K,)`, latent; `x`, event `(C, H, W)`, observed; both in plate `data`.

    Args:
        decoder: Maps codes `(..., K)` and conditions to the distribution of images, batch `(...)`.
        latent_dim: Number `K` of code coordinates.
        prior: Maps conditions to a distribution over codes; None for a standard normal one.
    """

    prior_loc: Tensor
    prior_scale: Tensor

    def __init__(
        self,
        decoder: Callable[[Tensor, Tensor], TorchDistributionMixin],
        latent_dim: int,
        prior: Callable[[Tensor], TorchDistributionMixin] | None = None,
    ) -> None:
        super().__init__()
        self.decoder, self.latent_dim, self.prior = decoder, latent_dim, prior
        self.register_buffer("prior_loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("prior_scale", torch.ones(latent_dim), persistent=False)

    def forward(
        self,
        x: Tensor | None = None,
        condition: Tensor | None = None,
        *,
        size: int | None = None,
    ) -> Tensor:
        """Score images given conditions, or sample an image for each condition.

        Args:
            x: Images `(B, C, H, W)`.
            condition: One condition per datum, `(B, ...)`, as the nets take them.
            size: Number `B` of images to sample; that of the conditions unless given.

        Returns:
            The images.

        Raises:
            ValueError: If there is no condition, or not one per datum.
        """
        if condition is None:
            raise ValueError(
                "condition is None; expected one per datum, since the model says nothing of what "
                "is given. Call model(x, condition), or model(condition=condition) to sample."
            )
        count = len(condition)
        if (x is not None and len(x) != count) or (size is not None and size != count):
            asked = f"x has {len(x)} data" if x is not None else f"size is {size}"
            raise ValueError(
                f"{asked} and condition {count}; expected one condition per datum. Repeat it for "
                "several images of one condition."
            )
        with pyro.plate("data", count):
            z = pyro.sample("z", self._prior(condition))
            return pyro.sample("x", self.decoder(z, condition), obs=x)

    def _prior(self, condition: Tensor) -> TorchDistributionMixin:
        if self.prior is not None:
            return self.prior(condition)
        return dist.Normal(self.prior_loc, self.prior_scale).to_event(1)
