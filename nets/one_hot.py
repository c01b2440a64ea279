"""One-hot classes that also score shares of classes."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints


class OneHot(dist.OneHotCategorical):
    """One-hot classes; shares of classes, such as a softmax gives, are scored too.

    `log_prob(y) = sum_c y_c log p_c`, that of the class where `y` is one-hot. Samples are drawn
    without a look at them on the host, so that a step that draws some can be recorded.

    Args:
        probs: Probabilities `(..., classes)`.
        logits: Their logarithms up to a constant, in place of `probs`.
    """

    support = constraints.simplex  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw one-hot rows `(*sample_shape, *batch_shape, classes)`."""
        index = self._categorical.sample(torch.Size(sample_shape))
        rows = self.logits.new_zeros(*index.shape, *self.event_shape)
        return rows.scatter(-1, index.unsqueeze(-1), 1.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log probability, batch shape, of one-hot rows or of shares."""
        if self._validate_args:
            self._validate_sample(value)
        impossible = self.logits == -torch.inf  # which times a share of 0 is no number
        finite = torch.where(impossible & (value == 0), 0, self.logits)
        return (value * finite).sum(-1)
