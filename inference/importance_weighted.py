r"""The importance-weighted bound as an objective: several draws of the guide, weighed together.

\[ L_K(x) = E_{z_1, \dots, z_K \sim q(z|x)} \log \frac{1}{K} \sum_{k=1}^K
\frac{p(x, z_k)}{q(z_k|x)}, \qquad \text{ELBO} = L_1 \le L_K \le \log p(x) \]

Source: Burda, Grosse & Salakhutdinov (2016), eq. 8, https://arxiv.org/abs/1509.00519.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .check import PairError, PairFacts
from .hooks import Hook
from .objective import Objective, total
from .sites import Program, modules_of
from .term import Term, scaled
from .terms import Terms
from .untouched import untouched
from .weights import Weight
from .whole_numbers import whole_number


class ImportanceWeighted(Objective):
    """Negative importance-weighted bound with weights and hooks, as a `pyro.infer.ELBO`.

    With unit weights and no hook, on the same noise, it equals `RenyiELBO(alpha=0)` of a pair
    whose data are a plate. The best draw of a datum counts most, so draws that explain it badly
    cost little beside one that does not, where the ELBO counts all of them alike. Gradients of the
    guide become noisier beside their size as draws grow in number (Rainforth et al. 2018,
    https://arxiv.org/abs/1802.04537). A weight that is a factor multiplies its site's
    log-ratio before draws are weighed: during a warm-up from 0 draws are weighed by what they say
    of the data.

    Args:
        particles: Number `K` of draws of the guide per datum, at least 1; a step takes about
            that many times as long.
        weights: As of `Objective`; those that are factors, such as `Constant` and `LinearWarmup`.
        hooks: As of `Objective`; they see all draws.

    Raises:
        ValueError: As of `Objective`, or if a weight is none of a factor.
        PairError: At the first step, if the pair sums out classes, has a point where the model
            has a density, or a site outside of the plate of data: it has no such bound.
    """

    def __init__(
        self,
        particles: int,
        weights: Mapping[str, float | Weight] | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:
        super().__init__(weights, hooks, whole_number("particles", particles, 1), False)
        for name, weight in self.weights.items():
            if not weight.is_factor:
                raise ValueError(
                    f"the weight of {name!r} is a {type(weight).__name__}; expected one that "
                    "multiplies each draw's term (Constant, LinearWarmup, SigmoidWarmup) where "
                    "several draws are weighed. Choose one of those, or particles=1"
                )

    @property
    def ends_as_bound(self) -> bool:
        """Whether it is the ELBO in the end: with a single draw only."""
        return self.num_particles == 1 and super().ends_as_bound

    def facts(self, model: Program, guide: Program, args: tuple[Any, ...]) -> PairFacts:
        """Check a pair at its first use, as `Objective` does, and that it has such a bound."""
        known = len(self._checked)
        facts = super().facts(model, guide, args)
        if len(self._checked) > known:
            tensors = [arg for arg in args if isinstance(arg, Tensor)]
            try:
                with untouched(modules_of(model, guide), tensors), torch.no_grad():
                    self._require_bound(self.terms(model, guide, args))
            except PairError:
                self._checked.popitem()  # so that it is refused again
                raise
        return facts

    def _require_bound(self, terms: Terms) -> None:
        if terms.runner.enumerate:
            raise PairError(
                "the pair sums out classes, and importance-weighted training does not; expected "
                "draws of every latent site. Train with particles=1"
            )
        if terms.points:
            raise PairError(
                f"guide site {terms.points[0]!r} is a point, whose draws are all alike; expected "
                "a density where several draws are weighed. Train with particles=1"
            )
        for term in terms.values():
            if not terms.in_data_plate(term.log_p):
                raise PairError(
                    f"site {term.name!r} lies outside of the plate of data, so that no datum "
                    "has a weight of its own; expected all sites in it. Train with particles=1"
                )

    def _bound_loss(self, terms: Terms) -> tuple[Tensor, dict[str, Tensor]]:
        costs = {
            name: scaled(terms.per_particle(_cost(term)), terms.size / terms.population)
            for name, term in terms.items()
        }
        log_weights = -total([self._share(terms, name, cost) for name, cost in costs.items()])
        bound = torch.logsumexp(log_weights, 0) - math.log(self.num_particles)
        means = {name: cost.detach().mean() for name, cost in costs.items()}
        return -bound.mean(), {"elbo": -total(list(means.values())), **means}

    def _share(self, terms: Terms, name: str, cost: Tensor) -> Tensor:
        weight = self.weight_of(terms, name)
        return cost if weight is None else weight(cost, None)


def _cost(term: Term) -> Tensor:
    """Cost of each draw of a site, scaled, batch shape: -log p of data, log q - log p of codes."""
    cost = -scaled(term.log_p, term.model_site.scale)
    guide = term.guide_site
    return cost if guide is None else cost + scaled(term.log_q, guide.scale)
