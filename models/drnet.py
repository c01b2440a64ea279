r"""A content code per clip and a pose code per frame, independent of each other.

\[ p(x, c, z) = \prod_s p(c_s) \prod_t p(z_{st})\, p(x_{st} \mid c_s, z_{st}), \qquad
p(c) = p(z) = N(0, I) \]

Nothing in the model says which of the codes holds what; the clips, and losses beside, do.

Source: Denton & Birodkar (2017), https://arxiv.org/abs/1705.10915, who have no priors; here they
let the model sample, and a training may leave them out.
"""

from torch import Tensor

from .group_vae import GroupVAE


class DrNet(GroupVAE):
    """Frames decoded from the content of their clip and a pose of their own.

    It is the model of groups, whose items are the frames of a clip; only the guide differs.

    Sites: `static`, the content, event `(F,)`, in plate `data` at dim -2; `dynamic`, the pose,
    event `(Z,)`, latent, and `x`, event `(C, H, W)`, observed, in plates `data` and `frames`, dims
    -2 and -1.

    Args:
        decoder: Maps codes `(..., F + Z)`, content first, to a distribution of frames.
        static_dim: Number `F` of coordinates of the content.
        dynamic_dim: Number `Z` of coordinates of a pose.
        frames: Number of frames per clip where it is sampled from.
    """

    def forward(
        self,
        x: Tensor | None = None,
        length: Tensor | None = None,
        companions: Tensor | None = None,
        *,
        size: int | None = None,
        frames: int | None = None,
    ) -> Tensor:
        """Score clips `x`, or sample `size` of them, and return the frames.

        Args:
            x: Frames `(B, N, C, H, W)`, in any order.
            length: Number of true frames of each clip, int64 `(B,)`; they come first, the rest is
                padding and does not count. All are true where it is not given.
            companions: Not looked at: frames that the guide may infer the content from.
            size: Number `B` of clips to sample when there is no `x`.
            frames: Number `N` of frames of each of them; that of the constructor unless given.

        Raises:
            ValueError: Unless exactly one of `x` and `size` is given.
        """
        return super().forward(x, length, size=size, frames=frames)
