"""Bernoulli likelihoods: of binary images, and the cross-entropy habit for grey ones."""

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

from .likelihood import Likelihood

MEAN_MARGIN = 1e-6


class Bernoulli(Likelihood):
    """Independent binary pixels, from logits."""

    name = "bernoulli"
    discrete_levels = 2

    def forward(self, raw: Tensor) -> TorchDistributionMixin:
        """Return the distribution, event `(C, H, W)`, for logits `raw` `(..., C, H, W)`."""
        return dist.Bernoulli(logits=raw).to_event(3)

    def mean(self, raw: Tensor) -> Tensor:
        """Return the probabilities `(..., C, H, W)` of a one."""
        return raw.sigmoid()

    def from_mean(self, mean: Tensor) -> TorchDistributionMixin:
        """Return the distribution with probabilities `mean`, kept 1e-6 away from 0 and 1."""
        return self(torch.logit(mean, eps=MEAN_MARGIN))

    def check(self, x: Tensor) -> None:
        """Raise `ValueError` unless all values are 0 or 1."""
        super().check(x)
        grey = (x != 0) & (x != 1)
        count = int(grey.sum())
        if count:
            raise ValueError(
                f"x has {count} grey values of {x.numel()}, such as {float(x[grey][0]):g}; "
                "bernoulli expects 0 or 1. "
                "Use `--set likelihood=continuous-bernoulli` or `--binarise dynamic`."
            )
