r"""The mixture of discretised logistics: a likelihood of 8-bit grey and colour images.

\[ p(x) = \prod_{pixels} \sum_m \pi_m \prod_c p_m(x_c \mid x_{<c}) \]
Every factor is the mass that a logistic gives to one of the 256 levels; the lowest and the highest
level take the tails. The loc of a channel is linear in the channels before it.

Source: Salimans et al. (2017), https://arxiv.org/abs/1701.05517, eq. 2 and 3. Deviations: the
masses are computed exactly, without the paper's approximation for narrow logistics, and the scale
is a softplus.
"""

import pyro.distributions as dist
import torch
from torch import Size, Tensor
from torch.distributions import constraints
from torch.distributions.utils import clamp_probs
from torch.nn import functional
from torch.types import _size

from .likelihood import Likelihood

LEVELS = 256
HALF_BIN = 1 / (LEVELS - 1)  # of images mapped to [-1, 1]
SCALE_FLOOR = 1e-3  # of images mapped to [-1, 1]: an eighth of a level
LEVEL_TOLERANCE = 1e-3  # in levels


def is_level(x: Tensor) -> Tensor:
    """Return which values are `k / 255` for an integer `k` in 0..255."""
    level = x * (LEVELS - 1)
    return ((level - level.round()).abs() < LEVEL_TOLERANCE) & (x >= 0) & (x <= 1)


class _Levels(constraints.Constraint):
    """Images whose values are all `k / 255`."""

    is_discrete = True
    event_dim = 3

    def check(self, value: Tensor) -> Tensor:
        return is_level(value).flatten(-3).all(-1)


_LEVELS = _Levels()
_NO_SHAPE = Size()


class DiscretisedLogisticMixture(dist.TorchDistribution):
    """Images of 256 levels, `k / 255`; each pixel a mixture of discretised logistics.

    Locs and scales are in units of images mapped to [-1, 1].

    Args:
        logits: Of the `M` components, `(..., M, H, W)`; need not be normalised.
        loc: `(..., M, C, H, W)`.
        scale: Positive, `(..., M, C, H, W)`.
        coefficients: Of the earlier channels in each channel's loc, `(..., M, C(C-1)/2, H, W)`, in
            the order (1, 0), (2, 0), (2, 1), ... of (channel, earlier channel).
    """

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        scale: Tensor,
        coefficients: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        self.logits, self.loc, self.scale, self.coefficients = logits, loc, scale, coefficients
        super().__init__(loc.shape[:-4], loc.shape[-3:], validate_args=validate_args)

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """What the arguments must satisfy."""
        real = constraints.real
        positive = constraints.positive
        return {"logits": real, "loc": real, "scale": positive, "coefficients": real}

    @property
    def support(self) -> constraints.Constraint:
        """Images whose values are all `k / 255`."""
        return _LEVELS

    def expand(
        self, batch_shape: _size, _instance: dist.Distribution | None = None
    ) -> "DiscretisedLogisticMixture":
        """Return the distribution with the batch shape `batch_shape`."""
        if _instance is not None:
            raise NotImplementedError("subclasses of DiscretisedLogisticMixture define expand")
        batch_shape = Size(batch_shape)
        return DiscretisedLogisticMixture(
            self.logits.expand(batch_shape + self.logits.shape[-3:]),
            self.loc.expand(batch_shape + self.loc.shape[-4:]),
            self.scale.expand(batch_shape + self.scale.shape[-4:]),
            self.coefficients.expand(batch_shape + self.coefficients.shape[-4:]),
            validate_args=self._validate_args,
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability in nats of images `value` `(..., C, H, W)`."""
        return self.log_prob_by_pixel(value).sum((-2, -1))

    def log_prob_by_pixel(self, value: Tensor) -> Tensor:
        """Return the log-probability `(..., H, W)` in nats of each pixel, all its channels."""
        if self._validate_args:
            self._validate_sample(value)
        value = value.unsqueeze(-4)
        x = 2 * value - 1
        locs = [
            _conditional_loc(self.loc, self.coefficients, x[..., :c, :, :])
            for c in range(self.event_shape[0])
        ]
        distance = x - torch.stack(torch.broadcast_tensors(*locs), -3)
        # With a and b at a bin's ends: sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 -
        # exp(b - a)), of which the lowest bin keeps the first factor and the highest the second.
        below = functional.logsigmoid((distance + HALF_BIN) / self.scale)
        above = functional.logsigmoid((HALF_BIN - distance) / self.scale)
        inside = below + above + (-torch.expm1(-2 * HALF_BIN / self.scale)).log()
        log_mass = torch.where(value > 1 - HALF_BIN / 2, above, inside)
        log_mass = torch.where(value < HALF_BIN / 2, below, log_mass)
        per_pixel = self.logits.log_softmax(-3) + log_mass.sum(-3)
        return per_pixel.logsumexp(-3)

    def sample(self, sample_shape: _size = _NO_SHAPE) -> Tensor:
        """Draw images `(*sample_shape, ..., C, H, W)`."""
        with torch.no_grad():
            every = self.expand(Size(sample_shape) + self.batch_shape)
            gumbel = -torch.empty_like(every.logits).exponential_().log()
            component = (every.logits + gumbel).argmax(-3, keepdim=True).unsqueeze(-3)
            loc, scale, coefficients = (
                parameter.take_along_dim(component, -4).squeeze(-4)
                for parameter in (every.loc, every.scale, every.coefficients)
            )
            noise = scale * clamp_probs(torch.rand_like(loc)).logit()
            value = loc[..., :0, :, :]
            for c in range(self.event_shape[0]):
                channel = _conditional_loc(loc, coefficients, 2 * value - 1) + noise[..., c, :, :]
                value = torch.cat([value, _nearest_level(channel).unsqueeze(-3)], -3)
            return value

    @property
    def mean(self) -> Tensor:
        """The mean images `(..., C, H, W)` in [0, 1], to about half a level.

        It is that of continuous logistics cut to the range. The locs of later channels are taken
        at the means of the earlier ones, which leaves out how cutting bends that dependence.
        """
        x = self.loc[..., :0, :, :]
        for c in range(self.event_shape[0]):
            loc = _conditional_loc(self.loc, self.coefficients, x)
            channel = _mean_of_cut_logistic(loc, self.scale[..., c, :, :])
            x = torch.cat([x, channel.unsqueeze(-3)], -3)
        weights = self.logits.softmax(-3).unsqueeze(-3)
        return ((1 + (weights * x).sum(-4)) / 2).clamp(0, 1)


class DiscretisedLogistic(Likelihood):
    """A mixture of discretised logistics per pixel, for images of 8 bits per channel.

    Args:
        channels: Number `C` of image channels.
        components: Number `M` of mixture components per pixel.

    Raises:
        ValueError: If `components` is less than 1.
    """

    name = "discretised-logistic"
    discrete_levels = LEVELS

    def __init__(self, channels: int, components: int = 5) -> None:
        super().__init__(channels)
        if components < 1:
            raise ValueError(
                f"components is {components}; expected an integer of at least 1. Try 5."
            )
        self.components = components
        self._parts = (channels, channels, channels * (channels - 1) // 2, 1)
        self.raw_channels = components * sum(self._parts)

    def forward(self, raw: Tensor) -> DiscretisedLogisticMixture:
        """Return the distribution, event `(C, H, W)`, for outputs `raw` `(..., P, H, W)`.

        The `P` outputs are, for each component: `C` locs, `C` scales before their softplus,
        `C(C-1)/2` coefficients before their tanh, and one logit.
        """
        raw = raw.unflatten(-3, (self.components, -1))
        loc, scale, coefficients, logits = raw.split(self._parts, dim=-3)
        return DiscretisedLogisticMixture(
            logits=logits.squeeze(-3),
            loc=loc,
            scale=functional.softplus(scale) + SCALE_FLOOR,
            coefficients=coefficients.tanh(),
        )

    def mean(self, raw: Tensor) -> Tensor:
        """Return the mean images `(..., C, H, W)` for outputs `(..., P, H, W)`."""
        return self(raw).mean

    def check(self, x: Tensor) -> None:
        """Raise `ValueError` unless all values are `k / 255`."""
        super().check(x)
        other = x[~is_level(x)]
        if len(other):
            raise ValueError(
                f"x has {len(other)} values of {x.numel()} that are no k/255, such as "
                f"{float(other[0]):g}; {self.name} expects 8-bit levels. "
                "Use `--set likelihood=normal-learned`."
            )


def _conditional_loc(loc: Tensor, coefficients: Tensor, earlier: Tensor) -> Tensor:
    """Return the loc `(..., H, W)` of channel `c`, given the `c` channels before it."""
    c = earlier.shape[-3]
    start = c * (c - 1) // 2
    shift = (coefficients[..., start : start + c, :, :] * earlier).sum(-3)
    return loc[..., c, :, :] + shift


def _nearest_level(x: Tensor) -> Tensor:
    """Return the level `k / 255` nearest to `x`, which is in units of images mapped to [-1, 1]."""
    return ((x.clamp(-1, 1) + 1) / 2 * (LEVELS - 1)).round() / (LEVELS - 1)


def _mean_of_cut_logistic(loc: Tensor, scale: Tensor) -> Tensor:
    """Return the mean of a logistic cut to [-1, 1]: -1 plus the integral of `P(x > t)`."""
    return -1 + scale * (
        functional.softplus((loc + 1) / scale) - functional.softplus((loc - 1) / scale)
    )
