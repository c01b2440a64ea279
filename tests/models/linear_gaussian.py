"""Sequences whose codes and frames are jointly Normal, by their structure: all maps are linear.

Variables are laid out in one long vector, those of a sequence once and those of frames once per
frame. What is asked of the joint Normal is then answered by conditioning, without a formula of the
model's own.
"""

from typing import Any, NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor, nn

SHAPE, D = (1, 2, 3), 6  # of a frame, and its pixels


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


class Variable(NamedTuple):
    """A vector that is a linear map of others plus noise.

    Args:
        name: Its name.
        parents: Weights `(size, size of the parent)` by name.
        offset: `(size,)`.
        scale: Standard deviation of its noise.
        of_frames: Whether every frame has one of its own.
    """

    name: str
    parents: dict[str, Tensor]
    offset: Tensor
    scale: float
    of_frames: bool = True

    def mean(self, **parents: Tensor) -> Tensor:
        """Its mean given its parents `(..., size)`."""
        total = self.offset
        for name, weight in self.parents.items():
            total = total + parents[name] @ weight.T
        return total


class Joint:
    """The joint Normal of all variables of a sequence of so many frames."""

    def __init__(self, variables: list[Variable], frames: int) -> None:
        self.places: dict[tuple[str, int], list[int]] = {}
        laid_out = [(v, t) for v in variables for t in range(frames if v.of_frames else 1)]
        size = 0
        for variable, frame in laid_out:
            self.places[variable.name, frame] = list(range(size, size + len(variable.offset)))
            size += len(variable.offset)
        weights = torch.zeros(size, size, dtype=torch.float64)
        offset, scale = (torch.zeros(size, dtype=torch.float64) for _ in range(2))
        for variable, frame in laid_out:
            rows = self.places[variable.name, frame]
            offset[rows], scale[rows] = variable.offset, variable.scale
            for parent, weight in variable.parents.items():
                of = self.places.get((parent, frame), self.places[parent, 0])
                weights[torch.tensor(rows)[:, None], torch.tensor(of)] = weight
        spread = torch.linalg.inv(torch.eye(size, dtype=torch.float64) - weights)
        self.mean = spread @ offset
        self.covariance = spread @ torch.diag(scale**2) @ spread.T

    def of(self, *names: tuple[str, int]) -> list[int]:
        return [place for name in names for place in self.places[name]]

    def log_prob(self, places: list[int], value: Tensor) -> Tensor:
        covariance = self.covariance[places][:, places]
        return dist.MultivariateNormal(self.mean[places], covariance).log_prob(value)

    def given(self, target: list[int], known: list[int], value: Tensor) -> dist.MultivariateNormal:
        """The distribution of some places, given the values `(..., M)` of others."""
        across = self.covariance[target][:, known]
        gain = torch.linalg.solve(self.covariance[known][:, known], across.T).T
        loc = self.mean[target] + (value - self.mean[known]) @ gain.T
        covariance = self.covariance[target][:, target] - gain @ across.T
        return dist.MultivariateNormal(loc, covariance.expand(*loc.shape[:-1], *covariance.shape))


def log_p(variables: list[Variable], x: Tensor) -> Tensor:
    """Log density of one sequence's frames `(N, 1, 2, 3)`."""
    joint = Joint(variables, len(x))
    return joint.log_prob(joint.of(*(("x", t) for t in range(len(x)))), x.flatten())


def widened(normal: dist.MultivariateNormal, width: float) -> dist.MultivariateNormal:
    return dist.MultivariateNormal(normal.loc, width**2 * normal.covariance_matrix)


class Given(nn.Module):
    """The exact distribution of one frame's variable, given others: by name, then by value."""

    def __init__(
        self, variables: list[Variable], target: str, known: list[str], width: float = 1.0
    ) -> None:
        super().__init__()
        self.joint, self.target, self.known, self.width = Joint(variables, 1), target, known, width

    def forward(self, *values: Tensor) -> Any:
        lead = torch.broadcast_shapes(*(value.shape[:-1] for value in values))
        value = torch.cat([v.expand(*lead, v.shape[-1]) for v in values], -1)
        known = self.joint.of(*((name, 0) for name in self.known))
        found = self.joint.given(self.joint.of((self.target, 0)), known, value)
        return widened(found, self.width)


class StaticGiven(nn.Module):
    """The exact distribution of the first variable, given all true frames."""

    def __init__(self, variables: list[Variable], width: float = 1.0) -> None:
        super().__init__()
        self.variables, self.width = variables, width

    def forward(self, features: Tensor, mask: Tensor | None) -> Any:
        pixels = features.flatten(-3)
        size, frames = pixels.shape[:2]
        counts = torch.full((size,), frames) if mask is None else mask.sum(1)
        size_of = len(self.variables[0].offset)
        loc = pixels.new_zeros(size, 1, size_of)
        covariance = pixels.new_zeros(size, 1, size_of, size_of)
        for count in counts.unique().tolist():
            joint = Joint(self.variables, count)
            known = joint.of(*(("x", t) for t in range(count)))
            rows = counts == count
            found = joint.given(
                joint.of(("static", 0)), known, pixels[rows, :count].flatten(1).unsqueeze(1)
            )
            loc[rows], covariance[rows] = found.loc, found.covariance_matrix
        return widened(dist.MultivariateNormal(loc, covariance), self.width)
