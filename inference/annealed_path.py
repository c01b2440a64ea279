r"""Annealed importance sampling along a path of densities.

With \( f_t(z) \propto p_0(z)\, e^{\beta_t g(z)} \), where \( g \) is the log ratio of the path's
ends and \( 0 = \beta_0 < \dots < \beta_T = 1 \), a chain starts at \( z_0 \sim p_0 \), moves by
kernels that leave \( f_1, \dots, f_{T-1} \) invariant in turn, and has the weight

\[ \log w = \sum_{t=1}^T (\beta_t - \beta_{t-1})\, g(z_{t-1}), \qquad E[w] = \int p(x, z)\, dz. \]

Run backwards from a sample of the posterior, the same sum has \( E[1 / w] = 1 / p(x) \).

Source: Neal (2001), https://arxiv.org/abs/physics/9803008; Grosse, Ghahramani & Adams (2015),
https://arxiv.org/abs/1511.02543, section 3.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .annealed_start import NoiseOfBlocks
from .hmc import Density, Point, move
from .step_sizes import AdaptedSteps, FixedSteps

SCHEDULES = ("sigmoid", "linear")
_STEEPNESS = 4.0
"""The sigmoid's argument runs from minus this to this: Wu et al.'s choice."""
_JITTER = 0.2
"""Steps are up to this share longer or shorter, so that no orbit closes on its start."""


def temperatures_of(schedule: str, count: int) -> Tensor:
    """Inverse temperatures from exactly 0 to exactly 1, rising, float64 `(count + 1,)`.

    Args:
        schedule: `"linear"`, or `"sigmoid"`: smaller steps near both ends.
        count: Number of steps `T`, at least 1.

    Raises:
        ValueError: If there is no such schedule.
    """
    even = torch.linspace(0, 1, count + 1, dtype=torch.float64)
    if schedule == "linear":
        return even
    if schedule != "sigmoid":
        raise ValueError(f"schedule is {schedule!r}; expected one of {', '.join(SCHEDULES)}")
    curve = torch.sigmoid(_STEEPNESS * (2 * even - 1))
    return (curve - curve[0]) / (curve[-1] - curve[0])


class Path(NamedTuple):
    """A path, and how chains move along it.

    Args:
        density: The densities, for a group of `B` data.
        betas: Inverse temperatures `(T + 1,)`.
        scale: Width of each coordinate, which steps are in units of: `(B, K)`, and no function of
            the chains' own noise.
        leapfrog_steps: Leapfrog steps of a move.
    """

    density: Density
    betas: Tensor
    scale: Tensor
    leapfrog_steps: int


class Annealed(NamedTuple):
    """What chains came to at the end of a path.

    Args:
        log_weights: float64 `(C, B)`, nats.
        acceptance: Mean acceptance rate of a datum's moves, `(B,)`; NaN without moves.
        least_acceptance: The lowest of its mean rates in each tenth of the path, `(B,)`.
    """

    log_weights: Tensor
    acceptance: Tensor
    least_acceptance: Tensor


def anneal(
    path: Path,
    position: Tensor,
    steps: AdaptedSteps | FixedSteps,
    noise: NoiseOfBlocks,
    *,
    backwards: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Annealed:
    """Run chains along a path.

    Args:
        path: The path.
        position: Where the chains start `(C, B, K)`: samples of the path's start, or of its end
            where they run backwards.
        steps: Step sizes of the moves.
        noise: Noise of the moves.
        backwards: Whether they run from the end to the start.
        progress: Called now and then with the share of the path that is done.
    """
    betas = path.betas.tolist()
    last = len(betas) - 1
    point = path.density(position)
    log_weights = torch.zeros_like(point.gain)
    rates = _Rates(point.gain)
    for done, index in enumerate(range(last, 0, -1) if backwards else range(1, last + 1), 1):
        log_weights = log_weights + (betas[index] - betas[index - 1]) * point.gain
        at = index - backwards
        if 0 < at < last:
            point, acceptance = step_of(path, point, at, steps, noise)
            steps.learn(acceptance)
            rates.add(acceptance, done * 10 // (last + 1))
        if progress is not None and done * 100 // last > (done - 1) * 100 // last:
            progress(done / last)
    return Annealed(log_weights, *rates.result())


def step_of(
    path: Path,
    point: Point,
    index: int,
    steps: AdaptedSteps | FixedSteps,
    noise: NoiseOfBlocks,
) -> tuple[Point, Tensor]:
    """Make one move at the temperature of an index; return the points and acceptance rates."""
    chains, _, dimension = point.position.shape
    jitter = 1 + _JITTER * (2 * noise.uniform(chains) - 1)
    size = (steps.at(index) * jitter).to(point.position.dtype).unsqueeze(-1) * path.scale
    momentum = noise.normal(chains, dimension, point.position.dtype)
    beta = float(path.betas[index])
    return move(
        path.density, point, beta, size, path.leapfrog_steps, momentum, noise.uniform(chains)
    )


class _Rates:
    """Acceptance rates by datum, in all and in tenths of a path; `like` is `(C, B)`."""

    def __init__(self, like: Tensor) -> None:
        self._sums = like.new_zeros(10, like.shape[1])
        self._counts = [0] * 10

    def add(self, acceptance: Tensor, tenth: int) -> None:
        self._sums[tenth] += acceptance.mean(0)
        self._counts[tenth] += 1

    def result(self) -> tuple[Tensor, Tensor]:
        counts = self._sums.new_tensor(self._counts).unsqueeze(-1)
        if not any(self._counts):
            unknown = torch.full_like(self._sums[0], torch.nan)
            return unknown, unknown
        means = self._sums[counts[:, 0] > 0] / counts[counts[:, 0] > 0]
        return self._sums.sum(0) / counts.sum(), means.min(0).values
