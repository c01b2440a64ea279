r"""The content of the last frame that is seen, and the pose of every frame, by given encoders.

\[ q(c, z \mid x) = \prod_s q(c_s \mid x_{s,P}) \prod_t q(z_{st} \mid x_{st}, c_s) \]

with \( P \) the last of the frames that a prediction is shown.

Source: Denton & Birodkar (2017), section 3.1, https://arxiv.org/abs/1705.10915.
"""

from typing import Any

import pyro
from torch import Tensor, nn


class PosePrediction(nn.Module):
    """A content per clip, of one of its frames, and a pose per frame, each of its own frame.

    Sites: `content`, event `(F,)`, and `pose`, event `(N, Z)`, in plate `data` at dim -2, batch
    `(B, 1)`.

    Args:
        codes: Has `content(frames)`, which maps frames `(B, 1, C, H, W)` to a distribution with
            batch `(B, 1)` and event `(F,)`, and `pose(frames, content)`, which maps frames
            `(B, 1, N, C, H, W)` and contents `(..., B, 1, 1, F)` to one with batch
            `(..., B, 1, N)` and event `(Z,)`.
        past: Number `P` of frames that a prediction is shown.
    """

    def __init__(self, codes: Any, past: int) -> None:
        super().__init__()
        self.codes, self.past = codes, past

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Sample the content `(B, 1, F)` and the poses `(B, 1, N, Z)` of clips.

        Args:
            x: Frames `(B, N, C, H, W)`, in the order of time. Of fewer than `P` the last one
                gives the content.
        """
        last = min(self.past, x.shape[1])
        with pyro.plate("data", x.shape[0], dim=-2):
            content = pyro.sample("content", self.codes.content(x[:, last - 1 : last]))
            poses = self.codes.pose(x.unsqueeze(1), content.unsqueeze(-2))
            return content, pyro.sample("pose", poses.to_event(1))
