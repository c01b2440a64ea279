"""What joint critics are shown: data with their codes, held against data with other codes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .examples import AgainstPrior, TwoSamples, code_rows
from .hooks import Batch
from .image_examples import data_rows
from .terms import Terms

FindMoments = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From data `(n, ...)` to mean and standard deviation of their codes, each `(n, K)`."""


@dataclass(frozen=True)
class JointAgainstPrior:
    """Data with codes of the guide against the same data with draws of the prior.

    The best critic's log-ratio of the two is `log q(z|x) - log p(z)`, whose mean is the divergence
    of the posterior from the prior, also of guides without a density.

    Args:
        site: A latent site with one code per datum.
        data: The observed site of the data.

    Source: Mescheder et al. (2017), eq. 3.3, https://arxiv.org/abs/1701.04722.
    """

    site: str
    data: str = "x"

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.site, self.data)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> TwoSamples:  # noqa: D102
        codes = AgainstPrior(self.site)(terms, batch, reference)
        x = repeated_data(terms, self.data, self.site)
        others = None if codes.reference is None else (x, *codes.reference)
        return TwoSamples((x, *codes.own), others)


@dataclass(frozen=True)
class AgainstMoments:
    """Data with standardised codes of the guide against the same with standard normal draws.

    Codes are standardised by mean and standard deviation of the guide given their datum, so that
    a critic has to tell the shape of the posterior alone: the adaptive contrast.

    Args:
        site: A latent site with one code per datum.
        moments: Returns the moments of codes of data; None to take them over `draws` runs of the
            guide, which samples them.
        draws: Number of those runs, at least 2.
        data: The observed site of the data.

    Raises:
        ValueError: If `draws` is less than 2.

    Source: Mescheder et al. (2017), section 4, https://arxiv.org/abs/1701.04722.
    """

    site: str
    moments: FindMoments | None = None
    draws: int = 16
    data: str = "x"

    def __post_init__(self) -> None:
        if not isinstance(self.draws, int) or self.draws < 2:
            raise ValueError(f"draws is {self.draws}; expected an integer of at least 2")

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.site, self.data)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> TwoSamples:  # noqa: D102
        mean, scale = self.contrast(terms)
        own = (code_rows(terms, self.site) - mean) / scale
        x = repeated_data(terms, self.data, self.site)
        return TwoSamples((x, own), (x, torch.randn_like(own)) if reference else None)

    @torch.no_grad()
    def contrast(self, terms: Terms) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each row's code, `(n, K)`, without a graph.

        Raises:
            ValueError: If the codes do not vary from draw to draw.
        """
        codes = code_rows(terms, self.site)
        if self.moments is not None:
            mean, scale = self.moments(data_rows(terms[self.data]))
            copies = len(codes) // len(mean)
            mean, scale = mean.repeat(copies, 1), scale.repeat(copies, 1)
        else:
            runs = [terms.encode(*terms.args)[self.site].value for _ in range(self.draws)]
            drawn = torch.stack(runs).reshape(self.draws, *codes.shape)
            mean, scale = drawn.mean(0), drawn.std(0)
        return mean, scale.clamp(min=SMALLEST_SCALE)


SMALLEST_SCALE = 1e-4


def repeated_data(terms: Terms, data: str, site: str) -> Tensor:
    """The data, one row for every code of a latent site, `(n, ...)`."""
    x, codes = data_rows(terms[data]), code_rows(terms, site)
    return x.repeat(len(codes) // len(x), *(1,) * (x.dim() - 1))
