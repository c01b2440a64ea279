"""The training weight of the neural statistician: its factors, and what it trains to."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from unbraid.inference import SVI, Emphasis, Objective

from .pairs import B, make_pair


def factors(weight: Emphasis, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(float(weight(torch.tensor(1.0))))
        weight.advance()
    return found


def test_it_is_halved_time_and_again():
    """a = 0.8, 0.4, 0.2, 0.1 for three steps each."""
    shares = [a for a in (0.8, 0.4, 0.2, 0.1) for _ in range(3)]
    assert factors(Emphasis(0.8, 3), 12) == pytest.approx([1 + a for a in shares])
    inverse = factors(Emphasis(0.8, 3, inverse=True), 12)
    assert inverse == pytest.approx([1 / (1 + a) for a in shares])


def test_it_comes_to_the_bound():
    weight = Emphasis(1.0, 2)
    weight.step.fill_(2000.0)
    assert float(weight(torch.tensor(3.5))) == 3.5
    assert factors(Emphasis(0.0, 5), 3) == [1.0, 1.0, 1.0]


def test_it_weighs_data_and_divergences_inversely():
    pair = make_pair("structured")
    losses = []
    a = 0.6
    for weights in ({}, {"x": Emphasis(a, 5), "kl": Emphasis(a, 5, inverse=True)}):
        torch.manual_seed(6)
        losses.append(Objective(weights).mean_loss(pair.model, pair.guide, pair.args))
    plain = losses[0].parts
    expected = (1 + a) * plain["x"] + (plain["pose"] + plain["content"]) / (1 + a)
    torch.testing.assert_close(losses[1].total.detach(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(losses[1].parts["elbo"], plain["elbo"])


class Normals(nn.Module):
    """z ~ N(0, 1), x | z ~ N(z, 0.8^2)."""

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(()), 1.0))
            pyro.sample("x", dist.Normal(z, 0.8), obs=x)


class Posterior(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(()))
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(self.gain * x, self.log_scale.exp()))


@pytest.mark.parametrize("a", [1.0, 0.5])
def test_it_trains_to_the_posterior_of_a_stronger_likelihood(a):
    """The loss is (1 + a)^-1 times a bound in which log p(x|z) counts (1 + a)^2 times.

    So the guide becomes N(v w x, v) with w = (1 + a)^2 / 0.64 and 1 / v = 1 + w. The last of 600
    falling steps of Adam on 4000 data are within 0.01 of it: noise of the gain is 0.64 / 4000^0.5
    of a step.
    """
    guide, x = Posterior(), 1.3 * torch.randn(4000)
    weights = {"x": Emphasis(a, 10_000), "kl": Emphasis(a, 10_000, inverse=True)}
    objective = Objective(weights)
    optimizer = torch.optim.Adam(guide.parameters(), lr=0.02)
    for step in range(600):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / 600)
        optimizer.zero_grad()
        objective.mean_loss(Normals(), guide, (x,)).total.backward()
        optimizer.step()
    strength = (1 + a) ** 2 / 0.64
    variance = 1 / (1 + strength)
    assert float(guide.gain.detach()) == pytest.approx(variance * strength, abs=0.01)
    assert float(guide.log_scale.detach().exp()) == pytest.approx(variance**0.5, abs=0.01)


@pytest.mark.parametrize("mode", ["eager", "record"])
def test_it_advances_inside_steps(mode):
    """The parameters stay put, so only the schedule moves the loss."""
    pair = make_pair("plain")
    weights = {"x": Emphasis(1.0, 2), "kl": Emphasis(1.0, 2, inverse=True)}

    def still(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.0)

    svi = SVI(pair.model, pair.guide, still, Objective(weights), mode=mode)
    losses = []
    for _ in range(5):
        torch.manual_seed(8)
        losses.append(float(svi.step(*pair.args)))
    torch.manual_seed(8)
    parts = Objective().mean_loss(pair.model, pair.guide, pair.args).parts
    shares = [1.0, 1.0, 0.5, 0.5, 0.25]
    expected = [float((1 + a) * parts["x"] + parts["z"] / (1 + a)) * B for a in shares]
    assert losses == pytest.approx(expected, rel=1e-6)


def test_its_step_is_checkpointed():
    weight, other = Emphasis(1.0, 3), Emphasis(1.0, 3)
    for _ in range(4):
        weight.advance()
    other.load_state_dict(weight.state_dict())
    assert float(other.current()) == 1.5


@pytest.mark.parametrize(
    ("start", "steps", "message"),
    [
        (-0.1, 3, "start is -0.1; expected a finite number of at least 0"),
        (float("nan"), 3, "start is nan"),
        (float("inf"), 3, "start is inf"),
        (1.0, 0, "steps is 0; expected an integer of at least 1"),
        (1.0, 2.5, "steps is 2.5"),
    ],
)
def test_wrong_numbers_are_refused(start, steps, message):
    with pytest.raises(ValueError, match=message):
        Emphasis(start, steps)
