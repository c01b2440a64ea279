r"""What all frames of a sequence have in common, from the mean of features of each.

\[ v = \tfrac1N \sum_t h(x_t), \qquad
q(c \mid x_{1:N}) = N(g_\mu(v), \mathrm{diag}\, g_\sigma(v)^2) \]

Neither the order of frames matters nor their number, and work grows with the number `N`.

Source: Edwards & Storkey (2017), "Towards a Neural Statistician", section 3, https://arxiv.org/abs/1606.02185.
"""

import math
from collections.abc import Sequence
from math import prod

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from .activations import activation as make_activation
from .activations import gain_of, initialise
from .encoder import diagonal_normal
from .mlp import mlp
from .shapes import Shape


class PooledEncoder(nn.Module):
    """Map features of all frames of a sequence to a diagonal Normal over its static code.

    Args:
        feature_shape: `(D, h, w)` of each frame's features, as a `Trunk` gives them.
        latent_dim: Number `F` of static coordinates.
        width: Units that each frame is mapped to before the mean over frames.
        hidden: Widths of the hidden layers between the mean and the code; none of them is fine.
        activation: Name of the activation.
        count: Whether the logarithm of the number of true frames joins the mean, so that the code
            may be the surer the more frames there are.
    """

    def __init__(
        self,
        feature_shape: Shape,
        latent_dim: int,
        width: int = 256,
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        count: bool = False,
    ) -> None:
        super().__init__()
        self.count = count
        self.frame = nn.Sequential(
            nn.Flatten(-3),
            initialise(nn.Linear(prod(feature_shape), width), gain_of(activation)),
            make_activation(activation),
        )
        self.head = mlp((width + count, *hidden, 2 * latent_dim), activation)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> dist.Independent:
        """Return the Normal of each sequence.

        Args:
            features: `(..., N, D, h, w)`.
            mask: Which frames are true, bool `(..., N)`, at least one of each sequence; all of
                them where None.

        Returns:
            A Normal with batch `(..., 1)`, ready for a plate of frames on the right, and event
            `(F,)`.
        """
        frames = self.frame(features)
        if mask is None:
            pooled = frames.mean(-2, keepdim=True)
            log_count = pooled.new_full((*pooled.shape[:-1], 1), math.log(frames.shape[-2]))
        else:
            true = mask.unsqueeze(-1)
            number = true.to(frames.dtype).sum(-2, keepdim=True)
            pooled = torch.where(true, frames, 0).sum(-2, keepdim=True) / number
            log_count = number.log().expand(*pooled.shape[:-1], 1)
        return diagonal_normal(
            self.head(torch.cat([pooled, log_count], -1) if self.count else pooled)
        )
