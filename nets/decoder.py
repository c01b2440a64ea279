"""What all decoders share: their checks, and the likelihood that they end with."""

from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from .likelihood import Likelihood
from .shapes import Shape, check_shape


class Decoder(nn.Module):
    """Map codes to a distribution of images; subclasses give `raw`.

    Args:
        latent_dim: Number `K` of code coordinates.
        shape: Channels, height and width `(C, H, W)` of an image.
        likelihood: Turns the net's outputs into the distribution; made for `C` channels.

    Raises:
        ValueError: If the likelihood was made for another number of channels.
    """

    def __init__(self, latent_dim: int, shape: Shape, likelihood: Likelihood) -> None:
        super().__init__()
        self.shape = check_shape(shape)
        self.latent_dim = latent_dim
        if likelihood.channels != self.shape[0]:
            raise ValueError(
                f"likelihood.channels is {likelihood.channels}; expected {self.shape[0]}, the "
                "channels of shape. Make the likelihood for that many."
            )
        self.likelihood = likelihood
        self.raw_shape = (likelihood.raw_channels, *self.shape[1:])

    def raw(self, z: Tensor) -> Tensor:
        """Return the likelihood's input `(..., P, H, W)` for codes `z` `(..., K)`."""
        raise NotImplementedError

    def forward(self, z: Tensor) -> TorchDistributionMixin:
        """Return the distribution of images, event `(C, H, W)`, for codes `z` `(..., K)`."""
        return self.likelihood(self.raw(z))
