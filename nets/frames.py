"""Frames of sequences: features of each one, and which of them are true.

A trunk maps every frame by itself, whatever plates and samples lie on the left.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any

import torch
from pyro import poutine
from torch import Tensor, nn

from .activations import activation as make_activation
from .convolutional import conv_stages
from .mlp import mlp
from .shapes import Shape, check_image, check_shape


def frame_mask(length: Tensor | None, frames: int) -> Tensor | None:
    """Say which frames are true: bool `(B, N)` of lengths int64 `(B,)`; None where all are."""
    if length is None:
        return None
    return torch.arange(frames, device=length.device) < length.unsqueeze(-1)


def true_frames(mask: Any) -> AbstractContextManager[Any]:
    """Count only the true frames of the sites within; all where the mask is None."""
    return nullcontext() if mask is None else poutine.mask(mask=mask)


def join_codes(*codes: Tensor) -> Tensor:
    """Stack codes `(..., D)`, whose leading dims broadcast, to `(..., D + ...)`."""
    lead = torch.broadcast_shapes(*(code.shape[:-1] for code in codes))
    return torch.cat([code.expand(*lead, code.shape[-1]) for code in codes], -1)


class Trunk(nn.Module):
    """Map frames `(..., C, H, W)` to features `(..., D, h, w)`.

    Args:
        shape: Channels, height and width `(C, H, W)` of a frame.
        net: Maps frames `(M, C, H, W)` to features `(M, D, h, w)`.
        feature_shape: `(D, h, w)`.
    """

    def __init__(self, shape: Shape, net: nn.Module, feature_shape: Shape) -> None:
        super().__init__()
        self.shape, self.feature_shape = check_shape(shape), check_shape(feature_shape)
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of frames.

        Raises:
            ValueError: If the frames are not of the trunk's shape.
        """
        check_image(x, self.shape)
        flat = self.net(x.reshape(-1, *self.shape))
        return flat.view(*x.shape[:-3], *self.feature_shape)


def conv_trunk(
    shape: Shape, channels: Sequence[int] = (32, 32, 64, 64), activation: str = "leaky-relu"
) -> Trunk:
    """Return a convolutional trunk; its features are maps of up to 4 x 4 places.

    Raises:
        ValueError: If a side is shorter than 8, or `channels` is empty.
    """
    layers, features = conv_stages(check_shape(shape), channels, activation)
    return Trunk(shape, nn.Sequential(*layers), features)


def mlp_trunk(
    shape: Shape, hidden: Sequence[int] = (512, 256), activation: str = "leaky-relu"
) -> Trunk:
    """Return a fully connected trunk, for frames of any size; its features have one place."""
    net = nn.Sequential(
        nn.Flatten(),
        mlp((prod(shape), *hidden), activation),
        make_activation(activation),
        nn.Unflatten(-1, (hidden[-1], 1, 1)),
    )
    return Trunk(shape, net, (hidden[-1], 1, 1))
