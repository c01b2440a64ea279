"""What importance samples are drawn from: the guide, wider if asked, and a share of the prior.

A proposal that is narrower than the posterior leaves rare samples with huge weights, and an
estimate that is too low. Two remedies keep the estimate unbiased for p(x): Normals of the guide
with larger scales, and a defensive mixture with the prior, under whose density
`q(z) = a p(z) + (1 - a) q(z | x)` no weight `p(x, z) / q(z)` exceeds `p(x | z) / a`. Each unit of
samples has a fixed number of the prior's, as lower variance asks for.

Source: Hesterberg (1995), Weighted average importance sampling and defensive mixture
distributions, Technometrics 37, 185-194, for the mixture; Owen & Zhou (2000),
https://doi.org/10.1080/01621459.2000.10473909, section 2, for numbers of samples that are fixed,
under the density of the whole.
"""

import math
from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
from pyro.poutine.messenger import Messenger
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from .eligibility import Layout
from .guide_draws import UNIT
from .sites import Program, Runner


@dataclass(frozen=True)
class Proposal:
    """What the samples of `log_likelihood` are drawn from; the guide as it is unless said.

    Args:
        widen: Factor of the standard deviations of the guide's Normals, above 0; 1 leaves them.
        prior_share: Share of the samples that the prior gives, in [0, 1), rounded to whole samples
            of 32: at least 1 of them unless it is 0, at most 31.

    Raises:
        ValueError: If a number is out of range.
    """

    widen: float = 1.0
    prior_share: float = 0.0

    def __post_init__(self) -> None:
        for name, number in (("widen", self.widen), ("prior_share", self.prior_share)):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ValueError(f"{name} is {number!r}; expected a number")
        if not (math.isfinite(self.widen) and self.widen > 0):
            raise ValueError(
                f"widen is {self.widen}; expected a number above 0, such as 1.5: a factor of the "
                "guide's standard deviations"
            )
        if not 0 <= self.prior_share < 1:
            raise ValueError(
                f"prior_share is {self.prior_share}; expected a share in [0, 1), such as 0.1"
            )

    @property
    def is_guide(self) -> bool:
        """Whether samples are drawn from the guide as it is."""
        return self.widen == 1 and self.prior_share == 0

    @property
    def of_prior(self) -> int:
        """Samples of every 32 that the prior gives."""
        if self.prior_share == 0:
            return 0
        return min(UNIT - 1, max(1, round(self.prior_share * UNIT)))


class WidenedGuide:
    """A guide whose Normals have larger standard deviations.

    Args:
        guide: The inference program.
        factor: Of the standard deviations.
    """

    def __init__(self, guide: Program, factor: float) -> None:
        self._guide, self._factor = guide, factor

    def __call__(self, *args: Any) -> Any:
        """Run the guide."""
        with _Widening(self._factor):
            return self._guide(*args)


class _Widening(Messenger):
    """Give a program's latent Normals larger scales before they are sampled."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    # Messages are Any: Pyro's own type leaves every key of them optional.
    def _pyro_sample(self, msg: Any) -> None:
        if not msg["is_observed"]:
            msg["fn"] = widened(msg["fn"], self._factor) or msg["fn"]


def widened(fn: Any, factor: float) -> Distribution | None:
    """A Normal with its standard deviations times a factor; None of any other distribution."""
    if isinstance(fn, Independent | dist.MaskedDistribution):
        base: Any = widened(fn.base_dist, factor)
        if base is None:
            return None
        if isinstance(fn, Independent):
            return dist.Independent(base, fn.reinterpreted_batch_ndims)
        return base.mask(fn._mask)
    if isinstance(fn, Normal):
        return dist.Normal(fn.loc, fn.scale * factor)
    if isinstance(fn, MultivariateNormal):
        return dist.MultivariateNormal(fn.loc, scale_tril=fn.scale_tril * factor)
    return None


def has_normals(guide: Program, args: tuple[Any, ...], layout: Layout) -> bool:
    """Whether a guide has Normals, which a proposal can widen.

    Args:
        guide: The inference program.
        args: Its arguments.
        layout: How the pair is laid out.
    """
    return any(widened(site.fn, 1.0) is not None for site in _sites(guide, args, layout).values())


def require_proposal(
    proposal: Proposal, guide: Program, args: tuple[Any, ...], layout: Layout, inner: int
) -> None:
    """Refuse a proposal that cannot be had of a pair.

    Args:
        proposal: What is asked for.
        guide: The inference program.
        args: Its arguments.
        layout: How the pair is laid out.
        inner: Samples of nested sites per sample of the others.

    Raises:
        ValueError: If the guide has no Normal to widen, or the prior is to be mixed in where sites
            are enumerated or nested samples averaged.
    """
    if proposal.is_guide:
        return
    can_widen = has_normals(guide, args, layout)
    if proposal.widen != 1 and not can_widen:
        kinds = ", ".join(f"{name!r}" for name in _sites(guide, args, layout))
        raise ValueError(
            f"widen is {proposal.widen}, but none of the guide's sites {kinds} is a Normal; "
            "expected 1. Mix in the prior instead: prior_share=0.1"
        )
    if not proposal.of_prior:
        return
    if layout.enumerated:
        instead = "Widen the guide instead: widen=1.5" if can_widen else "Leave it out"
        raise ValueError(
            f"prior_share is {proposal.prior_share}, but a discrete site is enumerated, which is "
            f"summed out and not drawn; expected 0. {instead}"
        )
    if inner > 1:
        instead = ", or widen the guide instead: widen=1.5" if can_widen else ""
        raise ValueError(
            f"prior_share is {proposal.prior_share} and inner_samples is {inner}; expected "
            f"inner_samples 1, since the mixture is of whole sequences. Leave one of them out"
            f"{instead}"
        )


def _sites(guide: Program, args: tuple[Any, ...], layout: Layout) -> Any:
    return Runner(layout.nesting, 1, layout.enumerated).run(guide, args).sites
