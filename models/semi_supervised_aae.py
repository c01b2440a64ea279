r"""The semi-supervised adversarial autoencoder's model: a class and a code for each image.

\[ p(y, z, x) = \prod_n p(y_n)\, p(z_n)\, p(x_n \mid y_n, z_n), \qquad y_n \text{ one-hot} \]

Source: Makhzani et al. (2016), section 5, https://arxiv.org/abs/1511.05644.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import OneHot, batch_size


class SemiSupervisedAAE(nn.Module):
    """A class, even over all, and a standard normal code of the rest for each image.

    Sites: `label`, event `(classes,)`, one-hot, latent; `z`, event `(K,)`, latent; `x`, event
    `(C, H, W)`, observed; all in plate `data`.

    Args:
        decoder: Maps classes and codes in one, `(..., classes + K)`, to the distribution of
            images, batch `(...)`.
        classes: Number of classes, at least 2.
        latent_dim: Number `K` of code coordinates.

    Raises:
        ValueError: If there are fewer than two classes.
    """

    class_probs: Tensor
    prior_loc: Tensor
    prior_scale: Tensor

    def __init__(
        self, decoder: Callable[[Tensor], TorchDistributionMixin], classes: int, latent_dim: int
    ) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes is {classes}; expected at least 2")
        self.decoder = decoder
        self.classes, self.latent_dim = classes, latent_dim
        self.register_buffer("class_probs", torch.full((classes,), 1 / classes), persistent=False)
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
            label = pyro.sample("label", OneHot(self.class_probs))
            z = pyro.sample("z", dist.Normal(self.prior_loc, self.prior_scale).to_event(1))
            shape = torch.broadcast_shapes(label.shape[:-1], z.shape[:-1])
            both = [value.expand(*shape, -1) for value in (label, z)]
            return pyro.sample("x", self.decoder(torch.cat(both, -1)), obs=x)
