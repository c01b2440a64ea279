r"""The variational autoencoder's guide: one code per image, from an encoder.

\[ q(z \mid x) = \prod_n q(z_n \mid x_n) \]

Source: Kingma & Welling (2014), https://arxiv.org/abs/1312.6114.
"""

from collections.abc import Callable

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn


class VAE(nn.Module):
    """One code per image, from an encoder.

    Sites: `z`, event `(K,)`, in plate `data`.

    Args:
        encoder: Maps images `(B, C, H, W)` to a distribution with batch `(B,)`, event `(K,)`.
    """

    def __init__(self, encoder: Callable[[Tensor], TorchDistributionMixin]) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Sample the codes `(B, K)` of images `x` of shape `(B, C, H, W)`."""
        with pyro.plate("data", x.shape[0]):
            return pyro.sample("z", self.encoder(x))
