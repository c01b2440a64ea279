"""A critic of a prediction, which may see the true label too."""

import torch
from torch import Tensor, nn

from .activations import at_least_float32, initialise


class PredictionCritic(nn.Module):
    """Tell an attribute from a prediction, and from the label where it is given.

    It is linear in `s`, and in `s` times each entry of the label's row, where `s` are the
    predicted probabilities, sharpened by `1 + |c|` with a learned `c`.

    Source: Zhang et al. (2018), section 3, https://arxiv.org/abs/1801.07593, who give it `s`,
    `s y` and `s (1 - y)` of a binary label.

    Args:
        classes: Number of classes of the prediction.
        outputs: Number of values of the attribute.
        beside: Number of classes of the label that comes along; 0 for none.
    """

    def __init__(self, classes: int, outputs: int = 2, beside: int = 0) -> None:
        super().__init__()
        # Not 0, where |c| has no slope: it would stay there.
        self.sharpness = nn.Parameter(torch.ones(1))
        self.linear = nn.Linear(classes * (1 + beside), outputs)
        initialise(self.linear)

    def forward(self, log_probabilities: Tensor, *label: Tensor) -> Tensor:
        """Return logits `(n, outputs)`.

        Args:
            log_probabilities: Of the prediction, `(n, classes)`.
            *label: One-hot rows `(n, beside)`, where the critic takes them.
        """
        sharp = torch.softmax((1.0 + self.sharpness.abs()) * log_probabilities, -1)
        parts = [sharp, *((sharp.unsqueeze(-1) * y.unsqueeze(-2)).flatten(1) for y in label)]
        return at_least_float32(self.linear(torch.cat(parts, -1)))
