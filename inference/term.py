"""One site's part of the evidence lower bound, and divergences in closed form."""

from functools import cached_property
from typing import TypeGuard

from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits

from .eligibility import layers_of, mask_of
from .sites import Site, apply_mask


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
    def is_point(self) -> bool:
        """Whether the guide gives a point where the model has a density.

        Then the site has no divergence; `kl` is `-log_p` at the point, and there is no bound.
        """
        if self._q is None or mask_of(self._p) is False:
            return False
        return _is_point(self._q.fn) and not _is_point(self.p)

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
        if not isinstance(divergence, Tensor):  # of what is masked out as a whole
            divergence = self.value.new_zeros(site.fn.batch_shape)
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
        if not isinstance(divergence, Tensor):
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
        return scaled(self.log_p, scale).sum()


def _require_guide(term: Term) -> Site:
    if term.guide_site is None:
        raise ValueError(
            f"site {term.name!r} has no guide distribution; "
            "a divergence exists for latent sites that guide and model share"
        )
    return term.guide_site


def _is_point(fn: Distribution) -> bool:
    return any(type(layer).__name__ == "Delta" for layer in layers_of(fn))


def scaled(value: Tensor, scale: float | Tensor) -> Tensor:
    """`value * scale`, without a multiplication by the number one."""
    return value if isinstance(scale, float | int) and scale == 1 else value * scale


def _is_logits_bernoulli(base: Distribution, value: Tensor) -> TypeGuard[Bernoulli]:
    return (
        isinstance(base, Bernoulli)
        and type(base).log_prob is Bernoulli.log_prob
        and "logits" in base.__dict__
        and value.shape == base.logits.shape
    )


def _analytic_kl(q: Distribution, p: Distribution) -> Tensor | float | None:
    """KL(q || p) of batch shape, or None where torch has no closed form; 0.0 if masked out."""
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
