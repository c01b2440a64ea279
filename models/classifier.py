r"""A code per image from which its label is told, and, with a decoder, the image.

\[ p(z, y, x) = \prod_n p(z_n)\, p(y_n \mid z_n)\, p(x_n \mid z_n) \]

Without a decoder the last factor is left out, and without a prior the first: then it is a
classifier in two halves, of which the guide is the first. Labels of -1 are not known and count
nothing. Domain adaptation and fair representations shape the code in between.
"""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import batch_size


class Classifier(nn.Module):
    """A code per image, its label, and with a decoder the image.

    Sites: `z`, event `(K,)`, latent; `label`, a class, observed; with a decoder `x`, event
    `(C, H, W)`, observed; all in plate `data`.

    Args:
        head: Maps codes `(..., K)` to logits `(..., classes)`.
        latent_dim: Number `K` of code coordinates.
        decoder: Maps codes to the distribution of images; None where images are no part of the
            model.
        prior: Whether codes have a standard normal prior. Without one, for guides whose codes are
            points, `z` is masked out of the density.
    """

    prior_loc: Tensor
    prior_scale: Tensor

    def __init__(
        self,
        head: Callable[[Tensor], Tensor],
        latent_dim: int,
        decoder: Callable[[Tensor], TorchDistributionMixin] | None = None,
        prior: bool = True,
    ) -> None:
        super().__init__()
        self.head, self.decoder = head, decoder
        self.latent_dim, self.prior = latent_dim, prior
        self.register_buffer("prior_loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("prior_scale", torch.ones(latent_dim), persistent=False)

    def forward(
        self,
        x: Tensor | None = None,
        label: Tensor | None = None,
        *conditions: Any,
        size: int | None = None,
    ) -> Tensor:
        """Score images and labels, or sample `size` of them.

        Args:
            x: Images `(B, C, H, W)`.
            label: Classes, int64 `(B,)`, -1 where unknown. With `x` and without labels all are
                unknown; without either they are sampled.
            *conditions: What only the guide looks at.
            size: Number `B` of data to sample when there is no `x`.

        Returns:
            The images, or without a decoder the labels.

        Raises:
            ValueError: Unless exactly one of `x` and `size` is given; labels alone stand for
                `size`.
        """
        if x is None and size is None and label is not None:
            size = len(label)
        with pyro.plate("data", batch_size(x, size)):
            prior = dist.Normal(self.prior_loc, self.prior_scale).to_event(1)
            z = pyro.sample("z", prior if self.prior else prior.mask(False))
            told = self._label(dist.Categorical(logits=self.head(z)), x, label)
            return told if self.decoder is None else pyro.sample("x", self.decoder(z), obs=x)

    def _label(self, classes: dist.Categorical, x: Tensor | None, label: Tensor | None) -> Tensor:
        if label is None and x is None:
            return pyro.sample("label", classes)
        if label is None:
            label = torch.full(classes.batch_shape, -1, device=classes.logits.device)
        known: Any = label >= 0
        with poutine.mask(mask=known):
            return pyro.sample("label", classes, obs=label.clamp(min=0))
