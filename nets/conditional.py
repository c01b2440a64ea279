"""Encoders, decoders and priors that are told a condition beside images or codes."""

from collections.abc import Sequence
from math import prod

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from .activations import at_least_float32
from .conditions import Condition
from .convolutional import conv_stages
from .decoder import Decoder
from .encoder import diagonal_normal
from .mlp import mlp
from .shapes import Shape, check_image, check_shape


class ConditionalEncoder(nn.Module):
    """Map images and conditions to a diagonal Normal over codes.

    The condition joins the image's pixels, or what the convolutions make of them.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image.
        latent_dim: Number `K` of code coordinates.
        condition: Turns conditions into vectors; None where the image says it all, as of images
            whose observed part is the condition.
        hidden: Widths of the linear layers before the code.
        channels: Channels of the convolutions that come first; None for none.
        activation: Name of the activation.
    """

    def __init__(
        self,
        shape: Shape,
        latent_dim: int,
        condition: Condition | None,
        hidden: Sequence[int] = (512, 256),
        channels: Sequence[int] | None = None,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.shape, self.condition = check_shape(shape), condition
        stages: list[nn.Module] = []
        features: Sequence[int] = self.shape
        if channels is not None:
            stages, features = conv_stages(self.shape, channels, activation)
        self.stages = nn.Sequential(*stages, nn.Flatten())
        width = prod(features) + (0 if condition is None else condition.width)
        self.net = mlp((width, *hidden, 2 * latent_dim), activation)

    def forward(self, x: Tensor, condition: Tensor) -> dist.Independent:
        """Return the Normal, event `(K,)`, of images `(..., C, H, W)` and their conditions.

        Raises:
            ValueError: If the images are not of the encoder's shape.
        """
        check_image(x, self.shape)
        seen = self.stages(x.reshape(-1, *self.shape)).view(*x.shape[:-3], -1)
        if self.condition is None:
            return diagonal_normal(self.net(seen))
        return diagonal_normal(self.net(joined(seen, self.condition(condition))))


class ConditionalDecoder(nn.Module):
    """Map codes and conditions to a distribution of images.

    Args:
        decoder: Decodes codes and vectors of the condition, `(..., K + E)`.
        condition: Turns conditions into vectors.
    """

    def __init__(self, decoder: Decoder, condition: Condition) -> None:
        super().__init__()
        self.decoder, self.condition = decoder, condition

    def forward(self, z: Tensor, condition: Tensor) -> TorchDistributionMixin:
        """Return the distribution, event `(C, H, W)`, for codes `(..., K)` and conditions."""
        return self.decoder(joined(z, self.condition(condition)))


class ConditionalPrior(nn.Module):
    """Map conditions to a diagonal Normal over codes.

    Args:
        condition: Turns conditions into vectors.
        latent_dim: Number `K` of code coordinates.
        hidden: Widths of the hidden layers; none for a linear map.
        activation: Name of the activation.
    """

    def __init__(
        self,
        condition: Condition,
        latent_dim: int,
        hidden: Sequence[int] = (128,),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.condition = condition
        self.net = mlp((condition.width, *hidden, 2 * latent_dim), activation)

    def forward(self, condition: Tensor) -> dist.Independent:
        """Return the Normal, batch `(...)` and event `(K,)`, of conditions."""
        return diagonal_normal(at_least_float32(self.net(self.condition(condition))))


def joined(values: Tensor, told: Tensor) -> Tensor:
    """Join vectors `(..., D)` and those of their conditions; leading dims broadcast."""
    lead = torch.broadcast_shapes(values.shape[:-1], told.shape[:-1])
    return torch.cat([values.expand(*lead, -1), told.expand(*lead, -1)], -1)
