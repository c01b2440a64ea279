"""Nets of what is told apart by class: the logits of classes, and codes given one."""

from collections.abc import Sequence
from math import prod
from typing import cast

import pyro.distributions as dist
from torch import Tensor, nn
from torch.nn.functional import linear

from .activations import at_least_float32
from .convolutional import conv_stages
from .encoder import diagonal_normal
from .mlp import mlp
from .shapes import Shape, check_shape


class ClassNet(nn.Module):
    """Layers from images, or vectors, to numbers; subclasses say what the numbers are.

    Args:
        shape: Shape of one datum: `(C, H, W)` of an image, or `(D,)` of a vector.
        told: Number of values that join what the convolutions make of a datum.
        outputs: Number of outputs.
        hidden: Widths of the linear layers before the outputs.
        channels: Channels of the convolutions that come first, of images alone; None for none.
        activation: Name of the activation.

    Raises:
        ValueError: If there are convolutions, and the data are vectors or a side is shorter
            than 8.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        told: int,
        outputs: int,
        hidden: Sequence[int],
        channels: Sequence[int] | None,
        activation: str,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        features, self.stages = self.shape, None
        if channels is not None:
            image = check_shape(cast(Shape, self.shape))
            stages, features = conv_stages(image, channels, activation)
            self.stages = nn.Sequential(*stages)
        self.net = mlp((prod(features) + told, *hidden, outputs), activation)

    def seen(self, x: Tensor) -> Tensor:
        """Return data `(..., *shape)` as vectors: as they are, or after the convolutions.

        Raises:
            ValueError: If the data are not of the net's shape.
        """
        dims = len(self.shape)
        if tuple(x.shape[-dims:]) != self.shape:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected {self.shape} at the end. "
                "Make the net for that shape."
            )
        if self.stages is None:
            return x.flatten(-dims)
        return self.stages(x.reshape(-1, *self.shape)).reshape(*x.shape[:-dims], -1)


class ClassLogits(ClassNet):
    """Map images, or vectors, to logits of classes.

    Args:
        shape: Shape of one datum: `(C, H, W)` of an image, or `(D,)` of a vector.
        classes: Number of classes.
        hidden: Widths of the hidden layers.
        channels: Channels of the convolutions that come first, of images alone; None for none.
        activation: Name of the activation.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        hidden: Sequence[int] = (512, 256),
        channels: Sequence[int] | None = None,
        activation: str = "relu",
    ) -> None:
        super().__init__(shape, 0, classes, hidden, channels, activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(..., classes)` of data `(..., *shape)`."""
        return at_least_float32(self.net(self.seen(x)))


class ClassEncoder(ClassNet):
    """Map images, or vectors, and one-hot classes to a diagonal Normal over codes.

    What the first layer makes of a datum is worked out once, however many classes it is joined
    with: of an image that is nearly all of the work.

    Args:
        shape: Shape of one datum: `(C, H, W)` of an image, or `(D,)` of a vector.
        classes: Number of classes.
        latent_dim: Number `K` of code coordinates.
        hidden: Widths of the hidden layers.
        channels: Channels of the convolutions that come first, of images alone; None for none.
        activation: Name of the activation.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        latent_dim: int,
        hidden: Sequence[int] = (512, 256),
        channels: Sequence[int] | None = None,
        activation: str = "relu",
    ) -> None:
        super().__init__(shape, classes, 2 * latent_dim, hidden, channels, activation)

    def forward(self, x: Tensor, label: Tensor) -> dist.Independent:
        """Return the Normal, event `(K,)`, of data `(..., *shape)` and classes `(..., classes)`.

        Leading dims of both broadcast.
        """
        seen = self.seen(x)
        first = cast(nn.Linear, self.net[0])
        width = seen.shape[-1]
        of_data = linear(seen, first.weight[:, :width], first.bias)
        joined = of_data + linear(label.to(seen.dtype), first.weight[:, width:])
        return diagonal_normal(self.net[1:](joined))


class NormalVector(nn.Module):
    """Map codes to a diagonal Normal over vectors, such as the codes of another model.

    Args:
        latent_dim: Number of values that a code has.
        outputs: Number `D` of values of a vector.
        hidden: Widths of the hidden layers.
        activation: Name of the activation.
    """

    def __init__(
        self,
        latent_dim: int,
        outputs: int,
        hidden: Sequence[int] = (256, 512),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.net = mlp((latent_dim, *hidden, 2 * outputs), activation)

    def forward(self, z: Tensor) -> dist.Independent:
        """Return the Normal, event `(D,)`, of codes `(..., latent_dim)`."""
        return diagonal_normal(self.net(z))
