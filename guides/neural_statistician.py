r"""A statistic of all frames gives the static code; each frame's layers follow, from the top down.

\[ q(c, z \mid x) = \prod_s q(c_s \mid x_s) \prod_t q(z_{st}^L \mid x_{st}, c_s)
   \prod_{l < L} q(z_{st}^l \mid z_{st}^{l+1}, x_{st}, c_s) \]

Source: Edwards & Storkey (2017), "Towards a Neural Statistician", section 3,
https://arxiv.org/abs/1606.02185.
"""

from collections.abc import Callable, Sequence

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import frame_mask, layer_names, true_frames


class NeuralStatistician(nn.Module):
    """A static code per sequence, several layers of codes per frame.

    Sites: `static`, event `(F,)`, in plate `data` at dim -2; the layers, each with event `(Z,)`,
    in plates `data` and `frames`, dims -2 and -1: `dynamic`, or `dynamic_L` to `dynamic_1`. With a
    static encoder that does not depend on the order of frames, neither does the guide.

    Args:
        trunk: Maps frames `(..., C, H, W)` to features `(..., D, h, w)`, each by itself.
        static_encoder: The statistic network: maps features `(B, N, D, h, w)` and a mask `(B, N)`
            or None to a distribution with batch `(B, 1)` and event `(F,)`.
        layer_encoders: One net per layer, top first. The first maps features `(B, N, D h w)` and
            static codes `(..., B, 1, F)` to a distribution with batch `(..., B, N)` and event
            `(Z,)`; each other one maps features, the codes of the layer above, and static codes.
    """

    def __init__(
        self,
        trunk: Callable[[Tensor], Tensor],
        static_encoder: Callable[[Tensor, Tensor | None], TorchDistributionMixin],
        layer_encoders: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        self.layers = layer_names(len(layer_encoders))
        self.trunk = trunk
        self.static_encoder = static_encoder
        self.layer_encoders = nn.ModuleList(layer_encoders)

    def forward(self, x: Tensor, length: Tensor | None = None) -> tuple[Tensor, ...]:
        """Sample the static codes `(B, 1, F)` and the layers' codes `(B, N, Z)` of sequences.

        Args:
            x: Frames `(B, N, C, H, W)`, in any order; `N` may be 1.
            length: Number of true frames of each sequence, int64 `(B,)`, which come first.
        """
        features = self.trunk(x)
        mask = frame_mask(length, x.shape[1])
        with pyro.plate("data", x.shape[0], dim=-2):
            static = pyro.sample("static", self.static_encoder(features, mask))
            flat = features.flatten(-3)
            with pyro.plate("frames", x.shape[1], dim=-1), true_frames(mask):
                codes: list[Tensor] = []
                for name, encoder in zip(self.layers, self.layer_encoders, strict=True):
                    codes.append(pyro.sample(name, encoder(flat, *codes[-1:], static)))
        return static, *codes
