r"""The content of a clip and the pose of each frame, each from an encoder of its own.

\[ q(c, z \mid x) = \prod_s q(c_s \mid x_s) \prod_t q(z_{st} \mid x_{st}) \]

Source: Denton & Birodkar (2017), section 3, https://arxiv.org/abs/1705.10915, whose codes are
points, and whose content comes from one frame while a pose comes from another.
"""

from collections.abc import Callable

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import frame_mask, true_frames


class DrNet(nn.Module):
    """A content code per clip, a pose code per frame; the encoders share nothing.

    Sites: `static`, the content, event `(F,)`, in plate `data` at dim -2; `dynamic`, the pose,
    event `(Z,)`, in plates `data` and `frames`, dims -2 and -1.

    Args:
        content_encoder: Maps frames `(B, N, C, H, W)` and which of them are true, bool `(B, N)` or
            None, to a distribution with batch `(B, 1)` and event `(F,)`.
        pose_encoder: Maps frames `(B, N, C, H, W)`, each by itself, to a distribution with batch
            `(B, N)` and event `(Z,)`. It alone gives the poses of a clip: `pose_encoder(x)`.
    """

    def __init__(
        self,
        content_encoder: Callable[[Tensor, Tensor | None], TorchDistributionMixin],
        pose_encoder: Callable[[Tensor], TorchDistributionMixin],
    ) -> None:
        super().__init__()
        self.content_encoder = content_encoder
        self.pose_encoder = pose_encoder

    def forward(
        self, x: Tensor, length: Tensor | None = None, companions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sample the content `(B, 1, F)` and the poses `(B, N, Z)` of clips.

        Args:
            x: Frames `(B, N, C, H, W)`, in any order; `N` may be 1.
            length: Number of true frames of each clip, int64 `(B,)`, which come first.
            companions: Other frames `(B, M, C, H, W)` of the same clips, from which alone the
                content is inferred, as in training: no frame then gives both codes.
        """
        mask = frame_mask(length, x.shape[1])
        with pyro.plate("data", x.shape[0], dim=-2):
            if companions is None:
                q = self.content_encoder(x, mask)
            else:
                q = self.content_encoder(companions, None)
            static = pyro.sample("static", q)
            with pyro.plate("frames", x.shape[1], dim=-1), true_frames(mask):
                return static, pyro.sample("dynamic", self.pose_encoder(x))
