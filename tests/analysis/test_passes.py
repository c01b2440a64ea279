"""Passes run where the pair is, wherever the data are; `meta` stands for a GPU."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import nn

from unbraid.analysis.passes import (  # pyright: ignore[reportMissingImports]
    distribution_at,
    placed,
    run,
    sites_at_points,
    undisturbed,
)

SIZE, K = 5, 3


class Noting(nn.Module):
    """Notes where its argument lies; its own tensors are elsewhere."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, device="meta"))
        self.seen = []

    def forward(self, x):
        self.seen.append(x.device.type)
        with pyro.plate("data", SIZE):
            return pyro.sample("z", dist.Normal(torch.zeros(SIZE, K), 1.0).to_event(1))


PASSES = {
    "run": lambda program, args: run(program, program, args),
    "points": sites_at_points,
    "distribution": lambda program, args: distribution_at(program, args, {}, "z"),
}


@pytest.mark.parametrize("name", PASSES)
def test_data_are_moved_to_the_pair(name):
    program = Noting()
    PASSES[name](program, (torch.zeros(SIZE, 7),))
    assert set(program.seen) == {"meta"}


def test_what_is_no_tensor_and_data_of_functions_stay():
    x = torch.zeros(SIZE, 7)
    moved = placed((x, 4, None), Noting())
    assert moved[0].device.type == "meta"
    assert moved[1:] == (4, None)
    assert placed((x.to("meta"),), lambda x: x)[0].device.type == "meta"
    assert placed((), Noting()) == ()


@pytest.mark.parametrize(
    "within", [lambda p: p, lambda p: poutine.scale(p, 2.0), lambda p: p.forward]
)
def test_modules_are_in_evaluation_mode_however_they_are_handed_over(within):
    """Their parts get their own modes back."""
    module = nn.Sequential(nn.Dropout(), nn.Dropout())
    module[1].eval()
    with undisturbed(within(module), seed=0):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == [True, True, False]


def test_the_seed_of_a_gpu_that_nobody_has_asked_for_stays_the_users():
    """CUDA keeps what it is seeded with until it starts."""
    if torch.cuda.is_initialized():
        pytest.skip("CUDA has started")
    torch.manual_seed(7)
    calls = torch.cuda._lazy_seed_tracker.get_calls
    before = list(calls())
    with undisturbed(seed=0):
        first = torch.rand(3)
    assert list(calls()) == before and torch.initial_seed() == 7
    with undisturbed(seed=0):
        assert torch.equal(torch.rand(3), first)
