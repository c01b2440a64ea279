"""The objective: the negative evidence lower bound with weighted terms and loss hooks."""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from pyro.infer import ELBO
from torch import Tensor, nn

from .check import PairFacts, check_pair, pair_parameters
from .hooks import Batch, Hook
from .sites import Program, Runner, owner
from .term import Term
from .terms import Terms
from .weights import Weight, as_weight
from .whole_numbers import whole_number

ALL_LATENTS = "kl"


class Routed(NamedTuple):
    """A penalty that moves one side only.

    Args:
        penalty: Nats per datum.
        side: `"model"` or `"guide"`.
        hook: Name of the hook that it comes from.
    """

    penalty: Tensor
    side: str
    hook: str


class Loss(NamedTuple):
    """The objective of one batch.

    Args:
        total: What the optimiser minimises, penalties with a parameter group of their own left
            out; nats per datum.
        routed: Penalties that move one side only.
        parts: Detached nats per datum: `loss`, `elbo` (at unit weights; not where the guide gives
            points, which have no bound, nor where a part of it is not logged), each site's cost
            but of those whose weight says that it is not logged, each hook's penalty.
        terms: The terms of the pass.
    """

    total: Tensor
    routed: list[Routed]
    parts: dict[str, Tensor]
    terms: Terms


class Objective(ELBO):
    """Negative evidence lower bound with weights and hooks, as a `pyro.infer.ELBO`.

    With unit weights and no hook, on the same noise, it equals `TraceMeanField_ELBO`, or
    `Trace_ELBO` with `analytic_kl=False`, or `TraceEnum_ELBO` where sites are enumerated. The pair
    itself stays pure: weights and hooks are here alone, so a likelihood computed from the pair
    never contains them.

    Args:
        weights: Number or `Weight` by site name; `"kl"` stands for every latent site without an
            entry of its own.
        hooks: Loss hooks, in the order in which their penalties are added.
        particles: Number of samples of the guide per datum, at least 1.
        analytic_kl: Whether divergences are analytic where torch has a closed form.

    Raises:
        ValueError: If `particles` is no positive integer, two hooks have one name, or one schedule
            is given twice.
    """

    def __init__(
        self,
        weights: Mapping[str, float | Weight] | None = None,
        hooks: Sequence[Hook] = (),
        particles: int = 1,
        analytic_kl: bool = True,
    ) -> None:
        particles = whole_number("particles", particles, 1)
        super().__init__(num_particles=particles, vectorize_particles=True)
        self.weights = {name: as_weight(weight) for name, weight in (weights or {}).items()}
        self.hooks = tuple(hooks)
        self.analytic_kl = analytic_kl
        self._checked: dict[tuple[int, int], tuple[Any, Any, PairFacts]] = {}
        _refuse_shared_schedules(self.weights, self.hooks)
        names = [hook.name for hook in hooks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"two hooks are named {name!r}; expected one name each. Set .name"
                )

    @property
    def ends_as_bound(self) -> bool:
        """Whether it is the bound alone in the end: no hook, and weights that come to 1."""
        return not self.hooks and all(weight.ends_as_bound for weight in self.weights.values())

    def facts(self, model: Program, guide: Program, args: tuple[Any, ...]) -> PairFacts:
        """Check a pair at its first use, and the names that weights and hooks ask for."""
        owners = (owner(model), owner(guide))
        key = (id(owners[0]), id(owners[1]))
        seen = self._checked.get(key)
        if seen is not None and seen[0]() is owners[0] and seen[1]() is owners[1]:
            return seen[2]
        facts = check_pair(model, guide, *args)
        self._check_names(facts)
        for parameter in facts.parameters[:1]:
            self.as_module().to(parameter.device)
        self._checked[key] = (weakref.ref(owners[0]), weakref.ref(owners[1]), facts)
        return facts

    def _check_names(self, facts: PairFacts) -> None:
        sites = (*facts.latents, *facts.observed)
        listed = ", ".join(sites)
        for name in self.weights:
            if name not in (*sites, ALL_LATENTS):
                raise ValueError(
                    f"a weight is given for {name!r}; expected a site of the pair ({listed}) "
                    "or 'kl'. Rename it"
                )
        for hook in self.hooks:
            missing = [name for name in hook.sites if name not in sites]
            if missing:
                raise ValueError(
                    f"hook {hook.name!r} reads site {missing[0]!r}; the pair has {listed}. "
                    "Choose a pair with that site or another hook"
                )

    def terms(self, model: Program, guide: Program, args: tuple[Any, ...]) -> Terms:
        """Run the pair once and return its terms."""
        facts = self.facts(model, guide, args)
        runner = Runner(facts.nesting, self.num_particles, facts.enumerated)
        p, q = runner.run_pair(model, guide, args)
        return Terms(p, q, runner, model, guide, args, self.analytic_kl)

    def mean_loss(
        self, model: Program, guide: Program, args: tuple[Any, ...], batch: Batch | None = None
    ) -> Loss:
        """Compute the loss of one batch, nats per datum.

        Args:
            model: The generative program.
            guide: The inference program.
            args: The arguments of both.
            batch: What hooks are given as batch; `{"x": args[0]}` unless given.
        """
        terms = self.terms(model, guide, args)
        alone, parts = self._bound_loss(terms)
        routed: list[Routed] = []
        loss = alone
        for hook in self.hooks:
            penalty = hook.penalty(terms, {"x": args[0]} if batch is None else batch)
            if penalty is None:
                continue
            shares = penalty if isinstance(penalty, Mapping) else {hook.moves: penalty}
            parts[hook.name] = total([share.detach() for share in shares.values()])
            loss = loss + parts[hook.name]
            for side, share in shares.items():
                if side is None:
                    alone = alone + share
                else:
                    routed.append(Routed(share, side, hook.name))
        return Loss(alone, routed, {"loss": loss.detach(), **parts}, terms)

    def _bound_loss(self, terms: Terms) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted terms' sum, nats per datum, and what is logged of it, detached."""
        sums = self._cost_sums(terms)
        count = terms.population * self.num_particles
        loss = total(list(sums.values())) / count
        logged = [name for name in sums if self._logged(terms, name)]
        bounded = len(logged) == len(sums) and not terms.points
        parts = {"elbo": -loss.detach()} if bounded else {}
        parts |= {name: sums[name].detach() / count for name in logged}
        if len(self.weights):
            loss = total([self._weigh(terms, name, cost / count) for name, cost in sums.items()])
        return loss, parts

    def _cost_sums(self, terms: Terms) -> dict[str, Tensor]:
        """Cost by site, summed: -log p(x|z) of observed sites, KL of latent ones."""
        if not terms.runner.enumerate:
            return {name: _cost(term) for name, term in terms.items()}
        sums: dict[str, Tensor] = {}
        for factor in terms.factors:
            self._refuse_weights(terms, factor.sites)
            share = -(factor.value * factor.scale).sum()
            sums[factor.name] = sums[factor.name] + share if factor.name in sums else share
        return sums

    def _refuse_weights(self, terms: Terms, sites: tuple[str, ...]) -> None:
        """Refuse weights on single densities that were summed out together."""
        joint = len(sites) > 1
        named = [name for name in sites if name in self.weights and joint]
        mixed = joint and ALL_LATENTS in self.weights and any(terms[n].observed for n in sites)
        if named or mixed:
            raise ValueError(
                f"a weight is given for {named[0] if named else ALL_LATENTS!r}, but sites "
                f"{', '.join(sites)} are summed out together and have no terms of their own. "
                "Drop it, or enumerate in the guide"
            )

    def _weigh(self, terms: Terms, name: str, cost: Tensor) -> Tensor:
        term, weight = terms[name], self.weight_of(terms, name)
        if weight is None:
            return cost
        per_dimension = None
        if weight.needs_dimensions and not term.observed and term.kl_per_dimension is not None:
            divergence = _scaled_divergence(term, term.kl_per_dimension)
            per_dimension = divergence.reshape(-1, divergence.shape[-1]).sum(0)
            per_dimension = per_dimension / (terms.population * self.num_particles)
        return weight(cost, per_dimension)

    def _logged(self, terms: Terms, name: str) -> bool:
        weight = self.weight_of(terms, name)
        return weight is None or weight.logged

    def weight_of(self, terms: Terms, name: str) -> Weight | None:
        """Return the weight of a site's term; None where none is given."""
        if name in self.weights:
            return self.weights[name]
        return None if terms[name].observed else self.weights.get(ALL_LATENTS)

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Any:
        raise NotImplementedError("the objective runs a pair without traces; use terms()")

    def as_module(self) -> nn.ModuleDict:
        """Weights and hooks as one module, for devices and checkpoints."""
        return nn.ModuleDict(
            {"weights": nn.ModuleDict(self.weights), "hooks": nn.ModuleList(self.hooks)}
        )

    def advance(self) -> None:
        """Go on to the next step of every schedule."""
        for weight in self.weights.values():
            weight.advance()
        for hook in self.hooks:
            hook.advance()

    def differentiable_loss(self, model: Program, guide: Program, *args: Any) -> Tensor:
        """Return the loss summed over the batch, nats, with its graph; Pyro's convention."""
        loss = self.mean_loss(model, guide, args)
        return (
            total([loss.total, *(routed.penalty for routed in loss.routed)])
            * loss.terms.population
        )

    @torch.no_grad()
    def loss(self, model: Program, guide: Program, *args: Any) -> float:
        """Return the loss summed over the batch, nats; Pyro's convention."""
        loss = self.mean_loss(model, guide, args)
        return float(loss.parts["loss"]) * loss.terms.population

    def loss_and_grads(self, model: Program, guide: Program, *args: Any) -> float:
        """Return the loss summed over the batch, nats; add its gradients to `.grad`, as Pyro."""
        loss = self.mean_loss(model, guide, args)
        parameters = self.facts(model, guide, args).parameters
        found = gradients(loss, model, guide, parameters)
        for parameter, gradient in zip(parameters, found, strict=True):
            if gradient is not None:
                gradient = gradient * loss.terms.population
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        return float(loss.parts["loss"]) * loss.terms.population


def _refuse_shared_schedules(weights: Mapping[str, Weight], hooks: Sequence[Hook]) -> None:
    """Refuse a schedule that is given twice: it would advance twice a step."""
    owners: dict[int, str] = {}
    given = [(f"weight {name!r}", weight) for name, weight in weights.items()]
    given += [
        (f"hook {hook.name!r}", child)
        for hook in hooks
        for child in hook.children()
        if isinstance(child, Weight)
    ]
    for name, weight in given:
        if next(weight.buffers(), None) is None:
            continue
        before = owners.setdefault(id(weight), name)
        if before != name:
            raise ValueError(
                f"{before} and {name} are one schedule, which would run twice as fast; expected "
                "one each. Make another, or give copy.deepcopy of it"
            )


def gradients(
    loss: Loss, model: Program, guide: Program, parameters: Sequence[Tensor]
) -> list[Tensor | None]:
    """Gradients of a loss by the pair's parameters; a routed penalty reaches its own side only.

    Args:
        loss: From `Objective.mean_loss`.
        model: The generative program.
        guide: The inference program.
        parameters: The parameters to move.

    Returns:
        One gradient per parameter, None where the loss does not depend on it, in the parameter's
        own layout.

    Raises:
        ValueError: If a penalty is routed to a side of which none of the parameters is.
    """
    keep = bool(loss.routed)
    found: list[Tensor | None] = list(
        torch.autograd.grad(loss.total, parameters, retain_graph=keep, allow_unused=True)
    )
    for i, (penalty, side, hook) in enumerate(loss.routed):
        chosen = {id(p) for p in pair_parameters(model if side == "model" else guide, _nothing)}
        places = [j for j, p in enumerate(parameters) if id(p) in chosen]
        if not places:
            raise ValueError(
                f"the penalty of hook {hook!r} moves the {side} alone, of which no parameter is "
                "trained; expected one at least. Train some of them, or leave out the hook"
            )
        more = torch.autograd.grad(
            penalty,
            [parameters[j] for j in places],
            retain_graph=i + 1 < len(loss.routed),
            allow_unused=True,
        )
        for j, gradient in zip(places, more, strict=True):
            before = found[j]
            if gradient is not None:
                found[j] = gradient if before is None else before + gradient
    return laid_out(found, parameters)


def laid_out(found: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradients with the strides of their parameters, which fused optimisers need on a GPU."""
    return [
        gradient
        if gradient is None or gradient.stride() == parameter.stride()
        else torch.empty_like(parameter).copy_(gradient)
        for gradient, parameter in zip(found, parameters, strict=True)
    ]


def _nothing() -> None:
    """A program without sites or parameters."""


def _cost(term: Term) -> Tensor:
    """Cost of a site, scaled, summed over the batch: -log p of data, KL of latent sites."""
    if term.guide_site is None:
        return -term.log_p_total()
    return _scaled_divergence(term, term.kl.sum())


def _scaled_divergence(term: Term, divergence: Tensor) -> Tensor:
    """A divergence, or that by latent dimension, times the scale of the guide's site."""
    scale = 1.0 if term.guide_site is None else term.guide_site.scale
    return divergence if isinstance(scale, float | int) and scale == 1 else divergence * scale


def total(values: Sequence[Tensor]) -> Tensor:
    """The sum of some tensors, at least one."""
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result
