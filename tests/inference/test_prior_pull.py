"""The pull on conditional priors: its closed form, masks, particles, and what it refuses."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.distributions import kl_divergence

from unbraid.inference import LinearWarmup, Objective, PriorPull

B, N, F, Z = 5, 4, 2, 3


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.loc, self.raw = nn.Linear(F, Z).double(), nn.Linear(F, Z).double()

    def prior(self, static: Tensor) -> Any:
        return dist.Normal(self.loc(static), self.raw(static).exp()).to_event(1)

    def forward(self, x: Tensor, mask: Any) -> None:
        zero = x.new_zeros(F)
        with pyro.plate("data", B, dim=-2):
            static = pyro.sample("static", dist.Normal(zero, zero + 1).to_event(1))
            with pyro.plate("frames", N, dim=-1), poutine.mask(mask=mask):
                dynamic = pyro.sample("dynamic", self.prior(static))
                pyro.sample("x", dist.Normal(dynamic.sum(-1), 1.0), obs=x)


class Guide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(Z, dtype=torch.float64))

    def forward(self, x: Tensor, mask: Any) -> None:
        zero = x.new_zeros(F)
        with pyro.plate("data", B, dim=-2):
            pyro.sample("static", dist.Normal(zero, zero + 1).to_event(1).expand([B, 1]))
            with pyro.plate("frames", N, dim=-1), poutine.mask(mask=mask):
                shift = self.shift.expand(B, N, Z)
                pyro.sample("dynamic", dist.Normal(shift, 1.0).to_event(1))


@pytest.fixture
def arguments() -> tuple[Tensor, Tensor]:
    mask = torch.arange(N) < torch.tensor([4, 1, 3, 4, 2])[:, None]
    return torch.randn(B, N, dtype=torch.float64), mask


@pytest.mark.parametrize("particles", [1, 3])
def test_it_is_the_divergence_of_the_prior_over_true_frames(particles, arguments):
    model = Model()
    terms = Objective(particles=particles).terms(model, Guide(), arguments)
    static = terms["static"].value
    standard = dist.Normal(torch.zeros(Z, dtype=torch.float64), 1.0).to_event(1)
    cost = kl_divergence(model.prior(static), standard.expand([*static.shape[:-1]]))
    expected = (cost * arguments[1].sum(1, keepdim=True)).mean()
    torch.testing.assert_close(PriorPull("dynamic", 2.5).penalty(terms, {}), 2.5 * expected)


def test_a_standard_normal_prior_costs_nothing(arguments):
    model = Model()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    terms = Objective().terms(model, Guide(), arguments)
    assert PriorPull("dynamic", 1.0).penalty(terms, {}).item() == 0.0


def test_a_schedule_goes_on(arguments):
    terms = Objective().terms(Model(), Guide(), arguments)
    hook = PriorPull("dynamic", LinearWarmup(4))
    assert hook.penalty(terms, {}).item() == 0.0
    for _ in range(2):
        hook.advance()
    whole = PriorPull("dynamic", 1.0).penalty(terms, {})
    torch.testing.assert_close(hook.penalty(terms, {}), 0.5 * whole, check_dtype=False)


def test_it_moves_the_prior_alone(arguments):
    """The guide learns nothing of it: of its values only the static one counts."""
    model, guide = Model(), Guide()
    terms = Objective().terms(model, guide, arguments)
    penalty = PriorPull("dynamic", 1.0).penalty(terms, {})
    gradients = torch.autograd.grad(
        penalty, [*model.parameters(), *guide.parameters()], allow_unused=True
    )
    assert all((g != 0).any() for g in gradients[:4] if g is not None)
    assert gradients[-1] is None


def test_priors_of_another_kind_are_refused(arguments):
    terms = Objective().terms(Model(), Guide(), arguments)
    with pytest.raises(ValueError, match="site 'x' is Normal in the model; expected a factorised"):
        PriorPull("x", 1.0).penalty(terms, {})


@pytest.mark.parametrize("weight", [-1.0, float("inf")])
def test_weights_out_of_range(weight):
    with pytest.raises(ValueError, match="expected a finite number of at least 0"):
        PriorPull("dynamic", weight)
