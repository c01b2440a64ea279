"""What all encoders share: their checks, and the Normal that they end with."""

import pyro.distributions as dist
from torch import Tensor, nn
from torch.nn import functional

from .activations import at_least_float32
from .shapes import Shape, check_image, check_shape

SCALE_FLOOR = 1e-6


def diagonal_normal(raw: Tensor) -> dist.Independent:
    """Split a net's outputs `(..., 2K)` into the loc and scale of a Normal with event `(K,)`.

    The scale is `softplus(raw) + 1e-6`: never zero, and of slope at most one, so that neither it
    nor its gradient overflows. Half-precision outputs are cast to float32 first.
    """
    loc, raw_scale = at_least_float32(raw).chunk(2, dim=-1)
    return dist.Normal(loc, functional.softplus(raw_scale) + SCALE_FLOOR).to_event(1)


class Encoder(nn.Module):
    """Map images to a diagonal Normal over codes; subclasses give `raw`.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image.
        latent_dim: Number `K` of code coordinates.
    """

    def __init__(self, shape: Shape, latent_dim: int) -> None:
        super().__init__()
        self.shape = check_shape(shape)
        self.latent_dim = latent_dim

    def raw(self, x: Tensor) -> Tensor:
        """Return the inputs `(..., 2K)` of `diagonal_normal` for images `x` `(..., C, H, W)`."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> dist.Independent:
        """Return the Normal, batch `(...)` and event `(K,)`, of images `x` `(..., C, H, W)`.

        Raises:
            ValueError: If the images are not of the encoder's shape.
        """
        check_image(x, self.shape)
        return diagonal_normal(self.raw(x))
