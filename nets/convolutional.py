"""Convolutional encoders and decoders for images of any height and width from 8 up.

A stage is a convolution of kernel 4, stride 2 and padding 1: it takes a side of `n` pixels to
`n // 2`. There are as many stages as `channels` has entries, but none that would leave the
shorter side with fewer than 2 pixels: 64 gives 32, 16, 8, 4; 28 gives 14, 7, 3; 8 gives 4, 2.
The decoder walks the same sizes backwards; one output row or column is added where a side was odd.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import cast

from torch import Tensor, nn

from .activations import activation as make_activation
from .activations import at_least_float32, gain_of, initialise, spread_codes
from .decoder import Decoder
from .encoder import Encoder
from .likelihood import Likelihood
from .shapes import Shape

SMALLEST_SIDE = 8


class ConvEncoder(Encoder):
    """Map images to a diagonal Normal over codes with a convolutional net.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image; sides of at least 8.
        latent_dim: Number `K` of code coordinates.
        channels: Channels of each stage, from the image to the code; small images leave out the
            last ones.
        hidden: Width of the linear layer after the stages.
        activation: Name of the activation.

    Raises:
        ValueError: If a side is shorter than 8, or `channels` is empty.
    """

    def __init__(
        self,
        shape: Shape,
        latent_dim: int,
        channels: Sequence[int] = (32, 32, 64, 64),
        hidden: int = 256,
        activation: str = "relu",
    ) -> None:
        super().__init__(shape, latent_dim)
        layers, features = conv_stages(self.shape, channels, activation)
        self.net = nn.Sequential(
            *layers,
            nn.Flatten(),
            initialise(nn.Linear(prod(features), hidden), gain_of(activation)),
            make_activation(activation),
            initialise(nn.Linear(hidden, 2 * latent_dim)),
        )

    def raw(self, x: Tensor) -> Tensor:
        """Return the inputs `(..., 2K)` of the Normal for images `x` `(..., C, H, W)`."""
        if x.dim() == 4:
            return self.net(x)
        return self.net(x.reshape(-1, *self.shape)).view(*x.shape[:-3], 2 * self.latent_dim)


class ConvDecoder(Decoder):
    """Map codes to a distribution of images with a convolutional net.

    Args:
        latent_dim: Number `K` of code coordinates.
        shape: Channels, height and width `(C, H, W)` of an image; sides of at least 8.
        likelihood: Turns the net's outputs into the distribution; made for `C` channels.
        channels: Channels that each stage takes, from the code to the image; small images leave
            out the first ones.
        hidden: Width of the linear layer before the stages.
        activation: Name of the activation.
        code_spread: Standard deviation that the first layer's outputs start with; 0 for Glorot's
            rule. See `spread_codes`.

    Raises:
        ValueError: If a side is shorter than 8, or `channels` is empty.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: Shape,
        likelihood: Likelihood,
        channels: Sequence[int] = (64, 64, 32, 32),
        hidden: int = 256,
        activation: str = "relu",
        code_spread: float = 0.0,
    ) -> None:
        super().__init__(latent_dim, shape, likelihood)
        sizes = _size_chain(self.shape, channels)[::-1]
        widths = (*channels[len(channels) - len(sizes) + 1 :], likelihood.raw_channels)
        first = (widths[0], *sizes[0])
        layers: list[nn.Module] = [
            initialise(nn.Linear(latent_dim, hidden), gain_of(activation)),
            make_activation(activation),
            initialise(nn.Linear(hidden, prod(first)), gain_of(activation)),
            nn.Unflatten(-1, first),
        ]
        for (width, next_width), (size, next_size) in zip(
            pairwise(widths), pairwise(sizes), strict=True
        ):
            layers += [make_activation(activation), _upsample(width, next_width, size, next_size)]
            initialise(layers[-1], gain_of(activation))
        initialise(layers[-1])
        self.net = nn.Sequential(*layers)
        if code_spread:
            spread_codes(cast(nn.Linear, self.net[0]), code_spread)

    def raw(self, z: Tensor) -> Tensor:
        """Return the likelihood's input `(..., P, H, W)` for codes `z` `(..., K)`."""
        if z.dim() == 2:
            return at_least_float32(self.net(z))
        flat = at_least_float32(self.net(z.reshape(-1, self.latent_dim)))
        return flat.view(z.shape[:-1] + self.raw_shape)


def conv_stages(
    shape: Shape, channels: Sequence[int], activation: str
) -> tuple[list[nn.Module], Shape]:
    """Return the layers of every stage from the image on, and the shape of what they give.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image; sides of at least 8.
        channels: Channels of each stage; small images leave out the last ones.
        activation: Name of the activation after each convolution.

    Raises:
        ValueError: If a side is shorter than 8, or `channels` is empty.
    """
    sizes = _size_chain(shape, channels)
    widths = (shape[0], *channels[: len(sizes) - 1])
    layers: list[nn.Module] = []
    for width, next_width in pairwise(widths):
        convolution = nn.Conv2d(width, next_width, kernel_size=4, stride=2, padding=1)
        layers += [initialise(convolution, gain_of(activation)), make_activation(activation)]
    return layers, (widths[-1], *sizes[-1])


def _size_chain(shape: Shape, channels: Sequence[int]) -> list[tuple[int, int]]:
    """Return the sizes `(H, W)` from the image through every stage."""
    height, width = shape[1:]
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"shape is {tuple(shape)}; expected height and width of at least {SMALLEST_SIDE}. "
            "Use fully connected nets (MLPEncoder, MLPDecoder) for smaller images."
        )
    if not channels:
        raise ValueError("channels is (); expected one width per stage. Give at least one.")
    sizes = [(height, width)]
    while len(sizes) <= len(channels) and min(sizes[-1]) // 2 >= 2:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def _upsample(
    width: int, next_width: int, size: tuple[int, int], next_size: tuple[int, int]
) -> nn.ConvTranspose2d:
    """Return the transposed convolution from one size of a chain to the next larger one."""
    odd = (next_size[0] - 2 * size[0], next_size[1] - 2 * size[1])
    return nn.ConvTranspose2d(width, next_width, 4, stride=2, padding=1, output_padding=odd)
