r"""The semi-supervised deep generative model: a class and a code of the rest for each image.

\[ p(y, z, x) = \prod_n p(y_n)\, p(z_n)\, p(x_n \mid y_n, z_n), \qquad y_n \text{ one-hot} \]

This is the model M2. Stacked on a VAE (M1) it models that one's codes \( a \), the *features*, in
place of images:
\[ p(y, z, a, x) = \prod_n p(y_n)\, p(z_n)\, p(a_n \mid y_n, z_n)\, p(x_n \mid a_n) \]

Source: Kingma, Rezende, Mohamed & Welling (2014), section 2.1, https://arxiv.org/abs/1406.5298.
"""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn
from torch.nn.functional import one_hot

from unbraid.nets import batch_size


class SemiSupervisedVAE(nn.Module):
    """A class, even over all, and a standard normal code of the rest for each image.

    Sites: `label`, event `(classes,)`, one-hot, summed out; `z`, event `(K,)`, latent; with
    `images` also `features`, event `(D,)`, latent; `x`, event `(C, H, W)`, observed; all in plate
    `data`.

    Args:
        decoder: Maps classes and codes in one, `(..., classes + K)`, to the distribution of
            images, or of features, with batch `(...)`.
        classes: Number of classes, at least 2.
        latent_dim: Number `K` of code coordinates.
        images: Maps features `(..., D)` to the distribution of images; None without features.

    Raises:
        ValueError: If there are fewer than two classes.
    """

    class_probs: Tensor
    prior_loc: Tensor
    prior_scale: Tensor

    def __init__(
        self,
        decoder: Callable[[Tensor], TorchDistributionMixin],
        classes: int,
        latent_dim: int,
        images: Callable[[Tensor], TorchDistributionMixin] | None = None,
    ) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes is {classes}; expected at least 2. Use a VAE without any.")
        self.decoder, self.images = decoder, images
        self.classes, self.latent_dim = classes, latent_dim
        self.register_buffer("class_probs", torch.full((classes,), 1 / classes), persistent=False)
        self.register_buffer("prior_loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("prior_scale", torch.ones(latent_dim), persistent=False)

    def forward(
        self, x: Tensor | None = None, label: Tensor | None = None, *, size: int | None = None
    ) -> Tensor:
        """Score images, or sample them, of given classes or of any.

        Args:
            x: Images `(B, C, H, W)`.
            label: Classes, int64 `(B,)`. With `x` only the guide looks at them: what is known
                there is the class that it gives. Without `x` images of these classes are sampled.
            size: Number `B` of images to sample when there is no `x`; that of the classes unless
                given.

        Returns:
            The images.

        Raises:
            ValueError: If the size is not clear, or a class to sample is none.
        """
        if x is None and size is None and label is not None:
            size = len(label)
        with pyro.plate("data", batch_size(x, size)):
            y = self._label(None if x is not None else label)
            z = pyro.sample("z", dist.Normal(self.prior_loc, self.prior_scale).to_event(1))
            shape = torch.broadcast_shapes(y.shape[:-1], z.shape[:-1])
            both = [value.to(z.dtype).expand(*shape, -1) for value in (y, z)]
            decoded: Any = self.decoder(torch.cat(both, -1))
            if self.images is None:
                return pyro.sample("x", decoded, obs=x)
            # The guide's class and code depend on its sample of the features, so that a divergence
            # in closed form, over all features at the same class and code, would be no bound. A
            # mask that hides nothing keeps it from being taken.
            features = pyro.sample("features", decoded.mask(True))
            return pyro.sample("x", self.images(features), obs=x)

    def _label(self, label: Tensor | None) -> Tensor:
        prior = dist.OneHotCategorical(self.class_probs)
        if label is None:
            return pyro.sample("label", prior, infer={"enumerate": "parallel"})
        if bool(((label < 0) | (label >= self.classes)).any()):
            raise ValueError(
                f"label is {label.tolist()}; expected classes from 0 to {self.classes - 1} to "
                "sample images of. Leave label out for images of any class."
            )
        return pyro.sample("label", prior, obs=one_hot(label, self.classes).to(self.prior_loc))
