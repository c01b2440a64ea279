r"""A model of groups: what all items of a group share is one code, the rest one code per item.

\[ p(x, s, z) = \prod_g p(s_g) \prod_i p(z_{gi})\, p(x_{gi} \mid s_g, z_{gi}), \qquad
p(s) = p(z) = N(0, I) \]

Sources: Bouchacourt, Tomioka & Nowozin (2018), "Multi-Level Variational Autoencoder", section 3,
https://arxiv.org/abs/1705.08841; Hosoya (2019), https://arxiv.org/abs/1809.02383. The code of a
group is the site `static`, that of an item `dynamic`, as of sequences.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import batch_size, frame_mask, join_codes, number_of_frames, true_frames


class GroupVAE(nn.Module):
    """Items decoded from a code of their group and a code of their own, independent a priori.

    Sites: `static`, event `(F,)`, in plate `data` at dim -2; `dynamic`, event `(Z,)`, latent, and
    `x`, event `(C, H, W)`, observed, in plates `data` and `frames`, dims -2 and -1: groups and
    their items.

    Args:
        decoder: Maps codes `(..., F + Z)`, those of the group first, to a distribution of items.
        static_dim: Number `F` of coordinates of a group's code.
        dynamic_dim: Number `Z` of coordinates of an item's code.
        frames: Number of items per group where it is sampled from.
    """

    static_loc: Tensor
    static_scale: Tensor
    dynamic_loc: Tensor
    dynamic_scale: Tensor

    def __init__(
        self,
        decoder: Callable[[Tensor], TorchDistributionMixin],
        static_dim: int,
        dynamic_dim: int,
        frames: int = 8,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.static_dim, self.dynamic_dim, self.frames = static_dim, dynamic_dim, frames
        for name, size in (("static", static_dim), ("dynamic", dynamic_dim)):
            self.register_buffer(f"{name}_loc", torch.zeros(size), persistent=False)
            self.register_buffer(f"{name}_scale", torch.ones(size), persistent=False)

    def forward(
        self,
        x: Tensor | None = None,
        length: Tensor | None = None,
        *,
        size: int | None = None,
        frames: int | None = None,
    ) -> Tensor:
        """Score groups `x`, or sample `size` of them, and return the items.

        Args:
            x: Items `(B, N, C, H, W)`, in any order.
            length: Number of true items of each group, int64 `(B,)`; they come first, the rest is
                padding and does not count. All are true where it is not given.
            size: Number `B` of groups to sample when there is no `x`.
            frames: Number `N` of items of each of them; that of the constructor unless given.

        Raises:
            ValueError: Unless exactly one of `x` and `size` is given, and `frames` is at least 1.
        """
        count = number_of_frames(x, frames, self.frames)
        mask = frame_mask(length, count)
        with pyro.plate("data", batch_size(x, size), dim=-2):
            static = pyro.sample(
                "static", dist.Normal(self.static_loc, self.static_scale).to_event(1)
            )
            with pyro.plate("frames", count, dim=-1), true_frames(mask):
                dynamic = pyro.sample(
                    "dynamic", dist.Normal(self.dynamic_loc, self.dynamic_scale).to_event(1)
                )
                return pyro.sample("x", self.decoder(join_codes(static, dynamic)), obs=x)
