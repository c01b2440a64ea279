r"""Each item tells of its group's code and of its own; what the items tell is accumulated.

\[ q(s, z \mid x) = \prod_g q(s_g \mid x_{g1}, \ldots, x_{gn}) \prod_i q(z_{gi} \mid x_{gi}) \]

Sources: Bouchacourt, Tomioka & Nowozin (2018), section 3, https://arxiv.org/abs/1705.08841; Hosoya
(2019), https://arxiv.org/abs/1809.02383.
"""

from collections.abc import Callable

import pyro
from pyro.distributions import Independent
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import Accumulate, frame_mask, product_with_prior, true_frames


class GroupVAE(nn.Module):
    """A code per group, accumulated over its items, and a code per item.

    Sites: `static`, event `(F,)`, in plate `data` at dim -2; `dynamic`, event `(Z,)`, in plates
    `data` and `frames`, dims -2 and -1. The order of items does not matter, and neither does what
    other items show to an item's own code.

    Args:
        trunk: Maps items `(..., C, H, W)` to features `(..., D, h, w)`, each by itself.
        static_encoder: Maps features `(B, N, D h w)` to a diagonal Normal of each item over its
            group's code, batch `(B, N)` and event `(F,)`.
        dynamic_encoder: Maps features to the distribution of the items' own codes, batch `(B, N)`
            and event `(Z,)`.
        accumulate: Makes one Normal, batch `(B, 1)`, of the items' means and standard deviations
            `(B, N, F)` and a mask `(B, N)` or None.
    """

    def __init__(
        self,
        trunk: Callable[[Tensor], Tensor],
        static_encoder: Callable[[Tensor], Independent],
        dynamic_encoder: Callable[[Tensor], TorchDistributionMixin],
        accumulate: Accumulate = product_with_prior,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.static_encoder, self.dynamic_encoder = static_encoder, dynamic_encoder
        self.accumulate = accumulate

    def forward(self, x: Tensor, length: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Sample the groups' codes `(B, 1, F)` and the items' codes `(B, N, Z)`.

        Args:
            x: Items `(B, N, C, H, W)`, in any order; `N` may be 1.
            length: Number of true items of each group, int64 `(B,)`, which come first.
        """
        features = self.trunk(x).flatten(-3)
        mask = frame_mask(length, x.shape[1])
        with pyro.plate("data", x.shape[0], dim=-2):
            told = self.static_encoder(features).base_dist
            static = pyro.sample("static", self.accumulate(told.loc, told.scale, mask))
            with pyro.plate("frames", x.shape[1], dim=-1), true_frames(mask):
                return static, pyro.sample("dynamic", self.dynamic_encoder(features))
