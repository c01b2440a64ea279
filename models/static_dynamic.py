r"""A model of exchangeable frames: one static code per sequence, one dynamic code per frame.

\[ p(x, f, z) = \prod_s p(f_s) \prod_t p(z_{st} \mid f_s)\, p(x_{st} \mid f_s, z_{st}), \qquad
p(f) = N(0, I), \quad p(z \mid f) = N(h_\mu(f), \mathrm{diag}\, h_\sigma(f)^2) \]

Source: Helminger et al. (2018), "Disentangled Dynamic Representations from Unordered Data",
section 2.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import batch_size, frame_mask, join_codes, number_of_frames, true_frames


class StaticDynamic(nn.Module):
    """Frames decoded from a code of their sequence and a code of their own.

    Sites: `static`, event `(F,)`, in plate `data` at dim -2; `dynamic`, event `(Z,)`, latent, and
    `x`, event `(C, H, W)`, observed, in plates `data` and `frames`, dims -2 and -1.

    Args:
        decoder: Maps codes `(..., F + Z)`, static coordinates first, to a distribution of frames.
        dynamic_prior: Maps static codes `(..., F)` to the distribution `p(z|f)`, event `(Z,)`.
        static_dim: Number `F` of static coordinates.
        frames: Number of frames per sequence where it is sampled from.
    """

    static_loc: Tensor
    static_scale: Tensor

    def __init__(
        self,
        decoder: Callable[[Tensor], TorchDistributionMixin],
        dynamic_prior: Callable[[Tensor], TorchDistributionMixin],
        static_dim: int,
        frames: int = 8,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.dynamic_prior = dynamic_prior
        self.static_dim, self.frames = static_dim, frames
        self.register_buffer("static_loc", torch.zeros(static_dim), persistent=False)
        self.register_buffer("static_scale", torch.ones(static_dim), persistent=False)

    def forward(
        self,
        x: Tensor | None = None,
        length: Tensor | None = None,
        companions: Tensor | None = None,
        *,
        size: int | None = None,
        frames: int | None = None,
    ) -> Tensor:
        """Score sequences `x`, or sample `size` of them, and return the frames.

        Args:
            x: Frames `(B, N, C, H, W)`, in any order.
            length: Number of true frames of each sequence, int64 `(B,)`; they come first, the rest
                is padding and does not count. All are true where it is not given.
            companions: Not looked at: frames that the guide may infer the static code from.
            size: Number `B` of sequences to sample when there is no `x`.
            frames: Number `N` of frames of each of them; that of the constructor unless given.

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
                dynamic = pyro.sample("dynamic", self.dynamic_prior(static))
                codes = join_codes(static, dynamic)
                return pyro.sample("x", self.decoder(codes), obs=x)
