"""Encoders without spread: one code per image, for classifiers and auto-encoders."""

from collections.abc import Sequence
from math import prod

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from .activations import at_least_float32
from .convolutional import conv_stages
from .mlp import mlp
from .shapes import Shape, check_image, check_shape


class PointEncoder(nn.Module):
    """Map images to one code each: a `Delta` at the net's output.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image.
        latent_dim: Number `K` of code coordinates.
        hidden: Widths of the linear layers before the code.
        channels: Channels of the convolutions that come first, as in `ConvEncoder`; None for none.
        activation: Name of the activation.
        standardised: Whether each image is brought to mean 0 and variance 1 over its pixels first.
        normalised: Whether each code is brought to mean 0 and variance 1 over its coordinates (Ba
            et al. 2016, https://arxiv.org/abs/1607.06450, without weights): then no critic can be
            escaped, or overwhelmed, by the size of codes.

    Raises:
        ValueError: If there are convolutions and a side is shorter than 8.
    """

    def __init__(
        self,
        shape: Shape,
        latent_dim: int,
        hidden: Sequence[int] = (256,),
        channels: Sequence[int] | None = None,
        activation: str = "relu",
        standardised: bool = False,
        normalised: bool = False,
    ) -> None:
        super().__init__()
        self.shape = check_shape(shape)
        self.latent_dim = latent_dim
        self.standardised, self.normalised = standardised, normalised
        stages, features = [], self.shape
        if channels is not None:
            stages, features = conv_stages(self.shape, channels, activation)
        self.net = nn.Sequential(
            *stages, nn.Flatten(), mlp((prod(features), *hidden, latent_dim), activation)
        )

    def forward(self, x: Tensor) -> dist.Delta:
        """Return the codes, batch `(...)` and event `(K,)`, of images `x` `(..., C, H, W)`.

        Raises:
            ValueError: If the images are not of the encoder's shape.
        """
        check_image(x, self.shape)
        images = x.reshape(-1, *self.shape)
        if self.standardised:
            images = layer_norm(images, self.shape)
        codes = at_least_float32(self.net(images)).view(*x.shape[:-3], self.latent_dim)
        if self.normalised:
            codes = layer_norm(codes, (self.latent_dim,))
        return dist.Delta(codes, event_dim=1)


class DomainEncoders(nn.Module):
    """An encoder for images of each of two domains.

    Args:
        source: The encoder of domain 0.
        target: The encoder of domain 1, of codes of the same size.
        column: Column of the factors that says the domain.
    """

    def __init__(self, source: PointEncoder, target: PointEncoder, column: int = 0) -> None:
        super().__init__()
        self.source, self.target, self.column = source, target, column

    def forward(self, x: Tensor, factors: Tensor) -> dist.Delta:
        """Return the codes, event `(K,)`, of images `(B, C, H, W)` with factors int64 `(B, F)`.

        Both encoders see all images, since how many are of which domain differs by batch.
        """
        is_source = (factors[..., self.column] == 0).unsqueeze(-1)
        codes = torch.where(is_source, self.source(x).v, self.target(x).v)
        return dist.Delta(codes, event_dim=1)
