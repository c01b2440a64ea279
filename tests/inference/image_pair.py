"""A pair of small images with two linear codes, the second given the first."""

import pyro
import pyro.distributions as dist
import torch
from torch import nn

SHAPE = (1, 2, 3)
ROOT, CHILD = (4.0, 1.5), 0.5
"""Mean and scale of the first code's prior; scale of the second around twice the first."""


class Chain(nn.Module):
    """Codes `a`, then `b` given `a`, then images given both."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(2, 6, dtype=torch.float64)

    def forward(self, x=None, *, size=None):
        with pyro.plate("data", size if x is None else len(x)):
            one = torch.ones(1, dtype=torch.float64)
            a = pyro.sample("a", dist.Normal(ROOT[0] * one, ROOT[1]).to_event(1))
            b = pyro.sample("b", dist.Normal(2 * a, CHILD).to_event(1))
            raw = self.net(torch.cat([a, b], -1))
            images = raw.reshape(*raw.shape[:-1], *SHAPE)
            return pyro.sample("x", dist.Normal(images, 0.3).to_event(3), obs=x)


class ChainGuide(nn.Module):
    """Both codes from the image, far from their priors."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(6, 2, dtype=torch.float64)

    def forward(self, x):
        with pyro.plate("data", len(x)):
            loc = self.net(x.flatten(1))
            pyro.sample("a", dist.Normal(loc[:, :1], 0.1).to_event(1))
            pyro.sample("b", dist.Normal(loc[:, 1:], 0.1).to_event(1))


def chain(count=7):
    """A pair, and images for it."""
    torch.manual_seed(5)
    model, guide = Chain(), ChainGuide()
    return model, guide, torch.rand(count, *SHAPE, dtype=torch.float64)
