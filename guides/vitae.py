r"""VITAE's guides: the appearance is inferred from the image, or from the image un-warped.

U-VITAE: \( q(z_P, z_A \mid x) = q(z_P \mid x)\, q(z_A \mid x) \).
C-VITAE: \( q(z_P, z_A \mid x) = q(z_P \mid x)\, q(z_A \mid T_{-\gamma(z_P)}\, x) \), with the
model's own \( \gamma \).

Source: Detlefsen & Hauberg (2019), https://arxiv.org/abs/1906.11881, section 3.1.
"""

from collections.abc import Callable

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.transforms import Transform

Encoder = Callable[[Tensor], TorchDistributionMixin]


class VITAE(nn.Module):
    """A perspective and an appearance per image.

    Sites: `perspective`, event `(P,)`, and `appearance`, event `(A,)`, in plate `data`.

    Args:
        perspective_encoder: Maps images `(B, C, H, W)` to a distribution with event `(P,)`.
        appearance_encoder: Maps images `(..., C, H, W)` to a distribution with event `(A,)`.
        perspective_decoder: The model's own, shared with it.
        transform: The model's warp.
        conditional: Whether the appearance is inferred from the image un-warped by the sampled
            perspective (C-VITAE) or from the image itself (U-VITAE).
    """

    def __init__(
        self,
        perspective_encoder: Encoder,
        appearance_encoder: Encoder,
        perspective_decoder: nn.Module,
        transform: Transform,
        conditional: bool = True,
    ) -> None:
        super().__init__()
        self.perspective_encoder = perspective_encoder
        self.appearance_encoder = appearance_encoder
        self.conditional = conditional
        if conditional:
            self.perspective_decoder = perspective_decoder
            self.transform = transform

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Sample the perspectives `(B, P)` and appearances `(B, A)` of images `(B, C, H, W)`."""
        with pyro.plate("data", x.shape[0]):
            perspective = pyro.sample("perspective", self.perspective_encoder(x))
            if self.conditional:
                x = self.transform.inverse(x, self.perspective_decoder(perspective))
            return perspective, pyro.sample("appearance", self.appearance_encoder(x))
