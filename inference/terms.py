"""The terms of the evidence lower bound, site by site, of one pass of a guide and its model."""

import copy
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits

from .enumeration import Factor, average, marginalise, plate_dims
from .sites import Program, Runner, Site, apply_mask


class Term:
    """One site's part of the bound: its value, and its distributions in model and guide.

    Attributes:
        name: Name of the site.
        p: The model's distribution.
        q: The guide's distribution; None for observed sites and for sites that only the model has.
        value: The site's value, `(batch, event)`.
        observed: Whether the value is data.
    """

    def __init__(self, p: Site, q: Site | None, analytic_kl: bool = True) -> None:
        self._p, self._q, self._analytic = p, q, analytic_kl

    @property
    def name(self) -> str:  # noqa: D102
        return self._p.name

    @property
    def p(self) -> Distribution:  # noqa: D102
        return self._p.fn

    @property
    def q(self) -> Distribution | None:  # noqa: D102
        return None if self._q is None else self._q.fn

    @property
    def value(self) -> Tensor:  # noqa: D102
        return self._p.value

    @property
    def observed(self) -> bool:  # noqa: D102
        return self._p.observed

    @property
    def model_site(self) -> Site:
        """The site as the model saw it, with its plates, scale and mask."""
        return self._p

    @property
    def guide_site(self) -> Site | None:
        """The site as the guide saw it."""
        return self._q

    @cached_property
    def log_p(self) -> Tensor:
        """Log density of the value under the model, batch shape, nats; masked, not scaled."""
        return self._p.log_prob()

    @cached_property
    def log_q(self) -> Tensor:
        """Log density of the value under the guide, batch shape, nats; masked, not scaled."""
        return _require_guide(self).log_prob()

    @cached_property
    def kl(self) -> Tensor:
        """Divergence of the guide from the model, batch shape, nats.

        Analytic where torch knows a closed form, else `log_q - log_p` at the value.
        """
        site = _require_guide(self)
        divergence = _analytic_kl(site.fn, self.p) if self._analytic else None
        if divergence is None:
            return self.log_q - self.log_p
        return apply_mask(divergence, site.mask)

    @cached_property
    def kl_per_dimension(self) -> Tensor | None:
        """The divergence by latent dimension, `(batch, K)`; None where q or p is joint."""
        site = _require_guide(self)
        q = site.fn
        if not (isinstance(q, Independent) and isinstance(self.p, Independent)):
            return None
        if q.reinterpreted_batch_ndims != 1 or self.p.reinterpreted_batch_ndims != 1:
            return None
        divergence = _analytic_kl(q.base_dist, self.p.base_dist)
        if divergence is None:
            return None
        mask = site.mask
        return apply_mask(divergence, mask.unsqueeze(-1) if isinstance(mask, Tensor) else mask)

    def log_p_total(self) -> Tensor:
        """Sum of `log_p` over the batch, scaled, a scalar; in one kernel for Bernoulli pixels."""
        fn, value, mask, scale = self.p, self.value, self._p.mask, self._p.scale
        base = fn.base_dist if isinstance(fn, Independent) else fn
        if mask is None and isinstance(scale, float | int) and _is_logits_bernoulli(base, value):
            total = -binary_cross_entropy_with_logits(base.logits, value, reduction="sum")
            return total if scale == 1 else total * scale
        return _scaled(self.log_p, scale).sum()


def _require_guide(term: Term) -> Site:
    if term.guide_site is None:
        raise ValueError(
            f"site {term.name!r} has no guide distribution; "
            "a divergence exists for latent sites that guide and model share"
        )
    return term.guide_site


def _scaled(value: Tensor, scale: float | Tensor) -> Tensor:
    return value if isinstance(scale, float | int) and scale == 1 else value * scale


def _is_logits_bernoulli(base: Distribution, value: Tensor) -> TypeGuard[Bernoulli]:
    return (
        isinstance(base, Bernoulli)
        and type(base).log_prob is Bernoulli.log_prob
        and "logits" in base.__dict__
        and value.shape == base.logits.shape
    )


def _analytic_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) of batch shape, or None where torch has no closed form."""
    normal = _normal_kl(q, p)
    if normal is not None:
        return normal
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def _normal_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL of (diagonal) Gaussians in one pass over their parameters; None for anything else."""
    dims = 0
    if isinstance(q, Independent) and isinstance(p, Independent):
        if q.reinterpreted_batch_ndims != p.reinterpreted_batch_ndims:
            return None
        dims, q, p = q.reinterpreted_batch_ndims, q.base_dist, p.base_dist
    if not (isinstance(q, Normal) and isinstance(p, Normal)):
        return None
    ratio = q.scale / p.scale
    shift = (q.loc - p.loc) / p.scale
    divergence = 0.5 * (ratio * ratio + shift * shift - 1.0) - ratio.log()
    return divergence.sum(tuple(range(-dims, 0))) if dims else divergence


class Terms(Mapping[str, Term]):
    """All sites of one pass of guide and model, by name, latent ones first.

    Args:
        model_sites: Sites of the model, in the order in which it ran.
        guide_sites: Sites of the guide.
        runner: How the pair was run.
        model: The model, for `replay`.
        guide: The guide, for `encode`.
        args: The arguments of the pass.
        analytic_kl: Whether divergences are analytic where torch has a closed form.
    """

    def __init__(
        self,
        model_sites: Mapping[str, Site],
        guide_sites: Mapping[str, Site],
        runner: Runner,
        model: Program,
        guide: Program,
        args: tuple[Any, ...],
        analytic_kl: bool = True,
    ) -> None:
        self._runner, self._model, self._guide, self._args = runner, model, guide, args
        self._analytic = analytic_kl
        self._terms = {
            name: Term(site, guide_sites.get(name), analytic_kl)
            for name, site in sorted(model_sites.items(), key=lambda item: item[1].observed)
        }
        self._guide_sites = guide_sites
        self.latents = tuple(n for n, t in self._terms.items() if not t.observed)
        self.observed = tuple(n for n, t in self._terms.items() if t.observed)

    def __getitem__(self, name: str) -> Term:
        try:
            return self._terms[name]
        except KeyError:
            raise KeyError(f"no site {name!r}; the pair has {', '.join(self._terms)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._terms)

    def __len__(self) -> int:
        return len(self._terms)

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments of the pass."""
        return self._args

    @property
    def runner(self) -> Runner:
        """How the pair was run: plate nesting, particles, enumeration."""
        return self._runner

    @cached_property
    def _data_plate(self) -> tuple[int, int]:
        """Dim and size of the plate of data: the one named `data`, else the leftmost."""
        plates = [
            plate
            for name in (*self.observed, *self.latents)
            for plate in self._terms[name].model_site.plates
            if plate.name != "particles"
        ]
        named = [plate for plate in plates if plate.name == "data"]
        chosen = named or sorted(plates, key=lambda plate: plate.dim)
        return (chosen[0].dim, chosen[0].size) if chosen else (-1, 1)

    @property
    def size(self) -> int:
        """Number `B` of data in the batch."""
        return self._data_plate[1]

    def per_datum(self, value: Tensor) -> Tensor:
        """Reduce a batch-shaped tensor to one number per datum, `(B,)`.

        Plates inside the data plate are summed over, particles averaged.
        A term outside the data plate, such as a global latent's, is shared out equally.
        """
        dim, size = self._data_plate
        if value.dim() < -dim:
            return (value.sum() / size).expand(size)
        if dim < -1:
            value = value.sum(tuple(range(dim + 1, 0)))
        if value.dim() > 1:
            value = value.mean(tuple(range(value.dim() - 1)))
        return value if len(value) == size else (value / size).expand(size)

    @cached_property
    def factors(self) -> list[Factor]:
        """The summands of the bound at unit weights, batch-shaped, discrete sites summed out."""
        hidden = [t.model_site for t in self.values() if t.model_site.enum_dim is not None]
        summed = {n: s for n, s in self._guide_sites.items() if s.enum_dim is not None}
        if not hidden:
            factors = [
                self._factor(term, term.log_p if term.observed else -term.kl)
                for term in self.values()
            ]
        else:
            densities = [self._factor(term, term.log_p) for term in self.values()]
            entropies = [
                self._factor(term, -term.log_q) for term in self.values() if term.q is not None
            ]
            factors = marginalise(densities, hidden) + entropies
        return [average(factor, summed) for factor in factors] if summed else factors

    @staticmethod
    def _factor(term: Term, value: Tensor) -> Factor:
        return Factor(term.name, value, plate_dims(term.model_site), term.model_site.scale)

    @property
    def elbo(self) -> Tensor:
        """The bound of each datum, `(B,)`, nats; mean over particles, at unit weights."""
        parts = [self.per_datum(_scaled(f.value, f.scale)) for f in self.factors]
        return torch.stack(parts).sum(0)

    def replay(self, values: Mapping[str, Tensor]) -> "Terms":
        """Run the model again with some latents replaced, the others as they were.

        Args:
            values: New values by site name, of the old shape or with more leading dims.

        Returns:
            The terms of the new run; latent sites keep the guide's old distributions.

        Raises:
            KeyError: If a name is no latent site of the pair.
        """
        unknown = [name for name in values if name not in self.latents]
        if unknown:
            raise KeyError(
                f"no latent site {unknown[0]!r}; the pair has {', '.join(self.latents)}"
            )
        kept = {name: self._terms[name].value for name in self.latents}
        run = self._runner.run(self._model, self._args, {**kept, **values})
        return Terms(
            run.sites,
            self._guide_sites,
            self._runner,
            self._model,
            self._guide,
            self._args,
            self._analytic,
        )

    def encode(self, *args: Any) -> Mapping[str, Site]:
        """Run the guide on other arguments, such as decoded images; return its sites by name."""
        return self._runner.run(self._guide, args).sites

    def detach(self) -> "Terms":
        """The same terms without gradients, for the losses of critics."""
        return Terms(
            {term.name: _detached(term.model_site) for term in self.values()},
            {name: _detached(site) for name, site in self._guide_sites.items()},
            self._runner,
            self._model,
            self._guide,
            self._args,
            self._analytic,
        )


def _detached(site: Site) -> Site:
    return site._replace(fn=_detached_distribution(site.fn), value=site.value.detach())


def _detached_distribution(fn: Distribution) -> Distribution:
    """A shallow copy of a distribution with its tensors, also nested ones, detached."""
    result = copy.copy(fn)
    for key, value in vars(fn).items():
        if isinstance(value, Tensor):
            result.__dict__[key] = value.detach()
        elif isinstance(value, Distribution):
            result.__dict__[key] = _detached_distribution(value)
    return result
