r"""A model of two codes per image: what is specified, which partners share, and all the rest.

\[ p(x, s, z) = \prod_n p(s_n)\, p(z_n)\, p(x_n \mid s_n, z_n), \qquad p(s) = p(z) = N(0, I) \]

Nothing in the model says which of the codes holds what; training on swapped codes does.

Source: Mathieu et al. (2016), section 3, https://arxiv.org/abs/1611.03383, who have no prior of
the specified code; here it lets the model sample, and a training may leave it out.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import batch_size, join_codes


class SwapVAE(nn.Module):
    """Two standard normal codes per image.

    Sites: `specified`, event `(S,)`, and `unspecified`, event `(U,)`, latent, in this order; `x`,
    event `(C, H, W)`, observed; all in plate `data`.

    Args:
        decoder: Maps codes `(..., S + U)`, the specified one first, to the distribution of images.
        specified_dim: Number `S` of specified coordinates.
        unspecified_dim: Number `U` of unspecified coordinates.
    """

    specified_loc: Tensor
    specified_scale: Tensor
    unspecified_loc: Tensor
    unspecified_scale: Tensor

    def __init__(
        self,
        decoder: Callable[[Tensor], TorchDistributionMixin],
        specified_dim: int,
        unspecified_dim: int,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.specified_dim, self.unspecified_dim = specified_dim, unspecified_dim
        for site, dim in (("specified", specified_dim), ("unspecified", unspecified_dim)):
            self.register_buffer(f"{site}_loc", torch.zeros(dim), persistent=False)
            self.register_buffer(f"{site}_scale", torch.ones(dim), persistent=False)

    def forward(self, x: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Score images `x`, or sample `size` of them, and return the images.

        Args:
            x: Images `(B, C, H, W)`.
            size: Number `B` of images to sample when there is no `x`.

        Raises:
            ValueError: Unless exactly one of `x` and `size` is given.
        """
        with pyro.plate("data", batch_size(x, size)):
            specified = pyro.sample(
                "specified", dist.Normal(self.specified_loc, self.specified_scale).to_event(1)
            )
            unspecified = pyro.sample(
                "unspecified",
                dist.Normal(self.unspecified_loc, self.unspecified_scale).to_event(1),
            )
            return pyro.sample("x", self.decoder(join_codes(specified, unspecified)), obs=x)
