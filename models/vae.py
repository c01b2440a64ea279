r"""The variational autoencoder's model: one standard normal code per image.

\[ p(x, z) = \prod_n p(z_n)\, p(x_n \mid z_n), \qquad p(z_n) = N(0, I) \]

Source: Kingma & Welling (2014), https://arxiv.org/abs/1312.6114.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import batch_size


class VAE(nn.Module):
    """One standard normal code per image.

    Sites: `z`, event `(K,)`, latent; `x`, event `(C, H, W)`, observed; both in plate `data`.

    Args:
        decoder: Maps codes `(..., K)` to the distribution of images, batch `(...)`.
        latent_dim: Number `K` of code coordinates.
    """

    prior_loc: Tensor
    prior_scale: Tensor

    def __init__(
        self, decoder: Callable[[Tensor], TorchDistributionMixin], latent_dim: int
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.latent_dim = latent_dim
        # Buffers, so that the prior follows `.to()` and no step makes tensors on the host.
        self.register_buffer("prior_loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("prior_scale", torch.ones(latent_dim), persistent=False)

    def forward(self, x: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Score images `x`, or sample `size` of them, and return the images.

        Args:
            x: Images `(B, C, H, W)`.
            size: Number `B` of images to sample when there is no `x`.

        Raises:
            ValueError: Unless exactly one of `x` and `size` is given.
        """
        with pyro.plate("data", batch_size(x, size)):
            z = pyro.sample("z", dist.Normal(self.prior_loc, self.prior_scale).to_event(1))
            return pyro.sample("x", self.decoder(z), obs=x)
