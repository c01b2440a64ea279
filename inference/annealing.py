"""Log-likelihoods by annealed importance sampling: for any model with continuous latents.

Importance sampling needs a guide with a density that is close to the posterior. Annealing needs
none: it goes from the prior to the posterior in many small steps. So it also judges models whose
guide is implicit or deterministic, and checks what importance sampling said of the others.

Source: Neal (2001), https://arxiv.org/abs/physics/9803008; Wu, Burda, Salakhutdinov & Grosse
(2017), https://arxiv.org/abs/1611.04273.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path as FilePath
from typing import NamedTuple

import pyro
import torch
from torch import Tensor

from unbraid.nets import Likelihood

from .annealed_density import AnnealedDensity
from .annealed_path import Annealed, Path, anneal, temperatures_of
from .annealed_result import AnnealedLikelihood
from .annealed_start import Blocks, NoiseOfBlocks, ProgramStart, Start, guide_start
from .blocks import BLOCK, Data, blocks, padded
from .continuous import ContinuousModel, require_continuous
from .device import device_of
from .evaluating import (
    checked,
    likelihoods_of,
    own_noise,
)
from .partial_results import PartialResults, fingerprint
from .sites import Program, in_mode, modules_of, owner
from .step_sizes import FAST, SLOW, AdaptedSteps, FixedSteps
from .whole_numbers import whole_number

STARTS = ("prior", "guide")
ADAPTATIONS = ("pilot", "online")
PILOTS = 8
"""Chains of a preliminary run, or fewer where few are asked for."""
_DRAWS = 64
"""Draws of the start that the widths of coordinates are measured by."""


class Stage:
    """What noise is for: a constant apart for each, so that no two share theirs."""

    START, FIT, SCALE, PILOT_START, PILOT, MOVES, SIMULATION, MIXING, BACKWARDS = range(9)


class Settings(NamedTuple):
    """How chains are run.

    Args:
        chains: Chains per datum.
        betas: Inverse temperatures `(T + 1,)`.
        leapfrog_steps: Leapfrog steps of a move.
        seed: The user's seed.
        rows: Evaluations of the model's nets at a time.
    """

    chains: int
    betas: Tensor
    leapfrog_steps: int
    seed: int
    rows: int

    @property
    def blocks_at_a_time(self) -> int:
        """Number of blocks of data whose chains run side by side."""
        return max(1, self.rows // (self.chains * BLOCK))


def annealed_log_likelihood(
    model: Program,
    guide: Program | None,
    data: Data,
    *,
    keys: Sequence[str] = ("x",),
    chains: int = 16,
    temperatures: int = 1000,
    schedule: str = "sigmoid",
    leapfrog_steps: int = 10,
    start: str = "prior",
    adaptation: str = "pilot",
    seed: int = 0,
    rows: int = 2048,
    device: str | torch.device | None = None,
    likelihood: Likelihood | None = None,
    resume: str | FilePath | None = None,
    progress: Callable[[float], None] | None = None,
) -> AnnealedLikelihood:
    """Estimate log-likelihoods by annealed importance sampling with Hamiltonian moves.

    Chains go from the start to the posterior along `p_0(z)^(1 - b) p(x, z)^b`; from the prior that
    is `p(z) p(x | z)^b`. The mean weight of a datum's chains is unbiased for `p(x)`, whatever the
    number of temperatures, and its logarithm is a lower bound of `log p(x)` in expectation.

    That needs moves whose step sizes do not depend on where the chain has been. With `adaptation`
    `"pilot"`, up to 8 chains of their own noise first find the step sizes of each datum and
    temperature, at an acceptance rate of 0.65, and the chains that count keep to them: exactly
    unbiased. With `"online"`, which is how Wu et al. (2017) do it, there is no such run, and
    each chain's step size follows its own acceptance rates while it runs. That is outside of the
    theory: a chain's next move then depends on where it came from, which no longer leaves the
    densities invariant. On probabilistic PCA with two latent dimensions the estimates are 0.02
    nats too high, with 100 temperatures as with 300.

    The numbers depend on the model, the data and their order, and the settings; neither the
    batches that the data come in nor `rows` change more than rounding, though many moves may make
    much of that. The first data of many get the numbers that they get alone. Memory does not grow
    with the data or the temperatures, results and a pilot's step sizes apart.

    Args:
        model: The generative program: continuous latents, in the plate of data.
        guide: The inference program, which is only used with `start="guide"`; None otherwise.
        data: An iterable of batches (mappings of tensors), one such mapping, or a tensor of
            images.
        keys: The entries of a batch that the programs are called with, in order.
        chains: Number `C` of chains per datum, at least 1; 2 for an error.
        temperatures: Number `T` of steps of the path, at least 1; each costs `leapfrog_steps`
            evaluations and gradients of the model for each chain.
        schedule: `"sigmoid"`, finer near both ends, or `"linear"`.
        leapfrog_steps: Leapfrog steps of a move, at least 1.
        start: `"prior"`, or `"guide"`: the guide's distribution where it depends on the data
            alone, else a Normal with independent coordinates and the moments of 256 draws.
        adaptation: `"pilot"` or `"online"`.
        seed: Seed of the noise, at least 0. The global random state is left as it was.
        rows: Evaluations of the model's nets at a time.
        device: Where the data are moved to; where the programs' parameters are, unless given.
        likelihood: Checks the data; the model's own, unless given.
        resume: File for partial results. One that is there is gone on with; it stays, complete, at
            the end.
        progress: Called now and then with the number of data done, a fraction within a group.

    Returns:
        The log-likelihoods, float64 in nats, with errors and diagnostics.

    Raises:
        NoLikelihoodError: If the model has discrete, masked or nested latents, or otherwise no
            likelihood that annealing can give; says why, and what can be had instead.
        PairError: If a net does not broadcast over chains, or the guide lacks a site.
        TypeError: If the latents are neither float32 nor float64.
        ValueError: If a setting is out of range or the data are not what the likelihood is of.
        CheckpointError: If the file at `resume` is of something else.
    """
    settings = make_settings(chains, temperatures, schedule, leapfrog_steps, seed, rows)
    chains, temperatures = settings.chains, int(temperatures)
    leapfrog_steps, seed = settings.leapfrog_steps, settings.seed
    check_start(start, guide)
    if adaptation not in ADAPTATIONS:
        raise ValueError(f"adaptation is {adaptation!r}; expected {' or '.join(ADAPTATIONS)}")
    programs = [program for program in (model, guide) if program is not None]
    modules = modules_of(*programs)
    place = torch.device(device) if device is not None else device_of(*modules)
    likelihoods = [likelihood] if likelihood is not None else likelihoods_of(model)
    described = {
        "annealed": [chains, temperatures, schedule, leapfrog_steps, start, adaptation, seed],
        "keys": list(keys),
        "device": place.type,
        "pair": [type(owner(program)).__qualname__ for program in programs],
        "weights": fingerprint(modules) if resume is not None else "",
    }
    results = PartialResults(resume, described)
    done = 0
    with torch.no_grad(), in_mode(False, modules), results.saved_at_exit():
        stream = checked(blocks(data, keys), place, likelihoods)
        first = next(stream)
        with own_noise(place):
            continuous = require_continuous(model, padded(first), BLOCK, likelihoods)
        for group, known in _groups(chain([first], stream), results, settings):
            size = sum(len(block[0]) for _, block in group)
            if not known:
                report = None if progress is None else _shifted(progress, done, size)
                with own_noise(place), pyro.validation_enabled(False):
                    begin = make_start(
                        continuous, guide if start == "guide" else None, group, settings
                    )
                    found = _run(continuous, begin, group, settings, adaptation, report)
                results.add(torch.cat([found.log_weights, torch.stack(found[1:])]))
            done += size
            if progress is not None:
                progress(done)
    columns = results.finish().T
    return AnnealedLikelihood(
        log_weights=columns[:, :chains].contiguous(),
        acceptance=columns[:, chains],
        least_acceptance=columns[:, chains + 1],
        temperatures=temperatures,
        schedule=schedule,
        leapfrog_steps=leapfrog_steps,
        start=start,
        adaptation=adaptation,
        seed=seed,
    )


def make_settings(
    chains: int, temperatures: int, schedule: str, leapfrog_steps: int, seed: int, rows: int
) -> Settings:
    """Check settings and return them.

    Raises:
        ValueError: If one is out of range.
    """
    return Settings(
        whole_number("chains", chains, 1),
        temperatures_of(schedule, whole_number("temperatures", temperatures, 1)),
        whole_number("leapfrog_steps", leapfrog_steps, 1),
        whole_number("seed", seed, 0),
        whole_number("rows", rows, 1),
    )


def check_start(start: str, guide: Program | None) -> None:
    """Make sure that there is a start of that name.

    Raises:
        ValueError: If there is not.
    """
    if start not in STARTS:
        raise ValueError(f"start is {start!r}; expected {' or '.join(STARTS)}")
    if start == "guide" and guide is None:
        raise ValueError("start is 'guide', but guide is None; expected a guide. Pass one")


def make_start(
    model: ContinuousModel, guide: Program | None, group: Blocks, settings: Settings
) -> Start:
    """Where the chains of a group of blocks start: the guide, or without one the prior."""
    if guide is None:
        return ProgramStart(model.program, model.latents, group)
    return guide_start(guide, model, group, settings.seed, Stage.FIT)


def make_path(model: ContinuousModel, start: Start, group: Blocks, settings: Settings) -> Path:
    """The path of a group of blocks."""
    args = tuple(torch.cat(entries) for entries in zip(*(b for _, b in group), strict=True))
    density = AnnealedDensity(model, args, start, settings.rows)
    scale = start.draw(_DRAWS, settings.seed, Stage.SCALE).std(0)
    return Path(density, settings.betas, scale, settings.leapfrog_steps)


def pilot_steps(
    path: Path,
    start: Start,
    group: Blocks,
    settings: Settings,
    progress: Callable[[float], None] | None = None,
) -> FixedSteps:
    """Find step sizes by datum and temperature with chains of their own noise."""
    pilots = min(PILOTS, settings.chains)
    position = start.draw(pilots, settings.seed, Stage.PILOT_START)
    steps = AdaptedSteps(1, position, FAST)
    noise = NoiseOfBlocks(group, settings.seed, Stage.PILOT)
    anneal(path, position, steps, noise, progress=progress)
    return steps.fixed()


def _run(
    model: ContinuousModel,
    start: Start,
    group: Blocks,
    settings: Settings,
    adaptation: str,
    progress: Callable[[float], None] | None,
) -> Annealed:
    path = make_path(model, start, group, settings)
    position = start.draw(settings.chains, settings.seed, Stage.START)
    pilot = 0.0
    if adaptation == "pilot":
        pilots = min(PILOTS, settings.chains)
        pilot = pilots / (pilots + settings.chains)
        steps = pilot_steps(path, start, group, settings, part(progress, 0.0, pilot))
    else:
        steps = AdaptedSteps(settings.chains, position, SLOW)
    noise = NoiseOfBlocks(group, settings.seed, Stage.MOVES)
    return anneal(path, position, steps, noise, progress=part(progress, pilot, 1.0))


def part(
    progress: Callable[[float], None] | None, first: float, last: float
) -> Callable[[float], None] | None:
    """Progress of a part of the work, from the share `first` to `last` of all of it."""
    if progress is None:
        return None
    return lambda share: progress(first + (last - first) * share)


def _shifted(progress: Callable[[float], None], done: int, size: int) -> Callable[[float], None]:
    return lambda share: progress(done + size * share)


def _groups(
    stream: Iterator[tuple[Tensor, ...]], results: PartialResults, settings: Settings
) -> Iterator[tuple[list[tuple[int, tuple[Tensor, ...]]], bool]]:
    """Groups of numbered blocks, as many as `rows` allows, and whether they have results."""
    most = settings.blocks_at_a_time
    pending: list[tuple[int, tuple[Tensor, ...]]] = []
    for index, block in enumerate(stream):
        if results.has(block):
            yield [(index, block)], True
            continue
        # Whoever made the block may reuse its memory for the next one.
        pending.append((index, tuple(entry.clone() for entry in block)))
        if len(pending) == most:
            yield pending, False
            pending = []
    if pending:
        yield pending, False
