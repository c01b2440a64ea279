r"""Each frame gives its two codes; that of the sequence is looked up, or follows from the frames.

\[ q(z \mid x) = \prod_t q(z^2_t \mid x_t)\, q(z^1_t \mid x_t, z^2_t) \]

With an index, as in training, \( \mu \) is a row of a table that is trained: a point. Without one,
as for sequences that were held out, it has the distribution that is best beside these
\( q(z^2_t \mid x_t) \), whose means are \( m_t \). Of all \( q(\mu) \) the bound is largest at
\( q(\mu) \propto p(\mu) \exp \sum_t E_q \log p(z^2_t \mid \mu) \), which is the Normal

\[ q(\mu \mid x) = N\left( \frac{\sum_t m_t}{N + r},\ \frac{\sigma_2^2}{N + r} I \right),
   \qquad r = \sigma_2^2 / \sigma_\mu^2, \]

of `N` true frames: the posterior of \( \mu \) had the codes been seen at their means, whatever the
variances of \( q(z^2_t \mid x_t) \). The paper's \( \sigma_\mu = 1 \) and \( \sigma_2 = 0.5 \)
give \( \sum_t m_t / (N + 0.25) \), its closed form for new sequences, and the variance
\( 0.25 / (N + 0.25) \).

Source: Hsu, Zhang & Glass (2017), section 2, https://arxiv.org/abs/1709.07902.
"""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.poutine.util import is_validation_enabled
from torch import Tensor, nn

from unbraid.nets import frame_mask, length_and_index, true_frames


class FHVAE(nn.Module):
    """A code per sequence, looked up or in closed form, and two codes per frame.

    Sites: `static`, event `(F,)`, in plate `data` at dim -2; `content`, event `(F,)`, and
    `dynamic`, event `(Z,)`, in plates `data` and `frames`, dims -2 and -1.

    Args:
        trunk: Maps frames `(..., C, H, W)` to features `(..., D, h, w)`, each by itself.
        content_encoder: Maps features `(B, N, D h w)` to a distribution with batch `(B, N)` and
            event `(F,)`.
        dynamic_encoder: Maps features and content codes `(..., B, N, F)` to a distribution with
            batch `(..., B, N)` and event `(Z,)`.
        sequences: Number `S` of sequences in the table.
        static_dim: Number `F` of coordinates of `static` and of `content`.
        static_scale: The model's standard deviation of `static`, positive.
        content_scale: The model's standard deviation of `content` about it, positive.
        ragged: Whether sequences come with their lengths. Where they do not, an argument that
            alone follows `x` is `index`.

    Attributes:
        table: The codes `(S, F)` of the sequences that are trained on; 0 at first.
    """

    def __init__(
        self,
        trunk: Callable[[Tensor], Tensor],
        content_encoder: Callable[[Tensor], TorchDistributionMixin],
        dynamic_encoder: Callable[[Tensor, Tensor], TorchDistributionMixin],
        sequences: int,
        static_dim: int,
        static_scale: float = 1.0,
        content_scale: float = 0.5,
        ragged: bool = True,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.content_encoder = content_encoder
        self.dynamic_encoder = dynamic_encoder
        self.static_scale, self.content_scale = static_scale, content_scale
        self.ragged = ragged
        self.table = nn.Parameter(torch.zeros(sequences, static_dim))

    def forward(
        self, x: Tensor, length: Tensor | None = None, index: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sample the codes of sequences, `(B, 1, F)`, and of frames, `(B, N, F)` and `(B, N, Z)`.

        Args:
            x: Frames `(B, N, C, H, W)`, in any order; `N` may be 1.
            length: Number of true frames of each sequence, int64 `(B,)`, which come first.
            index: Rows of the table that the sequences have, int64 `(B,)`. Without it the
                sequences are new, and their code follows from their frames.

        Raises:
            ValueError: If there is no such row; looked at while Pyro's checks are on, as they are
                in the first pass of a training, since it takes reading a value from the device.
        """
        length, index = length_and_index(length, index, self.ragged)
        features = self.trunk(x).flatten(-3)
        mask = frame_mask(length, x.shape[1])
        content_q = self.content_encoder(features)
        if index is None:
            static_q = static_posterior(
                content_q.mean, mask, self.static_scale, self.content_scale
            )
        else:
            static_q = dist.Delta(self._rows(index).unsqueeze(-2), event_dim=1)
        with pyro.plate("data", x.shape[0], dim=-2):
            static = pyro.sample("static", static_q)
            with pyro.plate("frames", x.shape[1], dim=-1), true_frames(mask):
                content = pyro.sample("content", content_q)
                dynamic = pyro.sample("dynamic", self.dynamic_encoder(features, content))
        return static, content, dynamic

    def _rows(self, index: Tensor) -> Tensor:
        if is_validation_enabled() and bool(((index < 0) | (index >= len(self.table))).any()):
            raise ValueError(
                f"index is {int(index.min())} to {int(index.max())}; expected 0 to "
                f"{len(self.table) - 1}, the sequences that the table was made for. "
                "Leave it out for new sequences"
            )
        return self.table.index_select(0, index)


def static_posterior(
    means: Tensor, mask: Tensor | None, static_scale: float = 1.0, content_scale: float = 0.5
) -> dist.Independent:
    """Return the distribution of a sequence's code, given the means of its frames' codes.

    Args:
        means: `(..., N, F)`.
        mask: Which frames are true, bool `(..., N)`; all of them where None.
        static_scale: Standard deviation of the sequence's code about 0, positive.
        content_scale: Standard deviation of its frames' codes about it, positive.

    Returns:
        A Normal with batch `(..., 1)` and event `(F,)`; see the formula at the top.
    """
    true = means.new_ones(means.shape[:-1]) if mask is None else mask.to(means.dtype)
    count = true.sum(-1)[..., None, None] + (content_scale / static_scale) ** 2
    loc = (means * true.unsqueeze(-1)).sum(-2, keepdim=True) / count
    return dist.Normal(loc, content_scale * count.rsqrt()).to_event(1)
