"""One net per coordinate of a code, which tells that coordinate from all the others."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .activations import activation as make_activation
from .activations import at_least_float32, gain_of


class LeaveOneOut(nn.Module):
    """Predict each coordinate of a code from the others, with a fully connected net for each.

    The nets run side by side, as one product per layer. Their last layers start at zero, and so
    do the predictions.

    Args:
        size: Number `K` of coordinates, at least 2.
        hidden: Widths of each net's hidden layers; none for linear predictors.
        activation: Name of the activation.

    Raises:
        ValueError: If there are fewer than two coordinates, or no activation of this name.
    """

    others: Tensor

    def __init__(
        self, size: int, hidden: Sequence[int] = (64, 64), activation: str = "leaky-relu"
    ) -> None:
        super().__init__()
        if size < 2:
            raise ValueError(
                f"size is {size}; expected at least 2 coordinates, of which each is told from the "
                "others"
            )
        self.size = size
        self.activation = make_activation(activation)
        sizes = [size, *hidden, 1]
        shapes = list(pairwise(sizes))
        self.weights = nn.ParameterList(torch.empty(size, *shape) for shape in shapes)
        self.biases = nn.ParameterList(torch.zeros(size, 1, width) for width in sizes[1:])
        self.register_buffer("others", 1.0 - torch.eye(size).unsqueeze(-1), persistent=False)
        for i, (fan_in, fan_out) in enumerate(shapes):
            inputs = fan_in - 1 if i == 0 else fan_in  # one coordinate is masked
            spread = gain_of(activation) * (6.0 / (inputs + fan_out)) ** 0.5  # Glorot & Bengio
            nn.init.uniform_(self.weights[i], -spread, spread)
        nn.init.zeros_(self.weights[-1])

    def forward(self, codes: Tensor) -> Tensor:
        """Return what the nets make of codes `(n, K)`: `(n, K)`.

        Raises:
            ValueError: If the codes have another number of coordinates.
        """
        if codes.dim() != 2 or codes.shape[1] != self.size:
            raise ValueError(
                f"codes have shape {tuple(codes.shape)}; expected (n, {self.size}), for which the "
                "predictors were made"
            )
        first = (self.weights[0] * self.others).transpose(0, 1).flatten(1)
        values = (codes @ first).unflatten(1, (self.size, -1)).transpose(0, 1) + self.biases[0]
        for weight, bias in zip(list(self.weights)[1:], list(self.biases)[1:], strict=True):
            values = torch.baddbmm(bias, self.activation(values), weight)
        return at_least_float32(values.squeeze(-1).T)
