"""What a clip keeps is the same, whichever of its frames tells it: DrNet's similarity loss."""

import torch
from torch import Tensor

from .exchanged import exchanged_sites
from .hooks import Batch, Hook
from .standardised import standardised_codes
from .terms import Terms
from .weights import Weight, as_weight


class CodeSimilarity(Hook):
    r"""`weight` times the mean squared difference of the codes that two frames of a clip give.

    \[ w \, \frac1{BF} \sum_{b,k} \left( c_{bk}(x_i) - \mathrm{const}[c_{bk}(x_j)] \right)^2 \]

    The guide infers the code from `companions`, the frames \( x_i \); the frames `x`, \( x_j \),
    are encoded the same way, and what they give is a constant target: only one of the two codes is
    pulled. Guides that are Normals are compared by their means.

    Small codes would make it small at no cost to a decoder that takes them large. So codes are
    standardised first: each coordinate of either code has mean 0 and variance 1 over the batch,
    as the published code's have, whose encoders end in a batch normalisation. Then the loss is
    `2 w (1 - r)`, with the mean `r` over coordinates of the correlation between both frames.

    Source: Denton & Birodkar (2017), section 3.1, https://arxiv.org/abs/1705.10915, and its code
    for the mean over coordinates and for the constant target.

    Args:
        site: A latent site of clips, event `(F,)`, of a guide called `guide(x, length,
            companions)`.
        weight: Number of at least 0, or a schedule.
        coordinates: How many of the first coordinates are compared; all unless given.
        standardised: Whether codes are standardised over the batch first.
        name: Name of its part of the loss.

    Raises:
        ValueError: If `coordinates` is no positive integer.

    Example:
        >>> CodeSimilarity("static", 1.0)
    """

    def __init__(
        self,
        site: str,
        weight: float | Weight = 1.0,
        coordinates: int | None = None,
        standardised: bool = True,
        name: str = "similarity",
    ) -> None:
        super().__init__()
        if coordinates is not None and coordinates < 1:
            raise ValueError(f"coordinates is {coordinates}; expected at least 1, or None for all")
        self.name, self.sites = name, (site,)
        self.coordinates, self.standardised = coordinates, standardised
        self.weight = as_weight(weight)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted difference, a scalar.

        Raises:
            ValueError: If the batch has no companions, or the site no guide, or a single clip has
                to be standardised.
        """
        q = terms[self.sites[0]].q
        if q is None:
            raise ValueError(
                f"site {self.sites[0]!r} is not sampled in the guide; expected a code of clips. "
                "Choose another site"
            )
        target = exchanged_sites(terms, batch)[self.sites[0]].fn.mean
        chosen = slice(self.coordinates)
        own, target = (
            code[..., chosen].to(torch.promote_types(code.dtype, torch.float32))
            for code in (q.mean, target.detach())
        )
        if self.standardised:
            own, target = standardised_codes(own), standardised_codes(target)
        return self.weight((own - target).square().mean(), None)
