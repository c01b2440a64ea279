r"""Mixed codes: chunks of one datum's code, the others of another's, and what they decode to.

\[ f_3 = m \odot f_1 + (1 - m) \odot f_2, \qquad m_k \sim \text{Bernoulli}(1/2), \qquad x_3 =
\text{Dec}(f_3) \]

Source: Hu et al. (2018), https://arxiv.org/abs/1711.07410.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .aggregate import sampled_codes
from .examples import TwoSamples
from .hooks import Batch
from .image_examples import data_rows, mean_rows
from .terms import Terms


class Mixture(NamedTuple):
    """Mixed codes of a batch.

    Args:
        images: Mean images of the mixed codes, `(B, C, H, W)`.
        mask: 1 where a chunk is the datum's own, 0 where the other's, float `(B, chunks)`.
        wide: The same for each coordinate, `(B, K)`.
        codes: The data's own codes, `(B, K)`.
        first: The data themselves, `(B, C, H, W)`.
        second: The others, `(B, C, H, W)`.
    """

    images: Tensor
    mask: Tensor
    wide: Tensor
    codes: Tensor
    first: Tensor
    second: Tensor


def mix(terms: Terms, site: str, chunks: int, images: str = "x") -> Mixture:
    """Mix each datum's code with that of the datum before it in the batch.

    Args:
        terms: Terms of the pair, of one particle.
        site: A latent site with one code `(K,)` per datum.
        chunks: Number of chunks of equal size, a divisor of `K`.
        images: The observed site of the images.

    Raises:
        ValueError: If `chunks` does not divide the code, or there are several particles, or as
            `sampled_codes`.
    """
    codes = sampled_codes(terms, site)
    if codes.dim() != 2:
        raise ValueError(
            f"codes of site {site!r} are {tuple(codes.shape)}; expected (B, K), one particle. "
            "Mix with particles=1"
        )
    size = chunk_size(codes.shape[-1], chunks)
    mask = (torch.rand(len(codes), chunks, device=codes.device) < 0.5).to(codes.dtype)
    wide = mask.unsqueeze(-1).expand(-1, -1, size).flatten(1)
    mixed = wide * codes + (1.0 - wide) * codes.roll(1, 0)
    x = data_rows(terms[images])
    made = mean_rows(terms.replay({site: mixed})[images])
    return Mixture(made, mask, wide, codes, x, x.roll(1, 0))


def chunk_size(width: int, chunks: int) -> int:
    """Number of coordinates in each chunk of a code.

    Raises:
        ValueError: If there are fewer than two chunks, or they do not divide the code evenly.
    """
    if not isinstance(chunks, int) or chunks < 2 or width % chunks:
        divisors = [str(n) for n in range(2, width + 1) if width % n == 0]
        raise ValueError(
            f"chunks is {chunks}; expected a divisor of {width}, the size of the code, of at "
            f"least 2 ({', '.join(divisors) or 'none'}). Change one of the two"
        )
    return width // chunks


@dataclass(frozen=True)
class MixedImages:
    """Images of mixed codes, against the data.

    Args:
        code: A latent site with one code per datum.
        chunks: Number of its chunks.
        site: The observed site of the images.

    Source: Hu et al. (2018), https://arxiv.org/abs/1711.07410.
    """

    code: str
    chunks: int
    site: str = "x"

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.code, self.site)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> TwoSamples:  # noqa: D102
        mixed = mix(terms, self.code, self.chunks, self.site)
        return TwoSamples((mixed.images,), (mixed.first,) if reference else None)
