"""Pairs whose guide has given moments, for hooks on the aggregate posterior."""

from typing import Any

import pyro
import pyro.distributions as dist
from torch import Tensor, nn

from unbraid.inference import Objective, Runner, Terms


class Prior(nn.Module):
    """A standard normal code of `size` dimensions, and a datum beside it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(self.size), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z.sum(-1, keepdim=True), 1.0).to_event(1), obs=x)


class Given(nn.Module):
    """A guide with the given means and scales, `(B, K)`; means and logarithms are parameters."""

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.loc, self.log_scale = nn.Parameter(loc.clone()), nn.Parameter(scale.log())

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(self.loc, self.log_scale.exp()).to_event(1))


def terms_of(loc: Tensor, scale: Tensor, particles: int = 1) -> tuple[Terms, Given]:
    """The terms of a batch whose guide has these moments, and the guide."""
    guide = Given(loc, scale)
    args = (loc.new_zeros(len(loc), 1),)
    objective = Objective(particles=particles, analytic_kl=False)
    return objective.terms(Prior(loc.shape[-1]), guide, args), guide


def terms_at(value: Tensor, loc: Tensor, scale: Tensor) -> Terms:
    """The terms at given codes, `(B, K)`, rather than at samples."""
    runner, guide, model = Runner(), Given(loc, scale), Prior(loc.shape[-1])
    args = (loc.new_zeros(len(loc), 1),)
    values = {"z": value}
    p, q = runner.run(model, args, values).sites, runner.run(guide, args, values).sites
    return Terms(p, q, runner, model, guide, args)
