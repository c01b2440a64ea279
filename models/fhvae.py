r"""A factorised hierarchy: what a sequence keeps sets the mean of one of its frames' two codes.

\[ p(x, \mu, z) = \prod_s p(\mu_s) \prod_t p(z^2_{st} \mid \mu_s)\, p(z^1_{st})\,
   p(x_{st} \mid z^1_{st}, z^2_{st}), \]
\[ p(\mu) = N(0, \sigma_\mu^2 I), \quad p(z^2 \mid \mu) = N(\mu, \sigma_2^2 I), \quad
   p(z^1) = N(0, I) \]

Source: Hsu, Zhang & Glass (2017), "Unsupervised Learning of Disentangled and Interpretable
Representations from Sequential Data", section 2, https://arxiv.org/abs/1709.07902. Its \( \mu_2 \)
is the site `static`, its \( z_2 \) `content` and its \( z_1 \) `dynamic`.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import (
    batch_size,
    frame_mask,
    join_codes,
    length_and_index,
    number_of_frames,
    true_frames,
)


class FHVAE(nn.Module):
    """Frames decoded from two codes of their own, of which one stays near that of the sequence.

    Sites: `static`, event `(F,)`, in plate `data` at dim -2; `content`, event `(F,)`, and
    `dynamic`, event `(Z,)`, latent, and `x`, event `(C, H, W)`, observed, in plates `data` and
    `frames`, dims -2 and -1.

    Args:
        decoder: Maps codes `(..., F + Z)`, content first, to a distribution of frames.
        static_dim: Number `F` of coordinates of `static` and of `content`.
        dynamic_dim: Number `Z` of coordinates of `dynamic`.
        static_scale: Standard deviation of `static`, positive.
        content_scale: Standard deviation of `content` about it, positive.
        frames: Number of frames per sequence where it is sampled from.
        ragged: Whether sequences come with their lengths. Where they do not, an argument that
            alone follows `x` is `index`.
    """

    static_loc: Tensor
    dynamic_loc: Tensor

    def __init__(
        self,
        decoder: Callable[[Tensor], TorchDistributionMixin],
        static_dim: int,
        dynamic_dim: int,
        static_scale: float = 1.0,
        content_scale: float = 0.5,
        frames: int = 8,
        ragged: bool = True,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.static_dim, self.dynamic_dim, self.frames = static_dim, dynamic_dim, frames
        self.static_scale, self.content_scale = static_scale, content_scale
        self.ragged = ragged
        self.register_buffer("static_loc", torch.zeros(static_dim), persistent=False)
        self.register_buffer("dynamic_loc", torch.zeros(dynamic_dim), persistent=False)

    def forward(
        self,
        x: Tensor | None = None,
        length: Tensor | None = None,
        index: Tensor | None = None,
        *,
        size: int | None = None,
        frames: int | None = None,
    ) -> Tensor:
        """Score sequences `x`, or sample `size` of them, and return the frames.

        Args:
            x: Frames `(B, N, C, H, W)`, in any order.
            length: Number of true frames of each sequence, int64 `(B,)`; they come first, the rest
                is padding and does not count. All are true where it is not given.
            index: Not looked at: which sequences the guide has in its table.
            size: Number `B` of sequences to sample when there is no `x`.
            frames: Number `N` of frames of each of them; that of the constructor unless given.

        Raises:
            ValueError: Unless exactly one of `x` and `size` is given, and `frames` is at least 1.
        """
        length, _ = length_and_index(length, index, self.ragged)
        count = number_of_frames(x, frames, self.frames)
        mask = frame_mask(length, count)
        with pyro.plate("data", batch_size(x, size), dim=-2):
            static = pyro.sample(
                "static", dist.Normal(self.static_loc, self.static_scale).to_event(1)
            )
            with pyro.plate("frames", count, dim=-1), true_frames(mask):
                content = pyro.sample(
                    "content", dist.Normal(static, self.content_scale).to_event(1)
                )
                dynamic = pyro.sample("dynamic", dist.Normal(self.dynamic_loc, 1.0).to_event(1))
                return pyro.sample("x", self.decoder(join_codes(content, dynamic)), obs=x)
