r"""Reconstruction with a code of another datum, which shares what that code is to hold.

\[ -\log p(x_1 \mid z(x_1), s(x_1')), \qquad x_1' \text{ a partner of } x_1 \]

Whatever partners do not share cannot come from `s` then. Nothing keeps the rest out of `z`.

Source: Mathieu et al. (2016), section 3, https://arxiv.org/abs/1611.03383; Szabó et al. (2017),
https://arxiv.org/abs/1711.02245.
"""

from collections.abc import Mapping

from torch import Tensor

from .hooks import Batch, Hook
from .terms import Terms
from .weights import Weight, as_weight

PARTNER = "partner"


class SwappedReconstruction(Hook):
    """`weight` times `-log p(x)` given the partner's code at one site and own codes at the others.

    Args:
        shared: The latent site whose code comes from the partner.
        weight: Weight, a number of at least 0 or a schedule.
        site: The observed site.
        keys: Keys of a partner in the batch that the guide takes.
    """

    name = "swapped"

    def __init__(
        self,
        shared: str,
        weight: float | Weight = 1.0,
        site: str = "x",
        keys: tuple[str, ...] = ("x",),
    ) -> None:
        super().__init__()
        self.sites = (shared, site)
        self.shared, self.site, self.keys = shared, site, keys
        self.weight = as_weight(weight)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted cost, nats per datum.

        Raises:
            ValueError: If the batch has no partners.
        """
        partner = partner_of(batch)
        codes = terms.encode(*(partner[key] for key in self.keys))[self.shared].value
        swapped = terms.replay({self.shared: codes})
        return self.weight(-swapped.per_datum(swapped[self.site].log_p).mean(), None)


def partner_of(batch: Batch) -> Mapping[str, Tensor]:
    """The partners of a batch, by key.

    Raises:
        ValueError: If it has none.
    """
    if PARTNER not in batch:
        raise ValueError(
            f"the batch has no {PARTNER!r}; it has {', '.join(map(repr, batch))}. Train with "
            "Batches(partners=...), which names what partners share"
        )
    return batch[PARTNER]
