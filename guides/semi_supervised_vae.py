r"""The semi-supervised deep generative model's guide: a class, and a code given it.

\[ q(y, z \mid x) = \prod_n q(y_n \mid x_n)\, q(z_n \mid x_n, y_n) \]

Where a label is known, \( q(y_n) \) is that class alone. The bound is then that of
\( \log p(x_n, y_n) \) for labelled images and of \( \log p(x_n) \) for the others, and its sum
over the data is the objective. Stacked on a VAE, features \( a_n \sim q(a_n \mid x_n) \) of its
encoder take the place of images.

Source: Kingma, Rezende, Mohamed & Welling (2014), eqs. 6 to 8, https://arxiv.org/abs/1406.5298.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn
from torch.nn.functional import embedding

SURE = 1e4
"""Nats between a known class and the others: their probability is 0 to the bit, its log finite."""


class SemiSupervisedVAE(nn.Module):
    """The class of an image, summed out, and a code of the rest given each class.

    Sites: `label`, event `(classes,)`, one-hot, enumerated; `z`, event `(K,)`; with features also
    `features`, event `(D,)`; all in plate `data`.

    Args:
        classifier: Maps images `(..., C, H, W)`, or features `(..., D)`, to logits
            `(..., classes)`.
        encoder: Maps these and one-hot classes, whose leading dims broadcast, to a distribution
            with event `(K,)`.
        classes: Number of classes.
        features: Maps images to the distribution of features; None without features.
        heeded: Bool `(D,)`, which features classifier and encoder look at, the others being
            noise; all unless given.
    """

    rows: Tensor
    heeded: Tensor | None

    def __init__(
        self,
        classifier: Callable[[Tensor], Tensor],
        encoder: Callable[[Tensor, Tensor], TorchDistributionMixin],
        classes: int,
        features: Callable[[Tensor], TorchDistributionMixin] | None = None,
        heeded: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.classifier, self.encoder, self.features = classifier, encoder, features
        self.register_buffer("rows", torch.eye(classes), persistent=False)
        self.register_buffer("heeded", heeded)

    def forward(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return classes `(..., classes)` and codes `(..., K)` of images.

        Args:
            x: Images `(B, C, H, W)`.
            label: Classes, int64 `(B,)`, -1 where unknown; None where all are.

        Raises:
            IndexError: If a label is no class, on the CPU.
        """
        with pyro.plate("data", x.shape[0]):
            seen = x if self.features is None else pyro.sample("features", self.features(x))
            if self.heeded is not None:
                seen = seen * self.heeded
            logits = self.classifier(seen)
            if label is not None:
                known = embedding(label.clamp(min=0), self.rows)
                sure = ((known - 1) * SURE).to(logits.dtype)
                logits = torch.where((label >= 0).unsqueeze(-1), sure, logits)
            y = pyro.sample(
                "label", dist.OneHotCategorical(logits=logits), infer={"enumerate": "parallel"}
            )
            return y, pyro.sample("z", self.encoder(seen, y))
