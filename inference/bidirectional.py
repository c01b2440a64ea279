"""Bounds of a model's log-likelihoods from both sides, on data that it drew itself.

Whoever draws `(z, x)` from a model has an exact sample of the posterior of `x`. Annealing from
there back to the start gives a bound from above; from the start to the posterior, one from below.
Where they meet, the settings are good enough for this model, and for real data like its own.

Source: Grosse, Ghahramani & Adams (2015), https://arxiv.org/abs/1511.02543, section 3; Grosse,
Ancha & Roy (2016), https://arxiv.org/abs/1606.02275.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import pyro
import torch
from torch import Tensor

from .annealed_path import anneal, step_of
from .annealed_result import BidirectionalBounds
from .annealed_start import Blocks, NoiseOfBlocks
from .annealing import (
    Settings,
    Stage,
    check_start,
    make_path,
    make_settings,
    make_start,
    part,
    pilot_steps,
)
from .blocks import BLOCK, padded
from .check import PairError
from .continuous import ContinuousModel, require_continuous
from .device import device_of
from .evaluating import likelihoods_of, own_noise
from .noise_seeds import mix, seed_noise
from .sites import Program, Runner, in_mode, modules_of
from .whole_numbers import whole_number

_MIXING = 10
"""Moves at the posterior that take the chains of a datum apart before they run back."""


def bidirectional_bounds(
    model: Program,
    guide: Program | None = None,
    *,
    size: int = 32,
    keys: Sequence[str] = ("x",),
    conditions: Mapping[str, Tensor] | None = None,
    chains: int = 16,
    temperatures: int = 1000,
    schedule: str = "sigmoid",
    leapfrog_steps: int = 10,
    start: str = "prior",
    seed: int = 0,
    rows: int = 2048,
    device: str | torch.device | None = None,
    progress: Callable[[float], None] | None = None,
) -> BidirectionalBounds:
    """Draw data from a model and bound their log-likelihoods by annealing in both directions.

    Step sizes are those of a pilot, so that the moves are exactly reversible. The chains that run
    backwards share their datum's exact posterior sample and are taken apart by some moves at the
    posterior, which leave each of them exact.

    Args:
        model: The generative program: continuous latents, in the plate of data. Without data,
            `model(None, *conditions, size=B)` draws them.
        guide: The inference program, which is only used with `start="guide"`; None otherwise.
        size: Number `N` of data to draw, at least 1.
        keys: What the programs are called with, in order: names of sites that are observed
            otherwise, and of conditions.
        conditions: Further arguments by name, `(N, ...)` each.
        chains: Number `C` of chains per datum and direction, at least 1; 2 for errors.
        temperatures: Number `T` of steps of the path, at least 1.
        schedule: `"sigmoid"`, finer near both ends, or `"linear"`.
        leapfrog_steps: Leapfrog steps of a move, at least 1.
        start: `"prior"` or `"guide"`, as in `annealed_log_likelihood`.
        seed: Seed of the data and the noise, at least 0. The global random state is left as it
            was.
        rows: Evaluations of the model's nets at a time.
        device: Where it runs; where the programs' parameters are, unless given.
        progress: Called now and then with the number of data done, a fraction within a block.

    Returns:
        The bounds, float64 in nats, with errors and the data.

    Raises:
        NoLikelihoodError: If the model has no likelihood that annealing can give.
        PairError: If the model draws no site of a name in `keys`, a net does not broadcast over
            chains, or the guide lacks a site.
        TypeError: If the latents are neither float32 nor float64.
        ValueError: If a setting is out of range or a condition has another size.
    """
    settings = make_settings(chains, temperatures, schedule, leapfrog_steps, seed, rows)
    seed = settings.seed
    check_start(start, guide)
    size = whole_number("size", size, 1)
    given = dict(conditions or {})
    for name, value in given.items():
        if len(value) != size:
            raise ValueError(f"conditions[{name!r}] has size {len(value)}; expected size={size}")
    modules = modules_of(*[program for program in (model, guide) if program is not None])
    place = torch.device(device) if device is not None else device_of(*modules)
    found: list[tuple[Tensor, ...]] = []
    drawn: list[tuple[Tensor, ...]] = []
    everything = [range(size)[i : i + BLOCK] for i in range(0, size, BLOCK)]
    with torch.no_grad(), in_mode(False, modules), own_noise(place):
        for first in range(0, len(everything), settings.blocks_at_a_time):
            rows_of = everything[first : first + settings.blocks_at_a_time]
            pieces = [_simulate(model, keys, given, chosen, seed, place) for chosen in rows_of]
            group = [(first + i, piece.args) for i, piece in enumerate(pieces)]
            continuous = require_continuous(
                model, padded(pieces[0].args), BLOCK, likelihoods_of(model)
            )
            exact = torch.cat([continuous.latents.vectors(piece.values) for piece in pieces])
            report = part(progress, rows_of[0].start, rows_of[-1].stop)
            with pyro.validation_enabled(False):
                used = guide if start == "guide" else None
                found.append(_bounds(continuous, used, exact, group, settings, report))
            drawn.extend(piece.args for piece in pieces)
    forward, backward, acceptance, least = (torch.cat(p) for p in zip(*found, strict=True))
    entries = [torch.cat(entry).cpu() for entry in zip(*drawn, strict=True)]
    return BidirectionalBounds(
        forward=forward.cpu(),
        backward=backward.cpu(),
        acceptance=acceptance.cpu(),
        least_acceptance=least.cpu(),
        data=dict(zip(keys, entries, strict=True)),
        temperatures=temperatures,
        seed=seed,
    )


class _Drawn(NamedTuple):
    """Data that a model drew: values by site, and the arguments that it is called with."""

    values: dict[str, Tensor]
    args: tuple[Tensor, ...]


def _simulate(
    model: Program,
    keys: Sequence[str],
    conditions: Mapping[str, Tensor],
    rows: range,
    seed: int,
    place: torch.device,
) -> _Drawn:
    """Draw a block: 32 data, of which `rows` are kept, so that noise does not depend on them."""
    index, count = rows.start // BLOCK, len(rows)
    here = {name: value[rows.start : rows.stop].to(place) for name, value in conditions.items()}
    full = dict(zip(here, padded(tuple(here.values())), strict=True)) if here else {}
    seed_noise(mix(seed, index, Stage.SIMULATION), 0, place)
    sites = Runner().run(partial(model, size=BLOCK), tuple(map(full.get, keys))).sites
    for key in keys:
        if key not in full and key not in sites:
            raise PairError(
                f"the model draws no site {key!r}, only {', '.join(map(repr, sites)) or 'none'}, "
                "and conditions have none of that name. Name the observed sites in keys"
            )
    values = {name: site.value[:count] for name, site in sites.items()}
    return _Drawn(values, tuple(here[key] if key in here else values[key] for key in keys))


def _bounds(
    model: ContinuousModel,
    guide: Program | None,
    exact: Tensor,
    group: Blocks,
    settings: Settings,
    progress: Callable[[float], None] | None,
) -> tuple[Tensor, ...]:
    """Log-weights of both directions, `(B, C)`, and acceptance rates, `(B,)`."""
    seed, chains = settings.seed, settings.chains
    start = make_start(model, guide, group, settings)
    path = make_path(model, start, group, settings)
    steps = pilot_steps(path, start, group, settings, part(progress, 0.0, 0.2))
    forward = anneal(
        path,
        start.draw(chains, seed, Stage.START),
        steps,
        NoiseOfBlocks(group, seed, Stage.MOVES),
        progress=part(progress, 0.2, 0.6),
    )
    point = path.density(exact.expand(chains, *exact.shape))
    noise = NoiseOfBlocks(group, seed, Stage.MIXING)
    for _ in range(_MIXING):
        point, _ = step_of(path, point, settings.betas.numel() - 1, steps, noise)
    backward = anneal(
        path,
        point.position,
        steps,
        NoiseOfBlocks(group, seed, Stage.BACKWARDS),
        backwards=True,
        progress=part(progress, 0.6, 1.0),
    )
    acceptance = (forward.acceptance + backward.acceptance) / 2
    least = torch.minimum(forward.least_acceptance, backward.least_acceptance)
    return forward.log_weights.T, backward.log_weights.T, acceptance, least
