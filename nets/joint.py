"""Normals that are told from several inputs, some of the sequence and some of its frames."""

from collections.abc import Sequence
from functools import reduce
from operator import add

import pyro.distributions as dist
from torch import Tensor, nn

from .activations import activation as make_activation
from .activations import gain_of, initialise
from .encoder import diagonal_normal
from .mlp import mlp


class JointNormal(nn.Module):
    """Map inputs with different leading dims to one diagonal Normal.

    The first layer of a net on stacked inputs is a sum of one linear map of each. It is computed
    so: an input with fewer samples or without frames goes through its map once and is then added.

    Args:
        input_dims: Width of each input.
        latent_dim: Number `K` of code coordinates.
        hidden: Widths of the hidden layers; at least one.
        activation: Name of the activation.

    Raises:
        ValueError: If there is no input or no hidden layer.
    """

    def __init__(
        self,
        input_dims: Sequence[int],
        latent_dim: int,
        hidden: Sequence[int] = (256, 256),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if not input_dims or not hidden:
            raise ValueError(
                f"input_dims is {tuple(input_dims)} and hidden is {tuple(hidden)}; expected at "
                "least one width each. Give them."
            )
        first = initialise(nn.Linear(sum(input_dims), hidden[0]), gain_of(activation))
        self.first = nn.ModuleList(
            nn.Linear(width, hidden[0], bias=i == 0) for i, width in enumerate(input_dims)
        )
        weights = first.get_parameter("weight").detach().split(list(input_dims), 1)
        for layer, weight in zip(self.first, weights, strict=True):
            layer.get_parameter("weight").data.copy_(weight)
        self.first[0].get_parameter("bias").data.zero_()
        self.activation = make_activation(activation)
        self.rest = mlp((*hidden, 2 * latent_dim), activation)

    def forward(self, *inputs: Tensor) -> dist.Independent:
        """Return the Normal, event `(K,)`, of inputs whose leading dims broadcast.

        Args:
            *inputs: `(..., D)`, one per entry of `input_dims`.
        """
        parts = [layer(value) for layer, value in zip(self.first, inputs, strict=True)]
        return diagonal_normal(self.rest(self.activation(reduce(add, parts))))
