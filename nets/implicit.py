r"""Encoders of images and noise to codes: implicit distributions, which can be drawn from alone.

What they return is a `Delta` at one draw for each image. Its density says nothing of the code's.

Source: Mescheder, Nowozin & Geiger (2017), https://arxiv.org/abs/1701.04722.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from .activations import at_least_float32
from .convolutional import conv_stages
from .mlp import mlp
from .shapes import Shape, check_image, check_shape


class Moments(NamedTuple):
    """Mean and standard deviation of each coordinate of a code, `(..., K)`."""

    mean: Tensor
    scale: Tensor


class ImplicitEncoder(nn.Module):
    """Draw codes of images; subclasses give `codes`.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image.
        latent_dim: Number `K` of code coordinates.
    """

    def __init__(self, shape: Shape, latent_dim: int) -> None:
        super().__init__()
        self.shape = check_shape(shape)
        self.latent_dim = latent_dim

    def codes(self, images: Tensor) -> Tensor:
        """Return a code `(n, K)` drawn for each of the images `(n, C, H, W)`."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> dist.Delta:
        """Return one drawn code, batch `(...)` and event `(K,)`, for each image of `x`.

        Args:
            x: Images `(..., C, H, W)`.

        Raises:
            ValueError: If the images are not of the encoder's shape.
        """
        check_image(x, self.shape)
        codes = self.codes(x.reshape(-1, *self.shape)).view(*x.shape[:-3], self.latent_dim)
        return dist.Delta(at_least_float32(codes), event_dim=1)


class NoiseEncoder(ImplicitEncoder):
    """Draw codes by a net that is fed noise beside the image.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image.
        latent_dim: Number `K` of code coordinates.
        noise_dim: Number of standard normal numbers per draw.
        hidden: Widths of the linear layers that image and noise go through together.
        channels: Channels of the convolutions that the image goes through before; None for none.
        activation: Name of the activation.

    Raises:
        ValueError: If there are convolutions and a side is shorter than 8.
    """

    def __init__(
        self,
        shape: Shape,
        latent_dim: int,
        noise_dim: int = 16,
        hidden: Sequence[int] = (512, 256),
        channels: Sequence[int] | None = None,
        activation: str = "relu",
    ) -> None:
        super().__init__(shape, latent_dim)
        self.noise_dim = noise_dim
        stages, features = _stages(self.shape, channels, activation)
        self.stages = nn.Sequential(*stages, nn.Flatten())
        self.net = mlp((features + noise_dim, *hidden, latent_dim), activation)

    def codes(self, images: Tensor) -> Tensor:  # noqa: D102
        seen = self.stages(images)
        noise = torch.randn(len(seen), self.noise_dim, dtype=seen.dtype, device=seen.device)
        return self.net(torch.cat([seen, noise], -1))


class NoiseBasisEncoder(ImplicitEncoder):
    r"""Draw codes as sums of functions of noise, weighted by the image, so that moments are known.

    \[ z_k = b_k(x) + I^{-1/2} \sum_i a_{ik}(x) v_k(e_i + t_i), \; e_i \sim N(0, I) \]

    One net `v` serves all functions, which differ by learned shifts `t` of their noise. Means and
    variances of the functions are those of many draws, without the image; those of `z` follow, as
    the noise of the summands is independent.

    Source: Mescheder et al. (2017), whose functions are nets of their own.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image.
        latent_dim: Number `K` of code coordinates.
        noise_dim: Number of standard normal numbers of each function.
        functions: Number `I` of functions of noise.
        noise_hidden: Widths of the hidden layers of the functions.
        hidden: Widths of the linear layers that the image goes through.
        channels: Channels of the convolutions that it goes through before; None for none.
        activation: Name of the activation.
        draws: Draws of noise that means and variances are taken over, at least 2.

    Raises:
        ValueError: If there are convolutions and a side is shorter than 8.
    """

    def __init__(
        self,
        shape: Shape,
        latent_dim: int,
        noise_dim: int = 16,
        functions: int = 32,
        noise_hidden: Sequence[int] = (64, 64),
        hidden: Sequence[int] = (512, 256),
        channels: Sequence[int] | None = None,
        activation: str = "relu",
        draws: int = 256,
    ) -> None:
        super().__init__(shape, latent_dim)
        self.noise_dim, self.functions, self.draws = noise_dim, functions, draws
        stages, features = _stages(self.shape, channels, activation)
        outputs = (functions + 1) * latent_dim
        self.net = nn.Sequential(
            *stages, nn.Flatten(), mlp((features, *hidden, outputs), activation)
        )
        self.noise = mlp((noise_dim, *noise_hidden, latent_dim), "silu")
        self.shifts = nn.Parameter(torch.randn(functions, noise_dim))

    def codes(self, images: Tensor) -> Tensor:  # noqa: D102
        weights, shift = self._weights(images)
        return (weights * self._functions(len(images))).sum(-2) + shift

    def moments(self, x: Tensor) -> Moments:
        """Return mean and standard deviation of the codes of images.

        Args:
            x: Images `(..., C, H, W)`.
        """
        weights, shift = self._weights(x.reshape(-1, *self.shape))
        drawn = self._functions(self.draws)
        mean = (weights * drawn.mean(0)).sum(-2) + shift
        scale = (weights.square() * drawn.var(0)).sum(-2).sqrt()
        size = (*x.shape[:-3], self.latent_dim)
        return Moments(at_least_float32(mean.view(size)), at_least_float32(scale.view(size)))

    def _weights(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Weights `(n, I, K)` of the functions and shifts `(n, K)`."""
        raw = self.net(images).view(len(images), self.functions + 1, self.latent_dim)
        return raw[:, 1:] / self.functions**0.5, raw[:, 0]

    def _functions(self, count: int) -> Tensor:
        """Draws `(count, I, K)` of the functions."""
        shifts = self.shifts
        noise = torch.randn(count, *shifts.shape, dtype=shifts.dtype, device=shifts.device)
        return self.noise(noise + shifts)


def _stages(
    shape: Shape, channels: Sequence[int] | None, activation: str
) -> tuple[Sequence[nn.Module], int]:
    if channels is None:
        return [], prod(shape)
    layers, features = conv_stages(shape, channels, activation)
    return layers, prod(features)
