"""Normal likelihoods: with a fixed scale, and with one learned scale per channel."""

from math import log

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from .likelihood import Likelihood

SMALLEST_SCALE, LARGEST_SCALE = 1e-3, 1.0


class NormalPixels(Likelihood):
    """Independent Normal pixels; subclasses give `pixel_scale`."""

    def pixel_scale(self) -> Tensor:
        """Return the scale, which broadcasts to `(C, H, W)`."""
        raise NotImplementedError

    def forward(self, raw: Tensor) -> dist.Independent:
        """Return the distribution, event `(C, H, W)`, of loc `raw` `(..., C, H, W)`."""
        return dist.Normal(raw, self.pixel_scale()).to_event(3)

    def mean(self, raw: Tensor) -> Tensor:
        """Return the loc `(..., C, H, W)`, cut to [0, 1]."""
        return raw.clamp(0, 1)

    def location(self, raw: Tensor) -> Tensor:
        """Return the loc `(..., C, H, W)` as it is: a cut one would have no gradient outside."""
        return raw

    def from_mean(self, mean: Tensor) -> dist.Independent:
        """Return the distribution of loc `mean` `(..., C, H, W)`."""
        return self(mean)


class Normal(NormalPixels):
    """Independent Normal pixels of one fixed scale; a density on the whole line.

    Args:
        channels: Number `C` of image channels.
        scale: Standard deviation of every pixel, in units of the image range; positive.

    Raises:
        ValueError: If `scale` is not positive.
    """

    name = "normal"
    scale: Tensor

    def __init__(self, channels: int, scale: float = 0.1) -> None:
        super().__init__(channels)
        if not 0 < scale < float("inf"):
            raise ValueError(
                f"scale is {scale}; expected a positive number. "
                "Choose one near the noise of a pixel, such as 0.1."
            )
        self.register_buffer("scale", torch.tensor(float(scale)), persistent=False)

    def pixel_scale(self) -> Tensor:
        """Return the one scale, `()`."""
        return self.scale


class NormalLearned(NormalPixels):
    """Independent Normal pixels with one learned scale per channel.

    The scale stays between 0.001 and 1: a free one gives unbounded densities to pixels that never
    change (Mattei & Frellsen 2018, https://arxiv.org/abs/1802.04826), and rounding to 8 bits alone
    has a standard deviation of 0.0011.

    Args:
        channels: Number `C` of image channels.
        scale: Standard deviation to start from, in units of the image range; in (0.001, 1).

    Raises:
        ValueError: If `scale` is not in this range.
    """

    name = "normal-learned"

    def __init__(self, channels: int, scale: float = 0.1) -> None:
        super().__init__(channels)
        if not SMALLEST_SCALE < scale < LARGEST_SCALE:
            raise ValueError(
                f"scale is {scale}; expected a number in ({SMALLEST_SCALE}, {LARGEST_SCALE:g}). "
                "Choose one near the noise of a pixel, such as 0.1."
            )
        fraction = log(scale / SMALLEST_SCALE) / log(LARGEST_SCALE / SMALLEST_SCALE)
        start = torch.full((channels, 1, 1), fraction).logit()
        self.log_scale_logits = nn.Parameter(start)

    def pixel_scale(self) -> Tensor:
        """Return the scale of each channel, `(C, 1, 1)`."""
        fraction = self.log_scale_logits.sigmoid()
        return SMALLEST_SCALE * (log(LARGEST_SCALE / SMALLEST_SCALE) * fraction).exp()
