r"""The guide of two codes per image, each from an encoder of its own.

\[ q(s, z \mid x) = \prod_n q(s_n \mid x_n)\, q(z_n \mid x_n) \]

Source: Mathieu et al. (2016), section 3, https://arxiv.org/abs/1611.03383, whose specified code is
a point, and whose encoders share their convolutions.
"""

from collections.abc import Callable

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

Encoder = Callable[[Tensor], TorchDistributionMixin]


class SwapVAE(nn.Module):
    """A specified and an unspecified code per image.

    Sites: `specified`, event `(S,)`, and `unspecified`, event `(U,)`, in plate `data`.

    Args:
        specified_encoder: Maps images `(B, C, H, W)` to a distribution with event `(S,)`, such as
            a `Delta`.
        unspecified_encoder: Maps images to a distribution with event `(U,)`.
    """

    def __init__(self, specified_encoder: Encoder, unspecified_encoder: Encoder) -> None:
        super().__init__()
        self.specified_encoder = specified_encoder
        self.unspecified_encoder = unspecified_encoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Sample the codes `(B, S)` and `(B, U)` of images `x` of shape `(B, C, H, W)`."""
        with pyro.plate("data", x.shape[0]):
            specified = pyro.sample("specified", self.specified_encoder(x))
            return specified, pyro.sample("unspecified", self.unspecified_encoder(x))
