r"""A model of exchangeable frames in which everything of a frame depends on its sequence.

\[ p(x, c, z) = \prod_s p(c_s) \prod_t p(z_{st}^L \mid c_s)
   \prod_{l < L} p(z_{st}^l \mid z_{st}^{l+1}, c_s)\; p(x_{st} \mid z_{st}^{1:L}, c_s),
   \qquad p(c) = N(0, I) \]

Source: Edwards & Storkey (2017), "Towards a Neural Statistician", section 3,
https://arxiv.org/abs/1606.02185. What the paper calls the context `c` is the site `static`.
"""

from collections.abc import Callable, Sequence

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import (
    batch_size,
    frame_mask,
    join_codes,
    layer_names,
    number_of_frames,
    true_frames,
)


class NeuralStatistician(nn.Module):
    """Frames decoded from a code of their sequence and several layers of codes of their own.

    Sites: `static`, event `(F,)`, in plate `data` at dim -2; the layers, each with event `(Z,)`,
    latent, and `x`, event `(C, H, W)`, observed, in plates `data` and `frames`, dims -2 and -1. A
    single layer is called `dynamic`; `L` of them are `dynamic_L` to `dynamic_1`, top first.

    Args:
        decoder: Maps codes `(..., F + L Z)`, static coordinates first and then the layers, top
            first, to a distribution of frames.
        layer_priors: One net per layer, top first. The first maps static codes `(..., F)` to the
            distribution of the top layer, event `(Z,)`; each other one maps the codes of the layer
            above, `(..., Z)`, and static codes.
        static_dim: Number `F` of static coordinates.
        frames: Number of frames per sequence where it is sampled from.
    """

    static_loc: Tensor
    static_scale: Tensor

    def __init__(
        self,
        decoder: Callable[[Tensor], TorchDistributionMixin],
        layer_priors: Sequence[nn.Module],
        static_dim: int,
        frames: int = 8,
    ) -> None:
        super().__init__()
        self.layers = layer_names(len(layer_priors))
        self.decoder = decoder
        self.layer_priors = nn.ModuleList(layer_priors)
        self.static_dim, self.frames = static_dim, frames
        self.register_buffer("static_loc", torch.zeros(static_dim), persistent=False)
        self.register_buffer("static_scale", torch.ones(static_dim), persistent=False)

    def forward(
        self,
        x: Tensor | None = None,
        length: Tensor | None = None,
        *,
        size: int | None = None,
        frames: int | None = None,
    ) -> Tensor:
        """Score sequences `x`, or sample `size` of them, and return the frames.

        Args:
            x: Frames `(B, N, C, H, W)`, in any order.
            length: Number of true frames of each sequence, int64 `(B,)`; they come first, the rest
                is padding and does not count. All are true where it is not given.
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
                codes: list[Tensor] = []
                for name, prior in zip(self.layers, self.layer_priors, strict=True):
                    codes.append(pyro.sample(name, prior(*codes[-1:], static)))
                return pyro.sample("x", self.decoder(join_codes(static, *codes)), obs=x)
