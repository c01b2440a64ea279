"""Bernoulli likelihoods: of binary images, and the cross-entropy habit for grey ones."""

from typing import ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from .likelihood import Likelihood

MEAN_MARGIN = 1e-6


class Bernoulli(Likelihood):
    """Independent binary pixels, from logits."""

    name = "bernoulli"
    discrete_levels = 2

    def forward(self, raw: Tensor) -> dist.Independent:
        """Return the distribution, event `(C, H, W)`, for logits `raw` `(..., C, H, W)`."""
        return dist.Bernoulli(logits=raw).to_event(3)

    def mean(self, raw: Tensor) -> Tensor:
        """Return the probabilities `(..., C, H, W)` of a one."""
        return raw.sigmoid()

    def from_mean(self, mean: Tensor) -> dist.Independent:
        """Return the distribution of mean `(..., C, H, W)`, kept 1e-6 away from 0 and 1."""
        return self(torch.logit(mean, eps=MEAN_MARGIN))

    def check(self, x: Tensor) -> None:
        """Raise `ValueError` unless all values are 0 or 1."""
        super().check(x)
        grey = x[(x != 0) & (x != 1)]
        if len(grey):
            raise ValueError(
                f"x has {len(grey)} grey values of {x.numel()}, such as {float(grey[0]):g}; "
                "bernoulli expects 0 or 1. "
                "Use `--set likelihood=continuous-bernoulli` or `--binarise dynamic`."
            )


class CrossEntropy(dist.Bernoulli):
    """A Bernoulli whose `log_prob` takes grey values in [0, 1]: minus the binary cross-entropy.

    It is no log-density of grey values: `exp(log_prob)` does not integrate to one over [0, 1].
    Samples are binary.
    """

    support = constraints.unit_interval
    has_enumerate_support = False


class BernoulliGrey(Bernoulli):
    """The field's habit of a binary cross-entropy on grey images; not a likelihood.

    Its numbers are no log-likelihoods (Loaiza-Ganem & Cunningham 2019,
    https://arxiv.org/abs/1907.06845); `ContinuousBernoulli` has the missing constant.
    """

    name = "bernoulli-grey"
    is_likelihood: ClassVar[bool] = False
    discrete_levels = None

    def forward(self, raw: Tensor) -> dist.Independent:
        """Return the cross-entropy, event `(C, H, W)`, for logits `raw` `(..., C, H, W)`."""
        return CrossEntropy(logits=raw).to_event(3)

    def check(self, x: Tensor) -> None:
        """Raise `ValueError` unless all values are in [0, 1]."""
        Likelihood.check(self, x)
