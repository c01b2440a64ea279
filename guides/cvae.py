r"""The conditional variational autoencoder's guide: a code per image, told its condition.

\[ q(z \mid x, c) = \prod_n q(z_n \mid x_n, c_n) \]

Source: Sohn, Lee & Yan (2015), Learning Structured Output Representation using Deep Conditional
Generative Models, NeurIPS, eq. 4.
"""

from collections.abc import Callable

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn


class CVAE(nn.Module):
    """One code per image, from an encoder that is told the condition.

    Sites: `z`, event `(K,)`, in plate `data`.

    Args:
        encoder: Maps images `(B, C, H, W)` and conditions to a distribution with batch `(B,)`,
            event `(K,)`.
    """

    def __init__(self, encoder: Callable[[Tensor, Tensor], TorchDistributionMixin]) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Sample the codes `(B, K)` of images `(B, C, H, W)` with conditions `(B, ...)`."""
        with pyro.plate("data", x.shape[0]):
            return pyro.sample("z", self.encoder(x, condition))
