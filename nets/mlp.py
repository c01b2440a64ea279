"""Fully connected encoders and decoders for images of any size."""

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


def mlp(sizes: Sequence[int], activation: str = "relu") -> nn.Sequential:
    """Return linear layers from `sizes[0]` to `sizes[-1]` with an activation between any two.

    Args:
        sizes: Width of the input, of each hidden layer and of the output; at least two.
        activation: Name of the activation, as in `activation`.

    Raises:
        ValueError: If there are fewer than two sizes, or no activation of this name.
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes is {tuple(sizes)}; expected at least two. Give input and output.")
    layers: list[nn.Module] = []
    for width, next_width in pairwise(sizes):
        linear = initialise(nn.Linear(width, next_width), gain_of(activation))
        layers += [linear, make_activation(activation)]
    initialise(layers[-2])
    return nn.Sequential(*layers[:-1])


class MLPEncoder(Encoder):
    """Map images to a diagonal Normal over codes with a fully connected net.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image.
        latent_dim: Number `K` of code coordinates.
        hidden: Widths of the hidden layers, from the image to the code.
        activation: Name of the activation.
    """

    def __init__(
        self,
        shape: Shape,
        latent_dim: int,
        hidden: Sequence[int] = (512, 256),
        activation: str = "relu",
    ) -> None:
        super().__init__(shape, latent_dim)
        self.net = mlp((prod(shape), *hidden, 2 * latent_dim), activation)

    def raw(self, x: Tensor) -> Tensor:
        """Return the inputs `(..., 2K)` of the Normal for images `x` `(..., C, H, W)`."""
        return self.net(x.flatten(-3))


class MLPDecoder(Decoder):
    """Map codes to a distribution of images with a fully connected net.

    Args:
        latent_dim: Number `K` of code coordinates.
        shape: Channels, height and width `(C, H, W)` of an image.
        likelihood: Turns the net's outputs into the distribution; made for `C` channels.
        hidden: Widths of the hidden layers, from the code to the image.
        activation: Name of the activation.
        code_spread: Standard deviation that the first layer's outputs start with; 0 for Glorot's
            rule. See `spread_codes`.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: Shape,
        likelihood: Likelihood,
        hidden: Sequence[int] = (256, 512),
        activation: str = "relu",
        code_spread: float = 0.0,
    ) -> None:
        super().__init__(latent_dim, shape, likelihood)
        self.net = mlp((latent_dim, *hidden, prod(self.raw_shape)), activation)
        if code_spread:
            spread_codes(cast(nn.Linear, self.net[0]), code_spread)

    def raw(self, z: Tensor) -> Tensor:
        """Return the likelihood's input `(..., P, H, W)` for codes `z` `(..., K)`."""
        return at_least_float32(self.net(z)).view(z.shape[:-1] + self.raw_shape)
