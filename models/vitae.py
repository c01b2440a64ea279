r"""VITAE's model: an image is an appearance, seen in a perspective.

\[ p(x, z_P, z_A) = \prod_n p(z_{P,n})\, p(z_{A,n})\, p(x_n \mid T_{\gamma(z_{P,n})}\, \tilde
x(z_{A,n})), \qquad p(z_P) = p(z_A) = N(0, I) \]

The appearance decodes to a canonical mean image \( \tilde x \), the perspective to the parameters
\( \gamma \) of an invertible warp, and the likelihood's mean is the warped image. Scales, logits
and mixtures are never warped: outside of an image they mean nothing.

Source: Detlefsen & Hauberg (2019), https://arxiv.org/abs/1906.11881, section 3.
"""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from unbraid.nets import Decoder, batch_size
from unbraid.transforms import Transform


class VITAE(nn.Module):
    """A canonical image from the appearance, warped as the perspective says.

    Sites: `perspective`, event `(P,)`, and `appearance`, event `(A,)`, latent, in this order; `x`,
    event `(C, H, W)`, observed; all in plate `data`.

    Args:
        decoder: Decoder of appearances; its likelihood must be one that a mean image determines.
        perspective_decoder: Maps perspectives `(..., P)` to the warp's parameters gamma.
        transform: The warp.
        appearance_dim: Number `A` of appearance coordinates.
        perspective_dim: Number `P` of perspective coordinates.
    """

    appearance_loc: Tensor
    appearance_scale: Tensor
    perspective_loc: Tensor
    perspective_scale: Tensor

    def __init__(
        self,
        decoder: Decoder,
        perspective_decoder: nn.Module,
        transform: Transform,
        appearance_dim: int,
        perspective_dim: int,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.perspective_decoder = perspective_decoder
        self.transform = transform
        self.appearance_dim, self.perspective_dim = appearance_dim, perspective_dim
        for site, dim in (("appearance", appearance_dim), ("perspective", perspective_dim)):
            self.register_buffer(f"{site}_loc", torch.zeros(dim), persistent=False)
            self.register_buffer(f"{site}_scale", torch.ones(dim), persistent=False)

    def canonical(self, appearance: Tensor) -> Tensor:
        """Return the mean images `(..., C, H, W)` of appearances `(..., A)`, not warped."""
        return self.decoder.likelihood.location(self.decoder.raw(appearance))

    def gamma(self, perspective: Tensor) -> Tensor:
        """Return the warp's parameters for perspectives `(..., P)`."""
        return self.perspective_decoder(perspective)

    def forward(self, x: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Score images `x`, or sample `size` of them, and return the images.

        Args:
            x: Images `(B, C, H, W)`.
            size: Number `B` of images to sample when there is no `x`.

        Raises:
            ValueError: Unless exactly one of `x` and `size` is given.
        """
        with pyro.plate("data", batch_size(x, size)):
            perspective = pyro.sample(
                "perspective",
                dist.Normal(self.perspective_loc, self.perspective_scale).to_event(1),
            )
            appearance = pyro.sample(
                "appearance", dist.Normal(self.appearance_loc, self.appearance_scale).to_event(1)
            )
            image = self.transform(self.canonical(appearance), self.gamma(perspective))
            return pyro.sample("x", self.decoder.likelihood.from_mean(image), obs=x)
