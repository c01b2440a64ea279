"""What every likelihood offers."""

from typing import ClassVar

import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn


class Likelihood(nn.Module):
    """Turn a decoder's outputs into a distribution of images in [0, 1].

    Attributes:
        name: Name in `LIKELIHOODS`.
        is_likelihood: Whether `log_prob` is a log-likelihood of the data at all.
        discrete_levels: Number of values of a pixel (2 or 256), or None for densities.
        raw_channels: Number `P` of channels that the decoder gives for `C` image channels.

    Args:
        channels: Number `C` of image channels.

    Raises:
        ValueError: If `channels` is less than 1.
    """

    name: ClassVar[str]
    is_likelihood: ClassVar[bool] = True
    discrete_levels: ClassVar[int | None] = None

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(
                f"channels is {channels}; expected an integer of at least 1. "
                "Give the number of channels of the images."
            )
        self.channels = channels
        self.raw_channels = channels

    def forward(self, raw: Tensor) -> TorchDistributionMixin:
        """Return the distribution, event `(C, H, W)`, for outputs `raw` `(..., P, H, W)`."""
        raise NotImplementedError

    def mean(self, raw: Tensor) -> Tensor:
        """Return the mean images `(..., C, H, W)`, in [0, 1], for outputs `(..., P, H, W)`."""
        raise NotImplementedError

    def location(self, raw: Tensor) -> Tensor:
        """Return the mean images `(..., C, H, W)` as `from_mean` takes them: not cut to [0, 1]."""
        return self.mean(raw)

    def from_mean(self, mean: Tensor) -> TorchDistributionMixin:
        """Return the distribution, event `(C, H, W)`, whose mean image is `mean`.

        Args:
            mean: Images `(..., C, H, W)` in [0, 1], such as warped means.

        Raises:
            ValueError: If a mean does not determine this likelihood.
        """
        raise ValueError(
            f"likelihood is {self.name}; expected one that a mean image determines, such as "
            "bernoulli, continuous-bernoulli or normal. Choose one of these."
        )

    def check(self, x: Tensor) -> None:
        """Raise `ValueError` where images lie outside the support.

        Args:
            x: Images `(..., C, H, W)`.
        """
        if not x.is_floating_point():
            raise ValueError(
                f"x is {x.dtype}; expected floats in [0, 1]. Divide 8-bit values by 255."
            )
        bad = int((~torch.isfinite(x)).sum())
        if bad:
            raise ValueError(
                f"x has {bad} NaN or infinite values of {x.numel()}; expected finite values. "
                "Leave those images out."
            )
        self._check_range(x)

    def _check_range(self, x: Tensor) -> None:
        if x.numel() == 0:
            return
        low, high = float(x.min()), float(x.max())
        if low >= 0 and high <= 1:
            return
        if low >= 0 and high <= 255:
            remedy = "Divide by 255."
        elif low >= -1 and high <= 1:
            remedy = "Map them with (x + 1) / 2."
        else:
            remedy = "Scale the images to [0, 1]."
        raise ValueError(
            f"the range of x is [{low:g}, {high:g}]; {self.name} expects [0, 1]. {remedy}"
        )
