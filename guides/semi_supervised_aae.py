r"""The semi-supervised adversarial autoencoder's guide: shares of classes and a code per image.

\[ q(y, z \mid x) = \prod_n \delta(y_n - \mathrm{softmax}(f(x_n)))\, q(z_n \mid x_n) \]

Source: Makhzani et al. (2016), section 5, https://arxiv.org/abs/1511.05644.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn


class SemiSupervisedAAE(nn.Module):
    """The shares of an image's classes, and a code of the rest, from one encoder.

    The shares are a point, so that they teach the encoder; nothing but a critic makes them near
    one-hot.

    Sites: `label`, event `(classes,)`; `z`, event `(K,)`; both in plate `data`.

    Args:
        encoder: Maps images `(B, C, H, W)` to logits `(B, classes)` and to a distribution with
            batch `(B,)` and event `(K,)`: a Normal, or a `Delta`.
    """

    def __init__(self, encoder: Callable[[Tensor], tuple[Tensor, TorchDistributionMixin]]) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return shares `(B, classes)` and codes `(B, K)` of images `(B, C, H, W)`."""
        logits, code = self.encoder(x)
        with pyro.plate("data", x.shape[0]):
            label = pyro.sample("label", dist.Delta(logits.softmax(-1), event_dim=1))
            return label, pyro.sample("z", code)
