"""Skip connections: what an encoder's convolutions see goes to the decoder beside the code.

The maps are part of the code, behind its other coordinates, so that whoever has the code can
decode it. They have places, and so carry where things are: that is their leak.

Source: the skip connections of DrNet's code, https://github.com/edenton/drnet-py, after
Ronneberger et al. (2015), https://arxiv.org/abs/1505.04597.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import cast

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from .activations import activation as make_activation
from .activations import at_least_float32, gain_of, initialise, spread_codes
from .decoder import Decoder
from .frames import Trunk
from .likelihood import Likelihood
from .mlp import mlp
from .shapes import Shape


class SkipEncoder(nn.Module):
    """Map a frame to a point: a code as that of `FrameEncoder`, and the maps of every stage.

    Of a clip it is that of its first frame: several maps have no mean that shows one frame.

    Args:
        trunk: A convolutional trunk, as `conv_trunk` makes it.
        latent_dim: Number `F` of coordinates of the code proper.
        hidden: Widths of the hidden layers from the features to it.
        activation: Name of the activation.

    Attributes:
        map_shapes: `(D, h, w)` of each stage's map, from the frame on.
        code_dim: `F` and the numbers of all maps.

    Raises:
        ValueError: If the trunk has no convolutions.
    """

    def __init__(
        self,
        trunk: Trunk,
        latent_dim: int,
        hidden: Sequence[int] = (128,),
        activation: str = "leaky-relu",
    ) -> None:
        super().__init__()
        stages = [layer for layer in trunk.net.children() if isinstance(layer, nn.Conv2d)]
        if not stages:
            raise ValueError(
                "the trunk has no convolutions; expected some, whose maps are handed on. "
                "Make it by conv_trunk"
            )
        self.trunk, self.latent_dim = trunk, latent_dim
        self.head = mlp((prod(trunk.feature_shape), *hidden, latent_dim), activation)
        with torch.no_grad():
            maps = self._maps(torch.zeros(1, *trunk.shape))
        self.map_shapes: list[Shape] = [(m.shape[1], m.shape[2], m.shape[3]) for m in maps]
        self.code_dim = latent_dim + sum(map(prod, self.map_shapes))

    def _maps(self, frames: Tensor) -> list[Tensor]:
        """The activated maps of every stage, of frames `(M, C, H, W)`."""
        maps: list[Tensor] = []
        layers = list(self.trunk.net.children())
        for layer, following in pairwise([*layers, None]):
            frames = cast(nn.Module, layer)(frames)
            if following is None or isinstance(following, nn.Conv2d):
                maps.append(frames)
        return maps

    def forward(self, x: Tensor, mask: Tensor | None = None) -> dist.Delta:
        """Return the code, batch `(..., 1)` and event `(code_dim,)`, of clips `(..., N, C, H, W)`.

        Args:
            x: The frames, of which the first is looked at.
            mask: Not looked at, since the first frame is a true one.
        """
        first = x[..., 0, :, :, :]
        maps = self._maps(first.reshape(-1, *self.trunk.shape))
        code = self.head(maps[-1].flatten(1))
        joint = at_least_float32(torch.cat([code, *(m.flatten(1) for m in maps)], -1))
        return dist.Delta(joint.view(*first.shape[:-3], 1, self.code_dim), event_dim=1)


class SkipDecoder(Decoder):
    """Decode a code, a pose and an encoder's maps, each map where the image has its size.

    Args:
        latent_dim: Number `F` of coordinates of the code proper.
        map_shapes: `(D, h, w)` of each map, from the frame on, as `SkipEncoder` has them.
        pose_dim: Number `Z` of coordinates of the pose.
        shape: Channels, height and width `(C, H, W)` of an image.
        likelihood: Turns the net's outputs into the distribution; made for `C` channels.
        hidden: Width of the linear layer before the stages.
        activation: Name of the activation.
        code_spread: As of `ConvDecoder`.
    """

    def __init__(
        self,
        latent_dim: int,
        map_shapes: Sequence[Shape],
        pose_dim: int,
        shape: Shape,
        likelihood: Likelihood,
        hidden: int = 256,
        activation: str = "leaky-relu",
        code_spread: float = 0.0,
    ) -> None:
        maps = sum(map(prod, map_shapes))
        super().__init__(latent_dim + maps + pose_dim, shape, likelihood)
        self.sizes = (latent_dim, maps, pose_dim)
        self.map_shapes = list(map_shapes)
        gain = gain_of(activation)
        self.activation = make_activation(activation)
        self.head = nn.Sequential(
            initialise(nn.Linear(latent_dim + pose_dim, hidden), gain),
            make_activation(activation),
            initialise(nn.Linear(hidden, prod(map_shapes[-1])), gain),
        )
        if code_spread:
            spread_codes(cast(nn.Linear, self.head[0]), code_spread)
        outputs = [self.raw_shape, *map_shapes][:-1]
        self.stages = nn.ModuleList(
            _upsample(here, there)
            for here, there in zip(self.map_shapes[::-1], outputs[::-1], strict=True)
        )
        for stage in self.stages[:-1]:
            initialise(stage, gain)
        initialise(self.stages[-1])

    def raw(self, z: Tensor) -> Tensor:
        """Return the likelihood's input `(..., P, H, W)` for codes `z` `(..., F + maps + Z)`."""
        code, flat, pose = z.reshape(-1, self.latent_dim).split(self.sizes, -1)
        maps = flat.split([prod(shape) for shape in self.map_shapes], -1)
        image = self.head(torch.cat([code, pose], -1)).view(-1, *self.map_shapes[-1])
        for stage, shape, own in zip(self.stages, self.map_shapes[::-1], maps[::-1], strict=True):
            image = stage(torch.cat([self.activation(image), own.view(-1, *shape)], 1))
        return at_least_float32(image).view(z.shape[:-1] + self.raw_shape)


def _upsample(here: Shape, there: Shape) -> nn.ConvTranspose2d:
    """The transposed convolution from two maps of one size to one of the next larger size."""
    odd = (there[1] - 2 * here[1], there[2] - 2 * here[2])
    return nn.ConvTranspose2d(2 * here[0], there[0], 4, stride=2, padding=1, output_padding=odd)
