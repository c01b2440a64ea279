"""Eight Gaussians in a ring: data, a pair that makes points without a likelihood, and measures."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from unbraid.nets import mlp

MODES, RADIUS, SPREAD = 8, 2.0, 0.05
NEAR = 3.0  # standard deviations within which a sample is of high quality
LEAST_SHARE = 0.01  # of all samples, which a covered mode has near it
LATENT = 8


def centres() -> Tensor:
    """The means of the Gaussians, `(8, 2)`."""
    angles = torch.arange(MODES) * (2 * math.pi / MODES)
    return RADIUS * torch.stack([angles.cos(), angles.sin()], -1)


def draw(count: int, generator: torch.Generator) -> Tensor:
    """Draw points `(count, 2)` of the mixture, every Gaussian as often as the others."""
    chosen = centres()[torch.randint(MODES, (count,), generator=generator)]
    return chosen + SPREAD * torch.randn(count, 2, generator=generator)


class RingBatches:
    """Batches of fresh points, a function of seed and step.

    Args:
        size: Points per batch.
        seed: The seed.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed

    def batch(self, step: int) -> Mapping[str, Any]:
        """Return the batch of a step."""
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + step)
        return {"x": draw(self.size, generator)}


class Generator(nn.Module):
    """A net from standard normal codes to points.

    Sites: `z`, event `(K,)`; `x`, event `(2,)`, observed. A pair needs a density of its data, and
    this one has a broad Normal, which the loss leaves out.

    Args:
        hidden: Widths of the net's hidden layers.
    """

    zeros: Tensor

    def __init__(self, hidden: tuple[int, ...] = (128, 128)) -> None:
        super().__init__()
        self.net = mlp((LATENT, *hidden, 2), "relu")
        self.register_buffer("zeros", torch.zeros(LATENT))

    def forward(self, x: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Score points, or sample `size` of them."""
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(self.zeros, 1.0).to_event(1))
            return pyro.sample("x", dist.Normal(self.net(z), 1.0).to_event(1), obs=x)


class PriorGuide(nn.Module):
    """A guide that draws codes from their prior, whatever the data."""

    zeros: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(LATENT))

    def forward(self, x: Tensor) -> None:
        """Draw a code for each point."""
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(self.zeros, 1.0).to_event(1))


class Coverage(NamedTuple):
    """How points lie on the ring.

    Args:
        modes: Number of modes with at least 1 % of all points within three standard deviations.
        quality: Share of points that are so near to any mode; 0.989 for draws of the mixture.
        divergence: KL of the shares of the modes among those points from even shares, nats; None
            where there are no such points.
    """

    modes: int
    quality: float
    divergence: float | None


def coverage(points: Tensor) -> Coverage:
    """Measure how points `(n, 2)` cover the ring."""
    distance, nearest = torch.cdist(points, centres()).min(-1)
    near = distance <= NEAR * SPREAD
    counts = torch.bincount(nearest[near], minlength=MODES)
    modes = int((counts >= LEAST_SHARE * len(points)).sum())
    if not int(counts.sum()):
        return Coverage(modes, 0.0, None)
    shares = counts.double() / counts.sum()
    divergence = float((torch.xlogy(shares, shares * MODES)).sum())
    return Coverage(modes, float(near.float().mean()), divergence)
