"""The posterior of single data as draws, with importance weights or by chains, for ArviZ."""

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray
from torch import Tensor

from unbraid.inference import Program, Runner, Term, Terms, check_pair, pareto_k, tail_length

from .chain_draws import DRAWN, chain_tree, variable
from .latents import arguments
from .passes import reseed, undisturbed

CHUNK = 50  # draws that are made together
WAYS = ("importance", "resampled", "nuts")
WARMUP, CHAINS = 500, 4  # of nuts, unless given


def posterior(
    model: Program,
    guide: Program,
    batch: Tensor | tuple[Any, ...],
    *,
    by: str = "importance",
    draws: int = 1000,
    warmup: int | None = None,
    chains: int | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> xarray.DataTree:
    r"""Draw codes of every datum from the posterior `p(z | x)`.

    - `"importance"`: draws of the guide, each with its weight `p(x, z) / q(z | x)`, which stand
      for the posterior as far as the effective sample size reaches;
    - `"resampled"`: these, taken with replacement by their weights, so that they stand for it as
      they are;
    - `"nuts"`: the No-U-Turn sampler, one datum after the other, in chains that start at draws of
      the guide. It takes seconds or minutes for a datum, and continuous codes of single data.

    Args:
        model: The generative program.
        guide: The inference program.
        batch: `B` data: images, or all arguments of the pair.
        by: How.
        draws: Number `S` of draws of each datum, at least 1; of nuts of each chain, at least 10.
        warmup: Of nuts alone: moves of each chain that are thrown away, at least 10; 500 unless
            given.
        chains: Of nuts alone: chains of each datum; 4 unless given.
        seed: Of all draws.
        progress: Of nuts: called with the number of data done.

    Returns:
        Groups `posterior` (a variable per latent site, dims `chain` 1, `draw` S, `datum` B, and
        those of the site), `sample_stats` (`log_weight`, nats, normalised so that weights of a
        datum add up to 1; all equal where resampled), `log_likelihood` (`log p(x | z)` by observed
        site, nats), `observed_data`, and `diagnostics` by datum: `log_evidence` (the estimate of
        `log p(x)`, nats), `effective_sample_size` and `pareto_k` of the weights. Of nuts, `chain`
        counts the chains, `sample_stats` has `diverging`, and by chain `acceptance_rate` and
        `step_size`; `diagnostics` has `r_hat_SITE` and `ess_SITE` of each coordinate, and by datum
        `r_hat` and `effective_sample_size` of the worst one, and the share of `divergences`.

    Raises:
        ValueError: If a number is out of range or of another way, there is no such way, or a site
            of the guide is a point, whose draws are all the same and have no weights. Of nuts, if
            a code is discrete or of frames.

    Source: importance resampling: Rubin (1988), Bayesian Statistics 3, 395-402.

    Example:
        >>> arviz_base.extract(posterior(run.model, run.guide, images, by="resampled"))
    """
    if by not in WAYS:
        raise ValueError(f"by is {by!r}; expected one of {', '.join(WAYS)}")
    if by == "nuts":
        return chain_tree(
            model,
            guide,
            arguments(batch),
            draws=draws,
            warmup=WARMUP if warmup is None else warmup,
            chains=CHAINS if chains is None else chains,
            seed=seed,
            progress=progress,
        )
    for name, value in (("warmup", warmup), ("chains", chains)):
        if value is not None:
            raise ValueError(
                f"{name} is {value} and by is {by!r}; expected by='nuts', which alone has chains. "
                f"Leave {name} out"
            )
    if not isinstance(draws, Integral) or isinstance(draws, bool) or draws < 1:
        raise ValueError(f"draws is {draws}; expected an integer of at least 1")
    args = arguments(batch)
    drawn = _draws(model, guide, args, draws, seed)
    diagnostics = _of_weights(drawn.log_weights)
    return _tree(_resampled(drawn, seed) if by == "resampled" else drawn, diagnostics)


class _Drawn(NamedTuple):
    """Draws of `B` data, by site.

    Attributes:
        codes: `(S, B, ...)`.
        likelihoods: log p(x | z), `(S, B)`.
        log_weights: `(S, B)`.
        observed: Observed values, `(B, ...)`.
    """

    codes: dict[str, Tensor]
    likelihoods: dict[str, Tensor]
    log_weights: Tensor
    observed: dict[str, Tensor]


def _of_weights(log_weights: Tensor) -> xarray.Dataset:
    """What the weights come to, and how far they reach, by datum."""
    draws = len(log_weights)
    largest = log_weights.sort(0, descending=True).values
    found = {
        "log_evidence": log_weights.logsumexp(0) - math.log(draws),
        "effective_sample_size": (
            2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)
        ).exp(),
        "pareto_k": pareto_k(largest[: tail_length(draws) + 1], draws),
    }
    return xarray.Dataset({name: ("datum", value.numpy()) for name, value in found.items()})


def _resampled(drawn: _Drawn, seed: int) -> _Drawn:
    """Take as many draws with replacement by their weights, which are equal then."""
    shares, draws = drawn.log_weights.softmax(0), len(drawn.log_weights)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(shares.T, draws, True, generator=generator).T
    return drawn._replace(
        codes={name: _taken(value, chosen) for name, value in drawn.codes.items()},
        likelihoods={n: value.gather(0, chosen) for n, value in drawn.likelihoods.items()},
        log_weights=torch.zeros_like(shares),
    )


def _tree(drawn: _Drawn, diagnostics: xarray.Dataset) -> xarray.DataTree:
    draws, count = drawn.log_weights.shape
    shares = drawn.log_weights.log_softmax(0)
    coordinates = {"chain": [0], "draw": np.arange(draws), "datum": np.arange(count)}
    codes = {name: variable(value[None], DRAWN, name) for name, value in drawn.codes.items()}
    likelihoods = {n: (DRAWN, value[None].numpy()) for n, value in drawn.likelihoods.items()}
    weights = {"log_weight": (DRAWN, shares[None].numpy())}
    observed = {name: variable(v, ("datum",), name) for name, v in drawn.observed.items()}
    return xarray.DataTree.from_dict(
        {
            "posterior": xarray.Dataset(codes, coordinates),
            "sample_stats": xarray.Dataset(weights, coordinates),
            "log_likelihood": xarray.Dataset(likelihoods, coordinates),
            "observed_data": xarray.Dataset(observed),
            "diagnostics": diagnostics,
        }
    )


def _draws(model: Program, guide: Program, args: tuple[Any, ...], draws: int, seed: int) -> _Drawn:
    codes: dict[str, list[Tensor]] = {}
    likelihoods: dict[str, list[Tensor]] = {}
    weights: list[Tensor] = []
    observed: dict[str, Tensor] = {}
    with undisturbed(model, guide, seed=seed):
        nesting = check_pair(model, guide, *args).nesting
        reseed(seed)
        for start in range(0, draws, CHUNK):
            count = min(CHUNK, draws - start)
            runner = Runner(nesting, particles=max(2, count))
            terms = Terms(*runner.run_pair(model, guide, args), runner, model, guide, args)
            if terms.points:
                raise ValueError(
                    f"site {terms.points[0]!r} of the guide is a point; expected distributions. "
                    "Draws of a point are all the same, and have no weights"
                )
            shape = (runner.particles, len(args[0]))
            total = torch.zeros(shape, dtype=torch.float64)
            for name, term in terms.items():
                log_p = _by_datum(term.log_p, shape)
                total = total + log_p
                if term.observed:
                    likelihoods.setdefault(name, []).append(log_p[:count])
                    observed[name] = _without_draws(term, nesting)
                    continue
                if term.log_q is not None:
                    total = total - _by_datum(term.log_q, shape)
                codes.setdefault(name, []).append(_of_draws(term, shape)[:count])
            weights.append(total[:count])
    return _Drawn(
        codes={name: torch.cat(of) for name, of in codes.items()},
        likelihoods={name: torch.cat(of) for name, of in likelihoods.items()},
        log_weights=torch.cat(weights),
        observed=observed,
    )


def _by_datum(value: Tensor, shape: tuple[int, int]) -> Tensor:
    """Sum what is nested in a datum, such as frames: float64 `(S, B)`."""
    value = value.cpu().double()
    if value.dim() > 2:
        value = value.flatten(2).sum(-1)
    return value.expand(shape)


def _of_draws(term: Term, shape: tuple[int, int]) -> Tensor:
    """The values of a latent site, `(S, B, ...)`; a site that no draw changes is repeated."""
    value = term.value.cpu()
    if value.dim() - len(term.p.event_shape) < 2:
        value = value.unsqueeze(0)
    return value.expand(*shape, *value.shape[2:])


def _without_draws(term: Term, nesting: int) -> Tensor:
    """The values of an observed site, `(B, ...)`."""
    value = term.value.cpu()
    return value[0] if value.dim() - len(term.p.event_shape) > nesting else value


def _taken(value: Tensor, chosen: Tensor) -> Tensor:
    index = chosen.reshape(*chosen.shape, *(1,) * (value.dim() - 2))
    return value.gather(0, index.expand(*chosen.shape, *value.shape[2:]))
