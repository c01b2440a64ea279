"""Steps whose loss or gradient is not finite are held back, whatever the optimiser."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from unbraid.inference import Hook, Objective, Step

from .pairs import Guide, Model, Pair, assert_held_back, bad_data, data

MODES = ["eager", "record"]


class Root(Guide):
    """Its loss is finite at 0 where its gradient is not: the slope of a root."""

    def forward(self, x):
        q = self.encoder(x)
        shift = (self.encoder.loc.bias * 0).abs().sum().sqrt()
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(q.base_dist.loc + shift, q.base_dist.scale).to_event(1))


OPTIMIZERS = {
    "fused Adam": lambda p: torch.optim.Adam(p, lr=1e-2, fused=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=1e-2),
    "SGD": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=1e-2),
}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e200])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_bad_data_change_nothing(optimizer, mode, value):
    torch.manual_seed(7)
    pair = Pair(Model().double(), Guide().double(), (data(),))
    chosen = OPTIMIZERS[optimizer](pair.parameters)
    step = Step(*pair[:2], Objective(), chosen, mode=mode, guard=True)
    assert_held_back(step, pair, bad_data(value))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_bad_gradient_alone_is_seen(optimizer, mode, clip):
    torch.manual_seed(7)
    pair = Pair(Model().double(), Root().double(), (data(),))
    before = [p.detach().clone() for p in pair.parameters]
    chosen = OPTIMIZERS[optimizer](pair.parameters)
    step = Step(*pair[:2], Objective(), chosen, mode=mode, guard=True, clip_norm=clip)
    parts = step(pair.args)
    assert torch.isfinite(parts["loss"])
    assert float(step.bad) == 1.0
    assert all(torch.equal(p, b) for p, b in zip(pair.parameters, before, strict=True))


@pytest.mark.parametrize("fused", [True, False])
def test_a_bad_critic_stops_the_pair_too(fused):
    """The critic never moves; the pair, whose own step was finite, moves no further."""

    class Bad(Hook):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))

        def critic_loss(self, terms, batch):
            return (self.weight * float("nan")).sum()

        def make_optimizer(self, parameters):
            return torch.optim.Adam(parameters, fused=fused)

    torch.manual_seed(7)
    pair = Pair(Model().double(), Guide().double(), (data(),))
    hook = Bad()
    chosen = torch.optim.Adam(pair.parameters, fused=fused)
    step = Step(*pair[:2], Objective(hooks=[hook]), chosen, guard=True)
    step(pair.args)
    assert float(step.bad) == 1.0
    assert hook.weight.item() == 1.0
    before = [p.detach().clone() for p in pair.parameters]
    step(pair.args)
    assert all(torch.equal(p, b) for p, b in zip(pair.parameters, before, strict=True))


def test_without_a_guard_there_is_no_flag():
    pair = Pair(Model().double(), Guide().double(), (data(),))
    step = Step(*pair[:2], Objective(), torch.optim.SGD(pair.parameters, lr=0.1))
    with pytest.raises(RuntimeError, match="this step has no guard"):
        _ = step.bad
