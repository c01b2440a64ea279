r"""The content and the pose of an object, from a single view.

\[ q(c, z_0 \mid x) = \prod_s q(c_s \mid x_{s0})\, q(z_{s0} \mid x_{s0}) \]

Source: Yang, Reed, Yang & Lee (2015), https://arxiv.org/abs/1601.00706, whose codes are points of
two heads on one net.
"""

from collections.abc import Callable

import pyro
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

Encoder = Callable[[Tensor], TorchDistributionMixin]


class ActionRotation(nn.Module):
    """A content and a pose code per clip, of its first frame; no other one is looked at.

    Sites: `content`, event `(F,)`, and `pose`, event `(P,)`, in plate `data` at dim -2.

    Args:
        content_encoder: Maps frames `(B, 1, C, H, W)` to a distribution with batch `(B, 1)` and
            event `(F,)`.
        pose_encoder: Maps frames to a distribution with batch `(B, 1)` and event `(P,)`.
    """

    def __init__(self, content_encoder: Encoder, pose_encoder: Encoder) -> None:
        super().__init__()
        self.content_encoder, self.pose_encoder = content_encoder, pose_encoder

    def forward(self, x: Tensor, actions: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Sample the content `(B, 1, F)` and the pose `(B, 1, P)` of clips.

        Args:
            x: Frames `(B, N, C, H, W)`, of which the first counts.
            actions: Not looked at.
        """
        with pyro.plate("data", x.shape[0], dim=-2):
            content = pyro.sample("content", self.content_encoder(x[:, :1]))
            return content, pyro.sample("pose", self.pose_encoder(x[:, :1]))
