"""The hook that holds parameters: until its step nothing moves them, then they learn."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from unbraid.inference import Hold, Objective, Step, fused_adam


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))
        self.log_scale = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            fn = dist.Normal(z + self.shift, self.log_scale.exp())
            pyro.sample("x", fn.to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self):
        super().__init__()
        self.loc = nn.Linear(2, 2)

    def forward(self, x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(self.loc(x), 0.5).to_event(1))


@pytest.mark.parametrize("mode", ["eager", "record"])
def test_the_held_parameter_moves_from_its_step_on(mode):
    model, guide, x = Model(), Guide(), torch.randn(5, 2)
    objective = Objective(hooks=[Hold([model.log_scale], 3)])
    optimizer = fused_adam([*model.parameters(), *guide.parameters()])
    step = Step(model, guide, objective, optimizer, mode=mode)
    seen = []
    for _ in range(5):
        step((x,))
        objective.advance()
        seen.append((model.log_scale.detach().clone(), model.shift.detach().clone()))
    for held, _ in seen[:3]:
        assert torch.equal(held, torch.zeros(2))
    assert (seen[3][0] != 0).all()
    assert (seen[0][1] != 0).all()


def test_its_step_is_in_its_state_and_its_parameters_are_not():
    model = Model()
    hook = Hold(model.parameters(), 2)
    hook.advance()
    assert {name: float(value) for name, value in hook.state_dict().items()} == {"step": 1.0}
    assert list(hook.parameters()) == []


@pytest.mark.parametrize("steps", [0, -1, 2.5])
def test_steps_must_be_a_positive_integer(steps):
    with pytest.raises(ValueError, match=f"steps is {steps}; expected an integer of at least 1"):
        Hold([nn.Parameter(torch.zeros(1))], steps)


def test_there_must_be_something_to_hold():
    with pytest.raises(ValueError, match="parameters is empty"):
        Hold([], 2)
