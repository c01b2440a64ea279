"""Images of which a part is given: a distribution of the rest, and a decoder that ends with it."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Independent, constraints

from .conditional import joined
from .conditions import ObservedCondition
from .decoder import Decoder

_NO_SHAPE = torch.Size()


class Completion(dist.TorchDistribution):
    """Whole images whose observed pixels are given; the density is that of the hidden ones alone.

    `log_prob(x)` is that of the hidden pixels of `x`: its observed pixels are not looked at.
    Samples and means have the given pixels in their place.

    Args:
        whole: Independent pixels, event `(C, H, W)`.
        hidden: Bool `(H, W)`, true where pixels are not observed.
        given: Images `(..., C, H, W)`, whose observed pixels are given.

    Raises:
        ValueError: If the pixels of `whole` are not independent.
    """

    def __init__(self, whole: Any, hidden: Tensor, given: Tensor) -> None:
        if not isinstance(whole, Independent) or whole.reinterpreted_batch_ndims != 3:
            raise ValueError(
                f"whole is {type(whole).__name__}; expected independent pixels, of which some can "
                "be left out. Choose bernoulli, continuous-bernoulli, normal or normal-learned."
            )
        self.whole, self.hidden, self.given = whole, hidden, given
        # By this name others find the mask, and that the pixels are not all counted.
        self.base_dist = whole.base_dist.mask(hidden).to_event(3)  # pyright: ignore
        super().__init__(whole.batch_shape, whole.event_shape, validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """None: those of `whole` hold."""
        return {}

    @property
    def support(self) -> constraints.Constraint:
        """Images as those of `whole`."""
        return self.whole.support  # pyright: ignore

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Completion":
        """Return the distribution with the batch shape `batch_shape`."""
        return Completion(self.whole.expand(torch.Size(batch_shape)), self.hidden, self.given)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density of the hidden pixels of images, batch shape, nats."""
        return self.base_dist.log_prob(value)

    def sample(self, sample_shape: Any = _NO_SHAPE) -> Tensor:
        """Draw the hidden pixels, `(*sample_shape, ..., C, H, W)`."""
        return self._completed(self.whole.sample(torch.Size(sample_shape)))

    @property
    def mean(self) -> Tensor:
        """The mean of the hidden pixels among the given ones, `(..., C, H, W)`."""
        return self._completed(self.whole.mean)

    def _completed(self, images: Tensor) -> Tensor:
        return torch.where(self.hidden, images, self.given)


class CompletingDecoder(nn.Module):
    """Decode a code and the observed part of an image to a distribution of the hidden part.

    Args:
        decoder: Decodes codes and vectors of the condition, `(..., K + E)`; its likelihood is of
            independent pixels.
        condition: Turns the observed part into a vector.
    """

    def __init__(self, decoder: Decoder, condition: ObservedCondition) -> None:
        super().__init__()
        self.decoder, self.condition = decoder, condition

    def forward(self, z: Tensor, condition: Tensor) -> Completion:
        """Return the distribution, event `(C, H, W)`, for codes `(..., K)` and images."""
        whole = self.decoder(joined(z, self.condition(condition)))
        return Completion(whole, self.condition.hidden, condition)
