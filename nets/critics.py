"""Critics: nets that score codes, images, or both together."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from .activations import activation as make_activation
from .activations import at_least_float32, gain_of, initialise
from .convolutional import conv_stages
from .mlp import mlp
from .shapes import Shape, check_shape

Widths = Sequence[int]


class MLPCritic(nn.Module):
    """Score vectors, or several things at once, with a fully connected net.

    Args:
        size: Numbers per example, those of all inputs together.
        hidden: Widths of the hidden layers; six of 1000 in the FactorVAE.
        outputs: Scores per example: 1, or the number of classes.
        activation: Name of the activation.
    """

    def __init__(
        self,
        size: int,
        hidden: Widths = (256, 256),
        outputs: int = 1,
        activation: str = "leaky-relu",
    ) -> None:
        super().__init__()
        self.net = mlp((size, *hidden, outputs), activation)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return scores `(n, outputs)` for inputs `(n, ...)`."""
        flat = [value.reshape(len(value), -1) for value in inputs]
        return at_least_float32(self.net(flat[0] if len(flat) == 1 else torch.cat(flat, -1)))


class ConvCritic(nn.Module):
    """Score images, or images with a vector each, with a convolutional net.

    The vector joins the image where that has become one.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image; sides of at least 8.
        extra: Numbers per example beside the image.
        channels: Channels of each stage, from the image on.
        hidden: Width of the linear layer after the stages.
        outputs: Scores per example: 1, or the number of classes.
        activation: Name of the activation.

    Raises:
        ValueError: If a side is shorter than 8, or `channels` is empty.
    """

    def __init__(
        self,
        shape: Shape,
        extra: int = 0,
        channels: Widths = (32, 64, 64),
        hidden: int = 256,
        outputs: int = 1,
        activation: str = "leaky-relu",
    ) -> None:
        super().__init__()
        self.shape, self.extra = check_shape(shape), extra
        layers, features = conv_stages(self.shape, channels, activation)
        self.stages = nn.Sequential(*layers)
        width = prod(features) + extra
        self.head = nn.Sequential(
            initialise(nn.Linear(width, hidden), gain_of(activation)),
            make_activation(activation),
            initialise(nn.Linear(hidden, outputs)),
        )

    def features(self, image: Tensor) -> Tensor:
        """Return what the last stage gives for images `(n, C, H, W)`: `(n, c, h, w)`."""
        return at_least_float32(self.stages(image))

    def forward(self, image: Tensor, *vectors: Tensor) -> Tensor:
        """Return scores `(n, outputs)` for images `(n, C, H, W)` and vectors `(n, ...)`."""
        flat = (vector.reshape(len(vector), -1) for vector in vectors)
        parts = [self.stages(image).flatten(1), *flat]
        return at_least_float32(self.head(parts[0] if len(parts) == 1 else torch.cat(parts, -1)))
