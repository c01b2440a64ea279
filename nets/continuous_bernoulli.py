r"""The continuous Bernoulli likelihood of grey images.

\[ p(x) = C(\eta)\, e^{\eta x}, \quad x \in [0, 1] \] for a logit \(\eta\). With
\(B(\eta) = \log(\sinh(\eta/2) / (\eta/2))\), an even function,
\[ \log p(x) = (x - 1/2)\,\eta - B(\eta), \quad E[x] = 1/2 + B'(\eta), \quad Var[x] = B''(\eta). \]
Near \(\eta = 0\) (probability 1/2) the closed forms lose all digits; a Taylor series takes over.

Source: Loaiza-Ganem & Cunningham (2019), https://arxiv.org/abs/1907.06845, eq. 7 and 8.
"""

from collections.abc import Sequence

import pyro.distributions as dist
import torch
from torch import Tensor

from .likelihood import Likelihood

TAYLOR_RADIUS = 0.5
MEAN_MARGIN = 1e-4
NEWTON_STEPS = 3

# Taylor coefficients of B, B' / eta and B'' in powers of eta ** 2; B starts at eta ** 2. Inside
# the radius the first term left out is below 1e-13.
_B = (1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800, 1 / 479001600)
_B_PRIME = tuple(2 * k * b for k, b in enumerate(_B, start=1))
_B_SECOND = tuple((2 * k - 1) * b for k, b in enumerate(_B_PRIME, start=1))


def log_normaliser(logits: Tensor) -> Tensor:
    """Return `B`, the log-normaliser of logits about x = 1/2; any shape, elementwise."""
    small, near, far = _split(logits)
    square = near.square()
    closed = far / 2 + (-torch.expm1(-far) / far).log()
    return torch.where(small, square * _polynomial(square, _B), closed)


def mean_of_logits(logits: Tensor) -> Tensor:
    """Return the mean in (0, 1); it is not `sigmoid(logits)`. Any shape, elementwise."""
    small, near, far = _split(logits)
    tail = 1 / far + (-far).exp() / torch.expm1(-far)
    closed = torch.where(logits > 0, 1 - tail, tail)
    return torch.where(small, 0.5 + near * _polynomial(near.square(), _B_PRIME), closed)


def variance_of_logits(logits: Tensor) -> Tensor:
    """Return the variance in (0, 1/12]; any shape, elementwise."""
    small, near, far = _split(logits)
    closed = far.reciprocal().square() - (-far).exp() / torch.expm1(-far).square()
    return torch.where(small, _polynomial(near.square(), _B_SECOND), closed)


def logits_of_mean(mean: Tensor) -> Tensor:
    """Return the logits whose mean is `mean`, kept 1e-4 away from 0 and 1; elementwise.

    The start is Cohen's (1991) approximation of the inverse Langevin function, within 5 %; each
    Newton step squares the relative error. The last step carries the gradient, which is that of
    the inverse function.
    """
    mean = mean.clamp(MEAN_MARGIN, 1 - MEAN_MARGIN)
    with torch.no_grad():
        y = 2 * mean - 1
        logits = 2 * y * (3 - y.square()) / (1 - y.square())
        for _ in range(NEWTON_STEPS):
            logits = logits - (mean_of_logits(logits) - mean) / variance_of_logits(logits)
        error, slope = mean_of_logits(logits), variance_of_logits(logits)
    return logits - (error - mean) / slope


class ContinuousBernoulliLogits(dist.ContinuousBernoulli):
    """Torch's continuous Bernoulli, computed from its logits: right also near 0 and far out.

    Not so `cdf`, which is torch's own, of probabilities that are kept away from 0 and 1.
    """

    @property
    def mean(self) -> Tensor:
        """The mean, which is not the parameter `probs`."""
        return mean_of_logits(self.logits)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return variance_of_logits(self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density in nats of `value` in [0, 1]."""
        if self._validate_args:
            self._validate_sample(value)
        return (value - 0.5) * self.logits - log_normaliser(self.logits)

    def entropy(self) -> Tensor:
        """Return the differential entropy in nats."""
        return log_normaliser(self.logits) - (self.mean - 0.5) * self.logits

    def icdf(self, value: Tensor) -> Tensor:
        """Return the quantile of the probability `value`; reparameterised samples come from it."""
        small, near, far = _split(self.logits, radius=1e-2)
        upper = self.logits > 0
        tail = torch.where(upper, 1 - value, value)
        # Where expm1 rounds to -1, the last of the tail would be infinitely far.
        quantile = (-torch.log1p(tail * torch.expm1(-far)) / far).clamp(0, 1)
        closed = torch.where(upper, 1 - quantile, quantile)
        spread = value * (1 - value) * near
        series = value + spread / 2 + spread * near * (1 - 2 * value) / 6
        return torch.where(small, series, closed)


class ContinuousBernoulli(Likelihood):
    """Independent grey pixels with values in [0, 1], from logits; a density."""

    name = "continuous-bernoulli"

    def forward(self, raw: Tensor) -> dist.Independent:
        """Return the distribution, event `(C, H, W)`, for logits `raw` `(..., C, H, W)`."""
        return ContinuousBernoulliLogits(logits=raw).to_event(3)

    def mean(self, raw: Tensor) -> Tensor:
        """Return the means `(..., C, H, W)` for logits `(..., C, H, W)`."""
        return mean_of_logits(raw)

    def from_mean(self, mean: Tensor) -> dist.Independent:
        """Return the distribution of mean `(..., C, H, W)`, kept 1e-4 away from 0 and 1."""
        return self(logits_of_mean(mean))


def _split(logits: Tensor, radius: float = TAYLOR_RADIUS) -> tuple[Tensor, Tensor, Tensor]:
    """Return where a series holds, the logits for the series, and `|logits|` for the closed form.

    The latter two are harmless constants where the other form holds: a branch that `torch.where`
    drops must still have a finite gradient.
    """
    size = logits.abs()
    return size < radius, logits.clamp(-radius, radius), size.clamp(min=radius)


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Evaluate `sum(c[k] * x ** k)` by Horner's rule."""
    total = coefficients[-1] * x + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        total = total * x + coefficient
    return total
