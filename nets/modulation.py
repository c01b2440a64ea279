"""A decoder's first layer that lets one part of a code scale what another part says."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from .activations import gain_of, initialise, spread_codes
from .mlp import mlp


class Modulation(nn.Module):
    r"""Linear features of the content, each scaled by a net on the pose.

    \[ h_k = (W c + b)_k \, (1 + g_k(z)) \]

    with a fully connected net \( g \). A layer of both parts side by side adds what they say, and
    where the same content is shown elsewhere, every unit behind it has to learn the product by
    itself.

    Source: Perez et al. (2018), eq. 2, https://arxiv.org/abs/1709.07871, who shift features too.

    Args:
        content_dim: Number `F` of coordinates of the content, the first ones of the code.
        pose_dim: Number `Z` of those of the pose, the others.
        hidden: Number `H` of features.
        inner: Widths of the hidden layers of the net on the pose. Several tell apart what few
            coordinates hold close together.
        activation: Name of its activation.
        code_spread: Standard deviation that the outputs of that net's first layer start with; 0
            for Glorot's rule. See `spread_codes`.

    Raises:
        ValueError: If there is no hidden layer.
    """

    def __init__(
        self,
        content_dim: int,
        pose_dim: int,
        hidden: int,
        inner: Sequence[int] = (256,),
        activation: str = "leaky-relu",
        code_spread: float = 0.0,
    ) -> None:
        super().__init__()
        if not inner:
            raise ValueError("inner is (); expected at least one width. Give one, such as (256,).")
        self.sizes = (content_dim, pose_dim)
        self.features = initialise(nn.Linear(content_dim, hidden), gain_of(activation))
        self.scales = mlp((pose_dim, *inner, hidden), activation)
        if code_spread:
            spread_codes(cast(nn.Linear, self.scales[0]), code_spread)

    def forward(self, codes: Tensor) -> Tensor:
        """Return features `(..., H)` of codes `(..., F + Z)`."""
        content, pose = codes.split(self.sizes, -1)
        return self.features(content) * (1.0 + self.scales(pose))


def modulate(
    layers: nn.Sequential,
    content_dim: int,
    pose_dim: int,
    activation: str,
    inner: Sequence[int] = (256,),
    code_spread: float = 0.0,
) -> None:
    """Put a `Modulation` in the place of the first of a decoder's layers, which is linear.

    Args:
        layers: The decoder's layers, from the code on.
        content_dim: Number of coordinates of the content, the first ones of the code.
        pose_dim: Number of those of the pose, the others.
        activation: Name of the activation of the net on the pose.
        inner: Widths of that net's hidden layers; at least one.
        code_spread: Standard deviation that the outputs of its first layer start with; 0 for
            Glorot's rule.
    """
    hidden = layers[0].get_parameter("bias").numel()
    layers[0] = Modulation(content_dim, pose_dim, hidden, inner, activation, code_spread)
