r"""Objects on a turntable: content that stays, and a pose that actions turn, frame by frame.

\[ p(x, c, z_0 \mid a) = \prod_s p(c_s)\, p(z_{s0}) \prod_t p(x_{st} \mid c_s, z_{st}), \qquad
z_{st} = f(z_{s,t-1}, a_{st}), \quad p(c) = p(z_0) = N(0, I) \]

Nothing is said of the actions: the density is that of all frames of a clip, given its actions.

Source: Yang, Reed, Yang & Lee (2015), https://arxiv.org/abs/1601.00706, who have no priors; here
they let the model sample, and a training may leave them out.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import batch_size, join_codes, number_of_frames


class ActionRotation(nn.Module):
    """Frames decoded from the content of their clip and a pose that actions have turned.

    Sites: `content`, event `(F,)`, and `pose`, event `(P,)`, before any action, latent, in plate
    `data` at dim -2; `x`, event `(C, H, W)`, observed, in plates `data` and `frames`, dims -2 and
    -1.

    Args:
        decoder: Maps codes `(..., F + P)`, content first, to a distribution of frames.
        turn: Maps a pose `(..., 1, P)` and actions `(..., N)` to the poses `(..., N, P)` that they
            lead to, such as a `TensorTurn`.
        content_dim: Number `F` of coordinates of the content.
        pose_dim: Number `P` of coordinates of a pose.
    """

    content_loc: Tensor
    content_scale: Tensor
    pose_loc: Tensor
    pose_scale: Tensor

    def __init__(
        self,
        decoder: Callable[[Tensor], TorchDistributionMixin],
        turn: Callable[[Tensor, Tensor], Tensor],
        content_dim: int,
        pose_dim: int,
    ) -> None:
        super().__init__()
        self.decoder, self.turn = decoder, turn
        self.content_dim, self.pose_dim = content_dim, pose_dim
        for site, dim in (("content", content_dim), ("pose", pose_dim)):
            self.register_buffer(f"{site}_loc", torch.zeros(dim), persistent=False)
            self.register_buffer(f"{site}_scale", torch.ones(dim), persistent=False)

    def forward(
        self,
        x: Tensor | None = None,
        actions: Tensor | None = None,
        *,
        size: int | None = None,
    ) -> Tensor:
        """Score clips given their actions, or sample a clip for each row of actions.

        Args:
            x: Frames `(B, N, C, H, W)`, in the order of time.
            actions: What led to each frame, `(B, N)`, as `turn` takes them: 0 for the first frame,
                whose pose the code is.
            size: Number `B` of clips to sample; that of the actions unless given. Without actions
                they are of one frame.

        Returns:
            The frames.

        Raises:
            ValueError: If there are no actions for `x`, or not one per frame, or nothing says how
                many clips to sample.
        """
        actions = self._actions(x, actions, size)
        count, frames = actions.shape
        with pyro.plate("data", count, dim=-2):
            content = pyro.sample(
                "content", dist.Normal(self.content_loc, self.content_scale).to_event(1)
            )
            pose = pyro.sample("pose", dist.Normal(self.pose_loc, self.pose_scale).to_event(1))
            with pyro.plate("frames", frames, dim=-1):
                codes = join_codes(content, self.turn(pose, actions))
                return pyro.sample("x", self.decoder(codes), obs=x)

    def _actions(self, x: Tensor | None, actions: Tensor | None, size: int | None) -> Tensor:
        """Return the actions, after a check that they fit."""
        if actions is None and x is None:
            return self.pose_loc.new_zeros(batch_size(x, size), 1)
        if actions is None:
            raise ValueError(
                "actions are None; expected one per frame of x, since the model says nothing of "
                "them. Call model(x, actions), or model(actions=actions) to sample"
            )
        lead = tuple(actions.shape[:1]) if size is None else (size,)
        expected = (*lead, *actions.shape[1:])
        if x is not None:
            expected = (len(x), number_of_frames(x, None, 1))
        if actions.dim() != 2 or tuple(actions.shape) != expected:
            raise ValueError(
                f"actions have shape {tuple(actions.shape)}; expected {expected}, one per frame: "
                "0 for the first, then what led to each"
            )
        return actions
