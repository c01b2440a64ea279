r"""The guide of adversarial variational Bayes: an implicit posterior.

\[ z_n = E(x_n, \epsilon_n), \qquad \epsilon_n \sim N(0, I) \]

The noise is no site, and the site `z` is a point at the draw. So its divergence is neither in
closed form nor a difference of densities: leave it out of the loss (`LeftOut`) and have it from a
critic (`ImplicitDivergence`). There is no bound, and importance sampling cannot judge the pair;
annealing can.

Source: Mescheder et al. (2017), eq. 3.3, https://arxiv.org/abs/1701.04722.
"""

import pyro
from torch import Tensor, nn

from unbraid.nets import ImplicitEncoder


class AVB(nn.Module):
    """One drawn code per image.

    Sites: `z`, event `(K,)`, a point, in plate `data`.

    Args:
        encoder: Draws codes of images.
    """

    def __init__(self, encoder: ImplicitEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Draw the codes `(B, K)` of images `x` of shape `(B, C, H, W)`."""
        with pyro.plate("data", x.shape[0]):
            return pyro.sample("z", self.encoder(x))
