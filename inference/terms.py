"""The terms of the evidence lower bound, site by site, of one pass of a guide and its model."""

import copy
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .check import PairError
from .enumeration import Factor, average, marginalise, plate_dims
from .recording import ParameterSlots
from .sites import Plate, Program, Runner, Site
from .term import Term, scaled


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

    Attributes:
        constants: What hooks found of this pass, without gradients, and share, by a key of theirs;
            the detached terms of the same pass have it too.
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
        self.constants: dict[Any, Any] = {}
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
    def _plates(self) -> list[Plate]:
        return [
            plate
            for name in (*self.observed, *self.latents)
            for plate in self._terms[name].model_site.plates
            if plate.name != "particles"
        ]

    @cached_property
    def _data_plate(self) -> Plate:
        """The plate of data: the one named `data`, else the leftmost."""
        named = [plate for plate in self._plates if plate.name == "data"]
        chosen = named or sorted(self._plates, key=lambda plate: plate.dim)
        return chosen[0] if chosen else Plate("data", -1, 1, 1)

    @property
    def size(self) -> int:
        """Number `B` of data in the batch."""
        return self._data_plate.size

    @property
    def population(self) -> int:
        """Number of data that scaled sums over the batch are of: more where a plate subsamples."""
        return self._data_plate.full_size

    def per_datum(self, value: Tensor) -> Tensor:
        """Reduce a batch-shaped tensor to one number per datum, `(B,)`.

        Other plates are summed over, particles and what a replay laid out on the left averaged.
        A term outside the data plate, such as a global latent's, is shared out equally.
        """
        dim, size = self._data_plate.dim, self.size
        if value.dim() < -dim:
            return (value.sum() / size).expand(size)
        if dim < -1:
            value = value.sum(tuple(range(dim + 1, 0)))
        outside = {plate.dim - dim - 1 for plate in self._plates if plate.dim < dim}
        outside = tuple(sorted(left for left in outside if value.dim() >= -left))
        if outside:
            value = value.sum(outside, keepdim=True)
        if value.dim() > 1:
            value = value.mean(tuple(range(value.dim() - 1)))
        return value if len(value) == size else (value.sum() / size).expand(size)

    def in_data_plate(self, value: Tensor) -> bool:
        """Whether a batch-shaped tensor has an entry of its own for each datum."""
        dim = self._data_plate.dim
        return value.dim() >= -dim and value.shape[dim] == self.size

    def per_particle(self, value: Tensor) -> Tensor:
        """Reduce a batch-shaped tensor to a number per particle and datum, `(S, B)`.

        Other plates are summed over; what all particles share is repeated.
        """
        count, dim = self._runner.particles, self._data_plate.dim
        missing = 1 if count == 1 else -self._runner.particle_dim - value.dim()
        value = value[(None,) * missing]
        others = [d for d in range(1 - value.dim(), 0) if d != dim]
        summed = value.sum(others) if others else value
        return summed.expand(count, self.size)

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
            _refuse_hidden_outside(hidden, list(summed.values()))
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
    def points(self) -> tuple[str, ...]:
        """Latent sites that are points in the guide and not in the model: with one, no bound."""
        return tuple(name for name in self.latents if self._terms[name].is_point)

    @property
    def elbo(self) -> Tensor:
        """The bound of each datum, `(B,)`, nats; mean over particles, at unit weights.

        With `points`, it is the log joint density of data and points, which bounds nothing.
        """
        parts = [self.per_datum(scaled(f.value, f.scale)) for f in self.factors]
        return scaled(torch.stack(parts).sum(0), self.size / self.population)

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

    def encode(self, *args: Any, held: bool = False) -> Mapping[str, Site]:
        """Run the guide on other arguments, such as decoded images; return its sites by name.

        Args:
            args: The arguments.
            held: Whether the guide is a constant, whose parameters no gradient reaches; what it
                tells still depends on the arguments. A guide that is no module is not held.
        """
        if not (held and isinstance(self._guide, nn.Module)):
            return self._runner.run(self._guide, args).sites
        parameters = list(self._guide.parameters())
        slots = ParameterSlots([self._guide], parameters)
        with slots.holding([parameter.detach() for parameter in parameters]):
            return self._runner.run(self._guide, args).sites

    def detach(self) -> "Terms":
        """The same terms without gradients, for the losses of critics."""
        detached = Terms(
            {term.name: _detached(term.model_site) for term in self.values()},
            {name: _detached(site) for name, site in self._guide_sites.items()},
            self._runner,
            self._model,
            self._guide,
            self._args,
            self._analytic,
        )
        detached.constants = self.constants
        return detached


def _refuse_hidden_outside(hidden: list[Site], summed: list[Site]) -> None:
    """Refuse what `pyro.infer.TraceEnum_ELBO` does, as no sum over the guide's sites is exact."""
    for site in hidden:
        for inner in summed:
            if not plate_dims(inner) <= plate_dims(site):
                raise PairError(
                    f"site {site.name!r} is summed out in the model, outside of plates of "
                    f"{inner.name!r}, which the guide sums out; expected the model's to be in "
                    f"the guide's plates. Enumerate {site.name!r} in the guide too"
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
