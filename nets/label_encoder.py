"""An encoder with two heads: which class an image is of, and a code of the rest."""

from collections.abc import Sequence

import pyro.distributions as dist
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from .encoder import diagonal_normal
from .features import PointEncoder
from .shapes import Shape


class LabelEncoder(nn.Module):
    """Map images to logits of classes and to a distribution over codes, from shared layers.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image.
        classes: Number of classes.
        latent_dim: Number `K` of code coordinates.
        hidden: Widths of the linear layers before both.
        channels: Channels of the convolutions that come first; None for none.
        activation: Name of the activation.
        points: Whether codes are points, a `Delta`, and not Normals.

    Raises:
        ValueError: If there are convolutions and a side is shorter than 8.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        latent_dim: int,
        hidden: Sequence[int] = (512, 256),
        channels: Sequence[int] | None = None,
        activation: str = "relu",
        points: bool = False,
    ) -> None:
        super().__init__()
        self.classes, self.latent_dim, self.points = classes, latent_dim, points
        width = classes + latent_dim * (1 if points else 2)
        self.net = PointEncoder(shape, width, hidden, channels, activation)

    def forward(self, x: Tensor) -> tuple[Tensor, TorchDistributionMixin]:
        """Return logits `(..., classes)` and codes, event `(K,)`, of images `(..., C, H, W)`.

        Raises:
            ValueError: If the images are not of the encoder's shape.
        """
        raw = self.net(x).v
        logits, rest = raw[..., : self.classes], raw[..., self.classes :]
        return logits, dist.Delta(rest, event_dim=1) if self.points else diagonal_normal(rest)
