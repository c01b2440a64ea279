r"""Clips whose poses follow each other: one content per clip, and a transition from pose to pose.

\[ p(x, c, z) = \prod_s p(c_s)\, p(z_{s,1:N} \mid c_s) \prod_t p(x_{st} \mid c_s, z_{st}), \qquad
p(c) = N(0, I), \quad p(z_{1:N} \mid c) = p(z_1) \prod_{t > 1} N(z_t; m(z_{<t}, c), s^2) \]

Source: Denton & Birodkar (2017), section 3.1, https://arxiv.org/abs/1705.10915, whose transition
is trained by the squared error of the next pose, and who have no priors; here they let the model
sample and, where codes are Normals, make the loss a bound of log p(x).
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid.nets import LSTMTransition, batch_size, join_codes, number_of_frames


class PosePrediction(nn.Module):
    """Frames decoded from the content of their clip and from poses that lead to each other.

    Sites: `content`, event `(F,)`, and `pose`, all poses of a clip, event `(N, Z)`, latent, in
    plate `data` at dim -2, batch `(B, 1)`; `x`, event `(C, H, W)`, observed, in plates `data` and
    `frames`, dims -2 and -1. Poses are no plate, since none is independent of those before it.

    Args:
        decoder: Maps codes `(..., F + Z)`, content first, to a distribution of frames.
        transition: Tells each pose from those before and the content.
        content_dim: Number `F` of coordinates of the content.
        steps: Number of frames per clip where it is sampled from, at least 1.

    Raises:
        ValueError: If `steps` is less.
    """

    content_loc: Tensor
    content_scale: Tensor

    def __init__(
        self,
        decoder: Callable[[Tensor], TorchDistributionMixin],
        transition: LSTMTransition,
        content_dim: int,
        steps: int = 15,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps is {steps}; expected at least 1. The default is 15")
        self.decoder, self.transition = decoder, transition
        self.content_dim, self.steps = content_dim, steps
        self.register_buffer("content_loc", torch.zeros(content_dim), persistent=False)
        self.register_buffer("content_scale", torch.ones(content_dim), persistent=False)

    def forward(
        self, x: Tensor | None = None, *, size: int | None = None, steps: int | None = None
    ) -> Tensor:
        """Score clips `x`, or sample `size` of them, and return the frames.

        Args:
            x: Frames `(B, N, C, H, W)`, in the order of time.
            size: Number `B` of clips to sample when there is no `x`.
            steps: Number `N` of frames of each of them; that of the constructor unless given.

        Raises:
            ValueError: Unless exactly one of `x` and `size` is given, and `steps` is at least 1.
        """
        count = number_of_frames(x, steps, self.steps, "steps")
        with pyro.plate("data", batch_size(x, size), dim=-2):
            content = pyro.sample(
                "content", dist.Normal(self.content_loc, self.content_scale).to_event(1)
            )
            poses = pyro.sample("pose", self.transition(content, count))
            with pyro.plate("frames", count, dim=-1):
                codes = join_codes(content, poses.squeeze(-3))
                return pyro.sample("x", self.decoder(codes), obs=x)
