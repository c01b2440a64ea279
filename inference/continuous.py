"""Which models have a likelihood that gradients of codes can find: those of continuous latents."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import biject_to

from unbraid.nets import Likelihood

from .check import PairError
from .eligibility import NoLikelihoodError, is_silent, layers_of, mask_of, refuse_outside_data
from .flat_latents import FlatLatents, constant_support
from .sites import Program, Runner, Site

INSTEAD = "estimate it with log_likelihood"


class ContinuousModel(NamedTuple):
    """A model whose latents are vectors of real coordinates, one for each datum.

    Args:
        program: The generative program.
        latents: How its latent sites are laid out.
        observed: Its observed sites.
    """

    program: Program
    latents: FlatLatents
    observed: tuple[str, ...]

    def run(
        self, args: tuple[Any, ...], values: Mapping[str, Tensor] | None = None
    ) -> dict[str, Site]:
        """Run the model; values may have one more dim, left of the data's."""
        return Runner().run(self.program, args, values).sites


def require_continuous(
    model: Program, args: tuple[Any, ...], size: int, likelihoods: Sequence[Likelihood]
) -> ContinuousModel:
    """Run a model and refuse it where annealing and fitted Normals cannot give its likelihood.

    Args:
        model: The generative program.
        args: Its arguments.
        size: Number of data in `args`.
        likelihoods: What images are judged by.

    Raises:
        NoLikelihoodError: If a latent site is discrete, a point, masked or nested in a datum,
            nothing is latent or observed, a site is scaled or lies outside the plate of data, or a
            term is no likelihood; says what can be had instead.
        PairError: If the model does not run with several chains.
        TypeError: If a latent site is neither float32 nor float64.
    """
    for likelihood in likelihoods:
        if not likelihood.is_likelihood:
            raise NoLikelihoodError(
                f"{likelihood.name!r} is no likelihood: it has no normalised density of such data "
                "and no log p(x) to estimate. Train with a likelihood, such as "
                "continuous-bernoulli, or report the bound of log_likelihood, which says so"
            )
    sites = {
        name: site for name, site in Runner().run(model, args).sites.items() if not is_silent(site)
    }
    latent = [site for site in sites.values() if not site.observed]
    observed = tuple(name for name, site in sites.items() if site.observed)
    if not observed:
        raise NoLikelihoodError(
            "the model observes nothing; a likelihood needs a site with obs=x. "
            "Observe the data in the model, or compare samples instead"
        )
    if not latent:
        raise NoLikelihoodError(
            "the model has no latent site, and nothing to anneal or fit. The log_prob of its "
            "observed sites is the log-likelihood"
        )
    for site in sites.values():
        _refuse_scale(site)
    nesting = max(-plate.dim for site in sites.values() for plate in site.plates or [_NO_PLATE])
    if nesting > 1:
        inner = next(p.name for site in sites.values() for p in site.plates if p.dim > -nesting)
        raise NoLikelihoodError(
            f"the model has plate {inner!r} inside the data's; expected latents in the "
            f"plate of data alone, at dim -1. For sequences whose guide has a density, {INSTEAD}, "
            "whose inner_samples are made for them"
        )
    for site in latent:
        _refuse_latent(site)
    refuse_outside_data(sites, 1, size)
    _try_chains(model, args)
    return ContinuousModel(model, FlatLatents(latent), observed)


def _try_chains(model: Program, args: tuple[Any, ...]) -> None:
    """Make sure that the model runs with two chains, by what it draws and by what it is given."""
    try:
        drawn = Runner(1, 2).run(model, args).sites
        Runner().run(model, args, {name: s.value for name, s in drawn.items() if not s.observed})
    except (RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).partition("Trace Shapes:")[0].split())
        raise PairError(
            f"the model fails on two chains, though not on one: {reason}. Programs and nets must "
            "broadcast over one more dim, left of the data's"
        ) from error


class _NoPlate(NamedTuple):
    dim: int = -1


_NO_PLATE = _NoPlate()


def _refuse_scale(site: Site) -> None:
    if not bool(torch.as_tensor(site.scale == 1).all()):
        raise NoLikelihoodError(
            f"site {site.name!r} is scaled by {site.scale}; expected 1, since a scaled density is "
            "another one. Take poutine.scale and subsampling out of the model"
        )


def _refuse_latent(site: Site) -> None:
    name = site.name
    if any(type(fn).__name__ == "Delta" for fn in layers_of(site.fn)):
        raise NoLikelihoodError(
            f"the prior of latent site {name!r} is a point (Delta), which has no density to move "
            "in. Give the model a prior with a density, or report reconstructions"
        )
    if mask_of(site) is not None:
        raise NoLikelihoodError(
            f"latent site {name!r} is masked, so that it has no prior, or none for some data; the "
            "model is no density. Give it a prior without a mask, or report reconstructions"
        )
    kind = type(layers_of(site.fn)[-1]).__name__
    support: Any = site.fn.support
    if support.is_discrete or not site.value.is_floating_point():
        raise NoLikelihoodError(
            f"latent site {name!r} is discrete ({kind}), so that it has no gradient to follow. "
            f"Mark it for enumeration and {INSTEAD}, which sums out what has few values"
        )
    if site.value.dtype not in (torch.float32, torch.float64):
        raise TypeError(
            f"latent site {name!r} is {site.value.dtype}; expected float32 or float64, since "
            "differences of log densities get lost in less. Call model.float()"
        )
    support = constant_support(site)
    if support is None:
        raise NoLikelihoodError(
            f"the support of latent site {name!r} ({kind}) differs from datum to datum; expected "
            f"one. Sample it on a fixed support and scale it after, or {INSTEAD}"
        )
    try:
        biject_to(support)
    except NotImplementedError:
        raise NoLikelihoodError(
            f"latent site {name!r} ({kind}) has support {support}, which real coordinates do not "
            f"map to; gradients need that. For this model, {INSTEAD}"
        ) from None
