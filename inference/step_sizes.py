"""Step sizes of Hamiltonian Monte Carlo moves along a path: adapted, or fixed beforehand."""

import math

import torch
from torch import Tensor

TARGET = 0.65
"""Acceptance rate that step sizes are adapted to: about the cheapest, and Wu et al.'s."""
FAST, SLOW = 0.1, 0.02
"""Change of the logarithm of a step per unit of acceptance away from the target: in a preliminary
run, whose own weights do not count, and in one whose weights do."""
_LEAST, _MOST = math.log(1e-6), math.log(10.0)


class AdaptedSteps:
    """Step sizes that grow after moves that were likely accepted, and shrink after others.

    Args:
        chains: Number `C` of chains with a step size each; 1 where they share theirs.
        position: Where the chains are at first, `(..., B, K)`.
        rate: How fast they change: `FAST` or `SLOW`.
    """

    def __init__(self, chains: int, position: Tensor, rate: float) -> None:
        self._rate = rate
        size, dimension = position.shape[-2:]
        first = -0.25 * math.log(dimension)
        self._logs = position.new_full((chains, size), first, dtype=torch.float64)
        self._used: dict[int, Tensor] = {}

    def at(self, temperature: int) -> Tensor:
        """Step sizes `(C or 1, B)` at the temperature of that index."""
        self._used[temperature] = self._logs
        return self._logs.exp()

    def learn(self, acceptance: Tensor) -> None:
        """Adapt to how likely the moves of the chains, `(chains, B)`, were to be accepted."""
        if len(self._logs) == 1:
            acceptance = acceptance.mean(0, keepdim=True)
        self._logs = (self._logs + self._rate * (acceptance - TARGET)).clamp(_LEAST, _MOST)

    def fixed(self) -> "FixedSteps":
        """The step sizes that were used, for moves of other chains at the same temperatures."""
        return FixedSteps({index: logs.exp() for index, logs in self._used.items()}, self)


class FixedSteps:
    """Step sizes that no move changes.

    Args:
        steps: Step sizes `(C or 1, B)` by index of the temperature.
        last: Where they were adapted to, for temperatures beyond these.
    """

    def __init__(self, steps: dict[int, Tensor], last: AdaptedSteps) -> None:
        self._steps, self._last = steps, last._logs.exp()

    def at(self, temperature: int) -> Tensor:
        """Step sizes `(C or 1, B)` at the temperature of that index."""
        return self._steps.get(temperature, self._last)

    def learn(self, acceptance: Tensor) -> None:
        """Leave everything as it is."""
