"""Codes that suit an image better than those that the guide names at once.

A guide is one net for all images, and what it says of a single one may be far from the best that
it could say: the amortisation gap. Where codes of one site decide how the others are inferred, as
a perspective does of VITAE's appearance, a wrong one cannot be made good by the rest. This looks
for better values of one site, and lets the guide infer the others from each.

Source: Cremer, Li & Duvenaud (2018), https://arxiv.org/abs/1801.03558, section 3, for the gap;
Solis & Wets (1981), https://doi.org/10.1287/moor.6.1.19, for random search.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unbraid.inference import Program, Runner, Terms

from .latents import Batch, arguments
from .passes import (
    distribution_at,
    is_discrete,
    placed,
    prior_moments,
    sites_at_points,
    undisturbed,
)


@dataclass(frozen=True)
class SearchedCodes:
    """Codes that were searched for, and what they are worth; all on the host.

    Attributes:
        codes: By latent site, `(N, event)`: the best value of the site that was searched, and the
            guide's means of the others, given it.
        bound: The bound of each datum given the searched site at its value, `(N,)`, nats: log
            likelihood, plus log prior density of the value, less the divergences of other sites.
        before: The same at the guide's own mean of the site, `(N,)`.
        site: Name of the site that was searched.
    """

    codes: dict[str, Tensor]
    bound: Tensor
    before: Tensor
    site: str

    @property
    def gain(self) -> Tensor:
        """By how much the search raised the bound, `(N,)`, nats, at least 0."""
        return self.bound - self.before


def search_codes(
    model: Program,
    guide: Program,
    batches: Iterable[Batch],
    *,
    site: str | None = None,
    rounds: int = 4,
    candidates: int = 20,
    seed: int = 0,
) -> SearchedCodes:
    """Search one site of every datum, the other sites being inferred from each candidate.

    The search starts at the guide's mean. Each round tries candidates about the best so far, at
    half the distance of the round before: in the first, one standard deviation of the prior, where
    half of the candidates are draws of the prior, so that other modes are found, too. The best is
    kept, so that the bound of no datum falls. Candidates depend on the seed and on the batches.

    Args:
        model: The generative program, with latents in the plate of data alone.
        guide: The inference program.
        batches: Batches of data, at least one.
        site: The continuous latent site that is searched, event `(K,)`; the guide's first, unless
            given. A search finds little where K is large: 2 to 8 is its realm.
        rounds: Number of rounds, at least 1.
        candidates: Candidates of a round, at least 2.
        seed: Seed of the candidates.

    Raises:
        ValueError: If there are no batches, a number is out of range, or the pair has no such site
            or one that is discrete or of frames.
    """
    for name, value, least in (("rounds", rounds, 1), ("candidates", candidates, 2)):
        if value < least:
            raise ValueError(f"{name} is {value}; expected at least {least}. Leave it out.")
    parts: list[SearchedCodes] = []
    with undisturbed(model, guide, seed=seed):
        for batch in batches:
            search = _Search(model, guide, placed(arguments(batch), model, guide), site)
            parts.append(search.run(rounds, candidates))
    if not parts:
        raise ValueError("there are no batches; expected at least one. Pass images, [images]")
    return SearchedCodes(
        {name: torch.cat([part.codes[name] for part in parts]) for name in parts[0].codes},
        torch.cat([part.bound for part in parts]),
        torch.cat([part.before for part in parts]),
        parts[0].site,
    )


class _Search:
    """The search of one batch."""

    def __init__(
        self, model: Program, guide: Program, args: tuple[Any, ...], site: str | None
    ) -> None:
        self._model, self._guide, self._args = model, guide, args
        found = sites_at_points(guide, args)
        latents = [name for name, of in found.items() if not of.observed]
        self.site = latents[0] if site is None and latents else site or ""
        if self.site not in latents:
            raise ValueError(
                f"site is {site!r}, which the guide does not have; it has "
                f"{', '.join(latents) or 'none'}. Name one of them"
            )
        fn = found[self.site].fn
        if is_discrete(fn) or len(fn.event_shape) != 1 or len(fn.batch_shape) != 1:
            raise ValueError(
                f"site is {self.site!r}, of batch {tuple(fn.batch_shape)} and event "
                f"{tuple(fn.event_shape)}{' and discrete' if is_discrete(fn) else ''}; expected a "
                "continuous code (K,) of each datum. Search another site"
            )
        self._start = found[self.site].value
        self._sizes = {name: found[name].value.shape[1:] for name in latents}

    def run(self, rounds: int, candidates: int) -> SearchedCodes:
        """Search, and return what was found."""
        bound, codes = self._worth(self._start.unsqueeze(0))
        bound, before = bound[0], bound[0]
        codes = {name: code[0] for name, code in codes.items()}
        data = torch.arange(len(bound), device=bound.device)
        for number in range(rounds):
            tried = self._candidates(codes, number, candidates)
            found, values = self._worth(tried)
            best, which = found.max(0)
            better = best > bound
            for name, value in values.items():
                chosen = value[which, data]
                wide = better.reshape(-1, *(1 for _ in self._sizes[name]))
                codes[name] = torch.where(wide, chosen, codes[name])
            bound = torch.where(better, best, bound)
        host = {name: code.cpu() for name, code in codes.items()}
        return SearchedCodes(host, bound.cpu(), before.cpu(), self.site)

    def _candidates(self, codes: Mapping[str, Tensor], number: int, count: int) -> Tensor:
        """Values `(count, B, K)`; the prior's deviations are those given the other codes."""
        best = codes[self.site]
        mean, scale = prior_moments(distribution_at(self._model, self._args, codes, self.site))
        noise = torch.randn(count, *best.shape, dtype=best.dtype, device=best.device)
        tried = best + 0.5**number * scale * noise
        if number == 0:
            half = count // 2
            tried[:half] = mean + scale * noise[:half]
        return tried

    def _worth(self, tried: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Bounds `(R, B)` given candidates `(R, B, K)` of the site, and all codes by site."""
        guide_sites = sites_at_points(self._guide, self._args, {self.site: tried})
        values = {name: of.value for name, of in guide_sites.items() if not of.observed}
        runner = Runner()
        model_sites = runner.run(self._model, self._args, values).sites
        terms = Terms(model_sites, guide_sites, runner, self._model, self._guide, self._args)
        shape = tried.shape[:2]
        for name, value in values.items():
            _require(name, value.shape, (*shape, *self._sizes[name]))
        bound = tried.new_zeros(shape)
        for name, term in terms.items():
            given = term.observed or name == self.site or term.q is None
            part = term.log_p if given else -term.kl
            _require(name, part.shape, shape)
            bound = bound + part
        bound = bound.nan_to_num(-torch.inf, -torch.inf, -torch.inf)
        return bound, {name: v.expand(*shape, *self._sizes[name]) for name, v in values.items()}


def _require(name: str, found: torch.Size, wanted: tuple[int, ...]) -> None:
    """Refuse what does not broadcast over candidates, which would be of other data."""
    fits = len(found) <= len(wanted) and all(
        size in (1, goal) for size, goal in zip(found[::-1], wanted[::-1], strict=False)
    )
    if not fits:
        raise ValueError(
            f"site {name!r} has shape {tuple(found)} for {wanted[0]} candidates of {wanted[1]} "
            f"data; expected {tuple(wanted)}. Codes must be in the plate of data alone, and "
            "programs and nets broadcast over one more dim, left of the data's"
        )
