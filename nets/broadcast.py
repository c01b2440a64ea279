"""A decoder that knows where each pixel is, whatever the code says."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pixel_shuffle

from .activations import activation as make_activation
from .activations import at_least_float32, spread_codes
from .decoder import Decoder
from .likelihood import Likelihood
from .mlp import mlp
from .shapes import Shape

FARTHEST = 3**0.5  # places that are uniform up to here have the variance of a code


class BroadcastDecoder(Decoder):
    """Map codes to a distribution of images by one net of the code and the place in the image.

    The image is cut into squares of `patch` pixels a side. Each is drawn by the same fully
    connected net, from the code and the square's place, so that a thing that moves is one function
    of the difference of two places, and codes of places are smooth and their own.

    Source: Watters et al. (2019), https://arxiv.org/abs/1901.07017, figure 2, with convolutions of
    one pixel; theirs are of three, and their squares single pixels.

    Args:
        latent_dim: Number `K` of code coordinates.
        shape: Channels, height and width `(C, H, W)` of an image.
        likelihood: Turns the net's outputs into the distribution; made for `C` channels.
        hidden: Widths of the hidden layers, from the code to the square; at least one.
        activation: Name of the activation.
        code_spread: Standard deviation that the first layer's outputs start with, positive.
        patch: Pixels on a side of a square.

    Raises:
        ValueError: If there is no hidden layer, or squares do not fill the image.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: Shape,
        likelihood: Likelihood,
        hidden: Sequence[int] = (128, 128),
        activation: str = "relu",
        code_spread: float = 1.0,
        patch: int = 4,
    ) -> None:
        super().__init__(latent_dim, shape, likelihood)
        channels, height, width = self.raw_shape
        if not hidden:
            raise ValueError("hidden is empty; expected at least one width. Name one, such as 64.")
        if patch < 1 or height % patch or width % patch:
            raise ValueError(
                f"patch is {patch}; expected a divisor of {height} and {width}, the height and "
                "width of images. 1 divides all."
            )
        self.patch, self.grid = patch, (height // patch, width // patch)
        self.first = nn.Linear(latent_dim + 2, hidden[0])
        spread_codes(self.first, code_spread)
        self.net = nn.Sequential(
            make_activation(activation), mlp((*hidden, channels * patch**2), activation)
        )
        rows, columns = (torch.linspace(-FARTHEST, FARTHEST, size) for size in self.grid)
        places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).view(-1, 2)
        self.register_buffer("places", places, persistent=False)
        self.places: Tensor

    def raw(self, z: Tensor) -> Tensor:
        """Return the likelihood's input `(..., P, H, W)` for codes `z` `(..., K)`."""
        of_code, of_place = self.first.weight.split([self.latent_dim, 2], 1)
        told = linear(z, of_code, self.first.bias).unsqueeze(-2) + linear(self.places, of_place)
        squares = self.net(told).transpose(-1, -2)
        squares = squares.reshape(-1, squares.shape[-2], *self.grid)
        pixels = pixel_shuffle(squares, self.patch)
        return at_least_float32(pixels).view(z.shape[:-1] + self.raw_shape)
