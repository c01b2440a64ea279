"""What a critic of domains is shown."""

from dataclasses import dataclass

import torch

from .examples import Labelled, batch_labels, code_rows
from .hooks import Batch
from .terms import Terms


@dataclass(frozen=True)
class DomainsOneSided:
    """Codes with their domain, of which those of one domain alone are moved.

    Values are those of `WithAttribute`; no gradient reaches the codes of other domains. So source
    codes stay where the labels put them, and target codes come to them.

    Args:
        site: A latent site with one code per datum.
        key: Key of the batch that holds the domain.
        column: Column of `factors`.
        moved: The domain whose codes are moved.
        discrete: As of `WithAttribute`.

    Source: Tzeng et al. (2017), eq. 9, https://arxiv.org/abs/1702.05464.
    """

    site: str
    key: str = "factors"
    column: int | None = 0
    moved: int = 1
    discrete: bool = False

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.site,)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> Labelled:  # noqa: D102
        codes = code_rows(terms, self.site)
        domain = batch_labels(batch, self.key, self.column, self.discrete)
        domain = domain.repeat(len(codes) // len(domain))
        moves = (domain == self.moved).unsqueeze(-1)
        return Labelled((torch.where(moves, codes, codes.detach()),), domain)
