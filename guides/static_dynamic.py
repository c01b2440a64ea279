r"""A static code from all frames of a sequence at once, a dynamic code from each frame.

\[ q(f, z \mid x) = \prod_s q(f_s \mid x_s) \prod_t q(z_{st} \mid f_s, x_{st}) \]

Source: Helminger et al. (2018), "Disentangled Dynamic Representations from Unordered Data",
section 2.
"""

from collections.abc import Callable

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import frame_mask, true_frames


class StaticDynamic(nn.Module):
    """A static code per sequence, a dynamic code per frame.

    Sites: `static`, event `(F,)`, in plate `data` at dim -2; `dynamic`, event `(Z,)`, in plates
    `data` and `frames`, dims -2 and -1. With encoders that do not depend on the order of frames,
    neither does the guide.

    Args:
        trunk: Maps frames `(..., C, H, W)` to features `(..., D, h, w)`, each by itself.
        static_encoder: Maps features `(B, N, D, h, w)` and a mask `(B, N)` or None to a
            distribution with batch `(B, 1)` and event `(F,)`.
        dynamic_encoder: Maps features `(B, N, D h w)` and static codes `(..., B, 1, F)` to a
            distribution with batch `(..., B, N)` and event `(Z,)`.
    """

    def __init__(
        self,
        trunk: Callable[[Tensor], Tensor],
        static_encoder: Callable[[Tensor, Tensor | None], TorchDistributionMixin],
        dynamic_encoder: Callable[[Tensor, Tensor], TorchDistributionMixin],
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.static_encoder = static_encoder
        self.dynamic_encoder = dynamic_encoder

    def forward(
        self, x: Tensor, length: Tensor | None = None, companions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sample the static codes `(B, 1, F)` and dynamic codes `(B, N, Z)` of sequences.

        Args:
            x: Frames `(B, N, C, H, W)`, in any order; `N` may be 1.
            length: Number of true frames of each sequence, int64 `(B,)`, which come first.
            companions: Other frames `(B, M, C, H, W)` of the same sequences, from which the
                static code is inferred in place of `x`. No frame then gives both codes.
        """
        features = self.trunk(x)
        mask = frame_mask(length, x.shape[1])
        with pyro.plate("data", x.shape[0], dim=-2):
            if companions is None:
                q = self.static_encoder(features, mask)
            else:
                q = self.static_encoder(self.trunk(companions), None)
            static = pyro.sample("static", q)
            with pyro.plate("frames", x.shape[1], dim=-1), true_frames(mask):
                return static, pyro.sample(
                    "dynamic", self.dynamic_encoder(features.flatten(-3), static)
                )
