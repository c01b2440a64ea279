"""Encoders of single frames, and of clips by the mean over their frames."""

from collections.abc import Sequence
from math import prod

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from .activations import at_least_float32
from .encoder import diagonal_normal
from .frames import Trunk
from .mlp import mlp


class FrameEncoder(nn.Module):
    """Map every frame by itself to a code: a Normal, or a point.

    Args:
        trunk: Maps frames to features.
        latent_dim: Number `K` of code coordinates.
        hidden: Widths of the hidden layers from the features to the code.
        activation: Name of the activation.
        points: Whether codes are points, a `Delta` at the net's outputs.
    """

    def __init__(
        self,
        trunk: Trunk,
        latent_dim: int,
        hidden: Sequence[int] = (128,),
        activation: str = "leaky-relu",
        points: bool = False,
    ) -> None:
        super().__init__()
        self.trunk, self.latent_dim, self.points = trunk, latent_dim, points
        outputs = latent_dim if points else 2 * latent_dim
        self.head = mlp((prod(trunk.feature_shape), *hidden, outputs), activation)

    def raw(self, x: Tensor) -> Tensor:
        """Return the outputs of the net, `(..., K)` or `(..., 2K)`, for frames `(..., C, H, W)`.

        Raises:
            ValueError: If the frames are not of the trunk's shape.
        """
        return self.head(self.trunk(x).flatten(-3))

    def forward(self, x: Tensor) -> TorchDistributionMixin:
        """Return the codes, batch `(...)` and event `(K,)`, of frames `(..., C, H, W)`.

        Raises:
            ValueError: If the frames are not of the trunk's shape.
        """
        return self._codes(self.raw(x))

    def _codes(self, raw: Tensor) -> TorchDistributionMixin:
        if self.points:
            return dist.Delta(at_least_float32(raw), event_dim=1)
        return diagonal_normal(raw)


class EmptyEncoder(nn.Module):
    """Map clips to a code of no coordinates, where there is nothing that their frames share.

    Args:
        points: Whether codes are points, as of `FrameEncoder`.
    """

    latent_dim = 0

    def __init__(self, points: bool = False) -> None:
        super().__init__()
        self.points = points

    def forward(self, x: Tensor, mask: Tensor | None = None) -> TorchDistributionMixin:
        """Return the code, batch `(..., 1)` and event `(0,)`, of clips `(..., N, C, H, W)`."""
        none = at_least_float32(x.new_empty(*x.shape[:-4], 1, 0))
        if self.points:
            return dist.Delta(none, event_dim=1)
        return dist.Normal(none, torch.ones_like(none)).to_event(1)


class ClipEncoder(FrameEncoder):
    """Map the frames of a clip to one code: that of the mean of the net's outputs over frames.

    Neither the order of frames nor their number matters, and of one frame it is a `FrameEncoder`.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> TorchDistributionMixin:
        """Return the code, batch `(..., 1)` and event `(K,)`, of clips `(..., N, C, H, W)`.

        Args:
            x: The frames.
            mask: Which of them are true, bool `(..., N)`, at least one of each clip; all of them
                where None.

        Raises:
            ValueError: If the frames are not of the trunk's shape.
        """
        raw = self.raw(x)
        if mask is None:
            return self._codes(raw.mean(-2, keepdim=True) if raw.shape[-2] > 1 else raw)
        true = mask.to(raw.dtype).unsqueeze(-1)
        total = torch.where(mask.unsqueeze(-1), raw, 0.0).sum(-2, keepdim=True)
        return self._codes(total / true.sum(-2, keepdim=True))
