r"""A content code per clip and a pose code per frame, independent of each other.

\[ p(x, c, z) = \prod_s p(c_s) \prod_t p(z_{st})\, p(x_{st} \mid c_s, z_{st}), \qquad
p(c) = p(z) = N(0, I) \]

Nothing in the model says which of the codes holds what; the clips, and losses beside, do.

Source: Denton & Birodkar (2017), https://arxiv.org/abs/1705.10915, who have no priors; here they
let the model sample, and a training may leave them out.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import batch_size, frame_mask, join_codes, number_of_frames, true_frames


class DrNet(nn.Module):
    """Frames decoded from the content of their clip and a pose of their own.

    Sites: `static`, the content, event `(F,)`, in plate `data` at dim -2; `dynamic`, the pose,
    event `(Z,)`, latent, and `x`, event `(C, H, W)`, observed, in plates `data` and `frames`, dims
    -2 and -1.

    Args:
        decoder: Maps codes `(..., F + Z)`, content first, to a distribution of frames.
        static_dim: Number `F` of coordinates of the content.
        dynamic_dim: Number `Z` of coordinates of a pose.
        frames: Number of frames per clip where it is sampled from.
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
        for site, dim in (("static", static_dim), ("dynamic", dynamic_dim)):
            self.register_buffer(f"{site}_loc", torch.zeros(dim), persistent=False)
            self.register_buffer(f"{site}_scale", torch.ones(dim), persistent=False)

    def forward(
        self,
        x: Tensor | None = None,
        length: Tensor | None = None,
        companions: Tensor | None = None,
        *,
        size: int | None = None,
        frames: int | None = None,
    ) -> Tensor:
        """Score clips `x`, or sample `size` of them, and return the frames.

        Args:
            x: Frames `(B, N, C, H, W)`, in any order.
            length: Number of true frames of each clip, int64 `(B,)`; they come first, the rest is
                padding and does not count. All are true where it is not given.
            companions: Not looked at: frames that the guide may infer the content from.
            size: Number `B` of clips to sample when there is no `x`.
            frames: Number `N` of frames of each of them; that of the constructor unless given.

        Raises:
            ValueError: Unless exactly one of `x` and `size` is given.
        """
        count = number_of_frames(x, frames or self.frames)
        mask = frame_mask(length, count)
        with pyro.plate("data", batch_size(x, size), dim=-2):
            static = pyro.sample(
                "static", dist.Normal(self.static_loc, self.static_scale).to_event(1)
            )
            with pyro.plate("frames", count, dim=-1), true_frames(mask):
                dynamic = pyro.sample(
                    "dynamic", dist.Normal(self.dynamic_loc, self.dynamic_scale).to_event(1)
                )
                codes = join_codes(static, dynamic)
                return pyro.sample("x", self.decoder(codes), obs=x)
