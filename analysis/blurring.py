"""Real frames made softer, so that who learns from them minds what is shown, not how sharply."""

import torch
from torch import Tensor
from torch.nn import functional

_KERNEL = torch.tensor([1.0, 2.0, 1.0])  # binomial, of both axes
_SHARP = 0.2  # share of the frames that are left as they are
_NOISE = 0.1  # largest standard deviation


def blurred(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Blur most frames by random amounts, and give them noise.

    A fifth stays as it is. Every other frame is mixed, by an even share, with one of itself that a
    binomial filter of 3 x 3 pixels went over once or twice, and gets Normal noise whose standard
    deviation is even between 0 and 0.1.

    Args:
        frames: Floats `(..., C, H, W)` in [0, 1] on the CPU.
        generator: What is drawn, on the CPU.

    Returns:
        Frames of the same shape in [0, 1].
    """
    flat = frames.reshape(-1, *frames.shape[-3:])
    once = _filtered(flat)
    shares = torch.rand(4, len(flat), 1, 1, 1, generator=generator)
    softest = torch.where(shares[0] < 0.5, once, _filtered(once))
    noise = torch.randn(flat.shape, generator=generator) * shares[2] * _NOISE
    soft = torch.lerp(flat, softest, shares[1]) + noise
    return torch.where(shares[3] < _SHARP, flat, soft.clamp(0, 1)).view_as(frames)


def _filtered(frames: Tensor) -> Tensor:
    """Images `(N, C, H, W)` under the filter, whose borders are repeated beyond them."""
    channels = frames.shape[1]
    kernel = torch.outer(_KERNEL, _KERNEL) / _KERNEL.sum() ** 2
    padded = functional.pad(frames, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernel.expand(channels, 1, 3, 3), groups=channels)
