"""The posterior of codes given some pixels: its unnormalised density, and what codes decode to."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from unbraid.nets import Likelihood

from .check import PairError
from .continuous import ContinuousModel, require_continuous
from .eligibility import NoLikelihoodError, is_silent
from .joint_density import JointDensity
from .masked_pixels import log_density_of_seen, require_pixels
from .sites import Program, Runner, Site


def require_maskable(
    model: Program,
    args: tuple[Any, ...],
    observed: Tensor,
    site: str,
    likelihoods: Sequence[Likelihood],
) -> ContinuousModel:
    """Run a model and refuse it where it has no posterior given some pixels that can be found.

    Args:
        model: The generative program.
        args: Its arguments.
        observed: Bool `(N, C, H, W)`, true where a pixel is seen.
        site: The site of the images.
        likelihoods: What images are judged by.

    Raises:
        NoLikelihoodError: If latents are discrete or of frames, or the pixels are not independent
            given the codes; or as `require_continuous` says.
        PairError: If the model has no such site, or does not broadcast over draws.
    """
    sites = Runner().run(model, args).sites
    if site not in sites or not sites[site].observed:
        seen = [repr(name) for name, s in sites.items() if s.observed and not is_silent(s)]
        raise PairError(
            f"site is {site!r}, which the model does not observe; it observes "
            f"{', '.join(seen) or 'nothing'}. Name the site of the images"
        )
    for name, found in sites.items():
        if found.observed or is_silent(found):
            continue
        support: Any = found.fn.support
        if support.is_discrete:
            raise NoLikelihoodError(
                f"latent site {name!r} is discrete; the posterior given some pixels is found for "
                "continuous codes alone. Complete with a pair without it, or give it as a "
                "condition: a cvae"
            )
    if any(plate.dim < -1 for found in sites.values() for plate in found.plates):
        raise NoLikelihoodError(
            "the model has a plate inside the data's, such as frames of a sequence; expected "
            "single images in the plate of data. Complete the frames with a pair of images"
        )
    require_pixels(sites[site], observed)
    return require_continuous(model, args, len(observed), likelihoods)


class MaskedDensity(JointDensity):
    """The joint density of codes and seen pixels for a fixed group of `B` images.

    Args:
        model: The model.
        args: Its arguments; the hidden pixels of the images are of no account.
        observed: Bool `(B, C, H, W)`.
        site: The site of the images.
        rows: Evaluations of the model's nets at a time, though at least one for each image.
    """

    def __init__(
        self,
        model: ContinuousModel,
        args: tuple[Tensor, ...],
        observed: Tensor,
        site: str,
        rows: int,
    ) -> None:
        super().__init__(model, args, rows)
        self.observed, self.site = observed, site

    def of(self, datum: int) -> "MaskedDensity":
        """The density of one of the images alone."""
        args = tuple(arg[datum : datum + 1] for arg in self.args)
        seen = self.observed[datum : datum + 1]
        return MaskedDensity(self.model, args, seen, self.site, self._rows)

    def _log_density(self, site: Site) -> Tensor:
        if site.name == self.site:
            return log_density_of_seen(site, self.observed)
        return super()._log_density(site)

    def completed(self, vectors: Tensor) -> Tensor:
        """Mean images of codes `(S, B, K)` with the seen pixels kept, `(S, B, C, H, W)`."""
        values, _ = self.model.latents.values(vectors)
        site = self.model.run(self.args, values)[self.site]
        return kept(site, self.observed)

    def mean_completed(self, vectors: Tensor, weights: Tensor) -> Tensor:
        """Weighted mean of the completed images.

        Args:
            vectors: Codes `(S, B, K)`.
            weights: Weights `(S, B)` that sum to 1 over the draws.

        Returns:
            Images `(B, C, H, W)`.
        """
        total = torch.zeros_like(self.args[0])
        at_a_time = self._at_a_time
        for part, share in zip(vectors.split(at_a_time), weights.split(at_a_time), strict=True):
            images = self.completed(part)
            total = total + (share.to(images)[..., None, None, None] * images).sum(0)
        return torch.where(self.observed, self.args[0], total)


def kept(site: Site, observed: Tensor) -> Tensor:
    """The mean images of a site with the seen pixels of its value kept; a draw without a mean."""
    fn: Any = site.fn
    try:
        images = fn.mean
    except (NotImplementedError, AttributeError):
        images = fn.sample()
    return torch.where(observed, site.value, images)


def encoded(guide: Program, names: Sequence[str], args: tuple[Tensor, ...]) -> Mapping[str, Site]:
    """Run the guide and return its sites.

    Raises:
        PairError: If it lacks one of `names`.
    """
    sites = Runner().run(guide, args).sites
    for name in names:
        if name not in sites:
            raise PairError(
                f"latent site {name!r} is in the model but not in the guide, which has "
                f"{', '.join(map(repr, sites)) or 'no sites'}. Sample {name!r} in the guide too"
            )
    return sites
