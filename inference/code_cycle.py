"""A swapped code is told again from the images that it makes, so that no other code says it."""

from torch import Tensor
from torch.distributions import Distribution, Normal, kl_divergence

from .eligibility import layers_of
from .hooks import Batch, Hook
from .sites import Site
from .standardised import standardised_codes
from .term import Term
from .terms import Terms
from .weights import Weight, as_weight


class CodeCycle(Hook):
    r"""`weight` times how far off the code is that the guide tells from images of a swapped one.

    With the code \( c_{b-1} \) of the clip before it in the batch and its own codes elsewhere, the
    model makes mean images \( \bar x_b \) of each clip. What the guide tells from them is held
    against what it told from the data of that other clip:

    \[ \frac wB \sum_b \mathrm{KL}\left( \mathrm{const}[q(c \mid x_{b-1})] \;\|\;
    q(c \mid \bar x_b) \right) \]

    in nats, for Normals. Points have no such divergence; of them it is the mean squared difference
    of codes that are standardised over the batch, as in `CodeSimilarity`.

    Where another code says what this one is to hold, and the decoder heeds it, the images show it
    and the guide tells it. So this sees what a critic of codes does not: what a decoder alone can
    read. The swapped code is a constant, and so is the guide where it looks at the images, as code
    and images could agree on marks that nobody sees: decoder and other codes are moved.

    Sources: the cycle of swapped codes is that of Jha et al. (2018), section 3,
    https://arxiv.org/abs/1804.10469, who compare the code that was not swapped, by its distance.

    Args:
        site: A latent site with one code `(F,)` per clip, of a guide called `guide(x, length,
            companions)` that tells it from the companions.
        weight: Number of at least 0, or a schedule.
        images: The observed site.
        name: Name of its part of the loss.

    Example:
        >>> CodeCycle("static", 1.0)
    """

    def __init__(
        self,
        site: str,
        weight: float | Weight = 1.0,
        images: str = "x",
        name: str = "cycle",
    ) -> None:
        super().__init__()
        self.name, self.sites = name, (site, images)
        self.weight = as_weight(weight)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted distance, a scalar.

        Raises:
            ValueError: If the site has no guide or is no code of clips, or there are several
                particles or a single clip.
        """
        site, images = self.sites
        own = _code_of_clips(terms[site])
        swapped = terms.replay({site: own.value.detach().roll(1, 0)})
        made = swapped[images].p.mean.roll(-1, 0)  # in the row of the clip whose code it shows
        found = terms.encode(made, None, made, held=True)[site]
        return self.weight(_distance(own.fn, found.fn), None)


def _code_of_clips(term: Term) -> Site:
    site = term.guide_site
    if site is None:
        raise ValueError(
            f"site {term.name!r} is not sampled in the guide; expected a code of clips. Choose "
            "another site"
        )
    shape = tuple(site.value.shape)
    if len(shape) != 3 or shape[1] != 1:
        raise ValueError(
            f"codes of site {term.name!r} are {shape}; expected (B, 1, F), one per clip and one "
            "particle. Choose a site of clips, and particles=1"
        )
    if shape[0] < 2:
        raise ValueError(
            "the batch holds 1 clip; expected at least 2, whose codes can be swapped. Use a "
            "larger batch (--batch-size), or more clips"
        )
    return site


def _distance(own: Distribution, found: Distribution) -> Tensor:
    """How far what was found is from the code itself, a constant; mean over clips."""
    target, told = layers_of(own)[-1], layers_of(found)[-1]
    if isinstance(target, Normal) and isinstance(told, Normal):
        constant = Normal(target.loc.detach(), target.scale.detach())
        return kl_divergence(constant, told).sum(-1).mean()
    wanted = standardised_codes(own.mean.detach())
    return (standardised_codes(found.mean) - wanted).square().mean()
