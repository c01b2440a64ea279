"""A decoder's first layer that lets one part of a code scale what another part says."""

from torch import Tensor, nn

from .activations import activation as make_activation
from .activations import gain_of, initialise


class Modulation(nn.Module):
    r"""Linear features of the content, each scaled by a net on the pose.

    \[ h_k = (W c + b)_k \, (1 + g_k(z)), \qquad g(z) = V \, a(U z + u) + v \]

    A layer of both parts side by side adds what they say, and where the same content is shown
    elsewhere, every unit behind it has to learn the product by itself.

    Source: Perez et al. (2018), eq. 2, https://arxiv.org/abs/1709.07871, who shift features too.

    Args:
        content_dim: Number `F` of coordinates of the content, the first ones of the code.
        pose_dim: Number `Z` of those of the pose, the others.
        hidden: Number `H` of features.
        inner: Units of the net on the pose.
        activation: Name of its activation `a`.
    """

    def __init__(
        self,
        content_dim: int,
        pose_dim: int,
        hidden: int,
        inner: int = 256,
        activation: str = "leaky-relu",
    ) -> None:
        super().__init__()
        self.sizes = (content_dim, pose_dim)
        gain = gain_of(activation)
        self.features = initialise(nn.Linear(content_dim, hidden), gain)
        self.scales = nn.Sequential(
            initialise(nn.Linear(pose_dim, inner), gain),
            make_activation(activation),
            initialise(nn.Linear(inner, hidden)),
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Return features `(..., H)` of codes `(..., F + Z)`."""
        content, pose = codes.split(self.sizes, -1)
        return self.features(content) * (1.0 + self.scales(pose))


def modulate(layers: nn.Sequential, content_dim: int, pose_dim: int, activation: str) -> None:
    """Put a `Modulation` in the place of the first of a decoder's layers, which is linear.

    Args:
        layers: The decoder's layers, from the code on.
        content_dim: Number of coordinates of the content, the first ones of the code.
        pose_dim: Number of those of the pose, the others.
        activation: Name of the activation of the net on the pose.
    """
    hidden = layers[0].get_parameter("bias").numel()
    layers[0] = Modulation(content_dim, pose_dim, hidden, activation=activation)
