"""Transforms of a batch, drawn anew at every step: `(x, generator) -> x`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional

Transform = Callable[[Tensor, Generator], Tensor]


@dataclass(frozen=True)
class Binarise:
    """Make the pixels 0 or 1.

    `dynamic` draws each pixel with its grey value as the probability of 1, anew at every step
    (Burda et al. 2016, https://arxiv.org/abs/1509.00519, section 5), rounded up to 16 bits;
    `threshold` cuts at 0.5.

    Raises:
        ValueError: If `how` is none of these.
    """

    how: Literal["dynamic", "threshold"]

    def __post_init__(self) -> None:
        if self.how not in ("dynamic", "threshold"):
            raise ValueError(f"how is {self.how!r}; expected 'dynamic' or 'threshold'")

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return `x`, float in [0, 1], with values 0 and 1 only, in its shape."""
        if self.how == "threshold":
            return (x >= 0.5).to(x.dtype)
        level = torch.add(x.new_tensor(-32768.0), x, alpha=65536)
        return torch.gt(level, _words(x, generator), out=torch.empty_like(x))


def _words(x: Tensor, generator: Generator) -> Tensor:
    """Draw uniform 16-bit integers in the shape of `x`, four at a time, for speed."""
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
    draws.random_(-(2**63), None, generator=generator)
    return draws.view(torch.int16)[: x.numel()].view(x.shape)


@dataclass(frozen=True)
class RandomAffine:
    """Rotate, scale and shift each image about its centre, bilinearly, with black coming in.

    The frames of a sequence move as one.

    Args:
        degrees: Angles are uniform in [-degrees, degrees].
        translate: Shifts are uniform in [-translate, translate], as a share of the width and of
            the height.
        scale: Sizes are uniform between these two; 1 leaves the size as it is.

    Raises:
        ValueError: If a range is negative, or the scale not positive.
    """

    degrees: float = 20.0
    translate: float = 0.1
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("degrees", "translate"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 0")
        low, high = self.scale
        if not 0 < low <= high < math.inf:
            raise ValueError(f"scale is {self.scale}; expected (low, high) with 0 < low <= high")

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return `x`, `(B, ..., C, H, W)`, with each datum moved in its own way."""
        draws = torch.rand(4, len(x), generator=generator, device=x.device)
        angle = math.radians(self.degrees) * (2 * draws[0] - 1)
        shift = self.translate * (2 * draws[1:3] - 1)
        low, high = self.scale
        return affine(x, angle, shift.T, low + (high - low) * draws[3])


def affine(x: Tensor, angle: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Rotate, scale and then shift images about their centre.

    Args:
        x: Images `(B, ..., C, H, W)`.
        angle: Radians, anticlockwise as seen, `(B,)`.
        shift: To the right and down, as a share of the width and the height, `(B, 2)`.
        scale: Size relative to the original, `(B,)`.
    """
    height, width = x.shape[-2:]
    cos, sin = angle.cos() / scale, angle.sin() / scale
    right, down = 2 * shift[:, 0], 2 * shift[:, 1]  # the grid runs from -1 to 1
    tall = height / width
    # Rows say where a pixel of the result comes from: the inverse motion, in units of half a side.
    rows = [
        torch.stack([cos, -sin * tall, -cos * right + sin * tall * down], -1),
        torch.stack([sin / tall, cos, -sin / tall * right - cos * down], -1),
    ]
    flat = x.flatten(1, -3)  # frames move as one, so they are channels here
    grid = functional.affine_grid(torch.stack(rows, 1), list(flat.shape), align_corners=False)
    return functional.grid_sample(flat, grid, align_corners=False).view(x.shape)
