r"""What all frames of a sequence have in common, from comparing them in pairs.

Each pair's features are convolved together. A convolution of two stacked maps is the sum of one
convolution of each, \( W * [h_i, h_j] = A * h_i + B * h_j \), so the convolutions grow with the
number `N` of frames and only additions with `N^2`. Both orders of a pair are averaged, and so are
all pairs: neither the order of frames nor that of pairs matters, and any `N` is accepted. A single
frame is paired with itself.

Source: Helminger et al. (2018), "Disentangled Dynamic Representations from Unordered Data",
appendices B and C, where the pairs of three frames are stacked in one order.
"""

from math import prod

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from .activations import activation as make_activation
from .activations import gain_of, initialise
from .encoder import diagonal_normal
from .shapes import Shape


class PairwiseEncoder(nn.Module):
    """Map features of all frames of a sequence to a diagonal Normal over its static code.

    Args:
        feature_shape: `(D, h, w)` of each frame's features, as a `Trunk` gives them.
        latent_dim: Number `F` of static coordinates.
        channels: Channels of the convolution of a pair and of the one after the mean over pairs.
        hidden: Width of the linear layer before the code.
        activation: Name of the activation.
    """

    def __init__(
        self,
        feature_shape: Shape,
        latent_dim: int,
        channels: int = 128,
        hidden: int = 256,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        depth, height, width = feature_shape
        kernel = 3 if min(height, width) > 1 else 1
        stacked = initialise(nn.Conv2d(2 * depth, channels, kernel), gain_of(activation))
        # One convolution gives both halves of the pair's: of a frame as the first and as the
        # second. It starts as the convolution of two stacked maps would.
        self.halves = initialise(nn.Conv2d(depth, 2 * channels, kernel, padding=kernel // 2))
        self.halves.get_parameter("weight").data.copy_(
            torch.cat(stacked.get_parameter("weight").split(depth, 1)).detach()
        )
        self.channels = channels
        self.activation = make_activation(activation)
        self.head = nn.Sequential(
            initialise(
                nn.Conv2d(channels, channels, kernel, padding=kernel // 2), gain_of(activation)
            ),
            make_activation(activation),
            nn.Flatten(),
            initialise(nn.Linear(channels * prod((height, width)), hidden), gain_of(activation)),
            make_activation(activation),
            initialise(nn.Linear(hidden, 2 * latent_dim)),
        )

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
        lead, frames = features.shape[:-4], features.shape[-4]
        halves = self.halves(features.reshape(-1, *features.shape[-3:]))
        halves = halves.view(-1, frames, *halves.shape[-3:])
        flat = None
        if mask is not None:
            flat = mask.expand(*lead, frames).reshape(-1, frames)
            halves = torch.where(flat[..., None, None, None], halves, 0)  # whatever padding is
        first, second = halves.split(self.channels, 2)
        pooled = self._mean_over_pairs(first, second, flat)
        raw = self.head(pooled)
        return diagonal_normal(raw.view(*lead, 1, raw.shape[-1]))

    def _mean_over_pairs(self, first: Tensor, second: Tensor, mask: Tensor | None) -> Tensor:
        """Return the mean over ordered pairs of frames, `(B, D', h, w)`.

        Every shift of the second frames against the first is a set of `N` pairs, so memory grows
        with `N` alone where no gradient is kept.
        """
        frames = first.shape[1]
        if mask is None:
            if frames == 1:
                return self.activation(first[:, 0] + second[:, 0])
            shifts = range(1, frames)
            sums = [self.activation(first + second.roll(s, 1)).sum(1) for s in shifts]
            return torch.stack(sums).sum(0) / (frames * (frames - 1))
        return self._masked_mean(first, second, mask.to(first.dtype))

    def _masked_mean(self, first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
        count = mask.sum(1)
        alone = mask * (count == 1).unsqueeze(1)
        total = first.new_zeros(())
        for shift in range(first.shape[1]):
            weight = mask * mask.roll(shift, 1) if shift else alone
            pairs = self.activation(first + second.roll(shift, 1))
            total = total + torch.einsum("bn,bnchw->bchw", weight, pairs)
        pairs_of = torch.where(count == 1, 1.0, count * (count - 1))
        return total / pairs_of.view(-1, 1, 1, 1)
