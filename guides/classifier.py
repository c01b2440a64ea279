r"""The classifier's guide: a code per image, from an encoder that sees no label.

\[ q(z \mid x) = \prod_n q(z_n \mid x_n) \]
"""

from collections.abc import Callable
from typing import Any

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn


class Classifier(nn.Module):
    """A code per image, from an encoder that sees no label: it must do where there is none.

    Sites: `z`, event `(K,)`, in plate `data`.

    Args:
        encoder: Maps images `(B, C, H, W)`, and what else is given, to a distribution with batch
            `(B,)` and event `(K,)`: a Normal, or a `Delta` for codes that are points.
    """

    def __init__(self, encoder: Callable[..., TorchDistributionMixin]) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, label: Tensor | None = None, *conditions: Any) -> Tensor:
        """Sample the codes `(B, K)` of images `x` of shape `(B, C, H, W)`.

        Args:
            x: The images.
            label: Not looked at.
            *conditions: Handed to the encoder.
        """
        with pyro.plate("data", x.shape[0]):
            return pyro.sample("z", self.encoder(x, *conditions))
