"""A critic of pairs, which embeds both with one net and compares the embeddings."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from .activations import at_least_float32
from .critics import MLPCritic
from .mlp import mlp


class PairCritic(nn.Module):
    r"""Score two vectors by how they compare, whichever is the first.

    One net embeds both, as `p` and `q`; another scores \( (p q, (p - q)^2, p + q) \), coordinate
    by coordinate. A fully connected net on both vectors side by side (`MLPCritic`) has to find the
    comparison by itself.

    Args:
        size: Numbers of one of the two vectors.
        hidden: Widths of the shared net, whose last layer is the embedding, at least one; the
            hidden layer of the scoring net is as wide as the last.
        activation: Name of the activation, which does not follow the embedding.

    Raises:
        ValueError: If `hidden` is empty, or there is no activation of this name.
    """

    def __init__(
        self, size: int, hidden: Sequence[int] = (256, 128), activation: str = "relu"
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError(
                "hidden is (); expected one width at least, that of the embedding. Give it, or "
                "take MLPCritic"
            )
        self.embed = mlp((size, *hidden), activation)
        self.head = mlp((3 * hidden[-1], hidden[-1], 1), activation)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return scores `(n, 1)` of pairs of vectors, each `(n, size)`."""
        # A difference of close numbers in half precision would be rounding.
        p, q = (at_least_float32(self.embed(value)) for value in (first, second))
        return at_least_float32(self.head(torch.cat([p * q, (p - q).square(), p + q], -1)))


def make_pair_critic(
    kind: Literal["mlp", "pair"], size: int, hidden: Sequence[int]
) -> MLPCritic | PairCritic:
    """Make a critic of two vectors: one that compares them, or one that takes them side by side.

    Args:
        kind: `pair`, a `PairCritic`, or `mlp`, an `MLPCritic` of both vectors.
        size: Numbers of one of the two vectors.
        hidden: Widths of its hidden layers; of `pair` at least one.

    Raises:
        ValueError: If `hidden` is empty with `pair`.
    """
    if kind == "pair":
        return PairCritic(size, hidden)
    return MLPCritic(2 * size, hidden, activation="relu")
