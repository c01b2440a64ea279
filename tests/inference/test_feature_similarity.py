"""The distance in features: its value, and whom it moves."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from unbraid.inference import (
    Adversary,
    AgainstData,
    FeatureSimilarity,
    LinearWarmup,
    Objective,
    Step,
    gradients,
    pair_parameters,
)

from .image_pair import SHAPE, chain


class Critic(nn.Module):
    """Features, and a score of them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(8)
        self.features = nn.Sequential(
            nn.Flatten(), nn.Linear(6, 4, dtype=torch.float64), nn.Softplus()
        )
        self.head = nn.Linear(4, 1, dtype=torch.float64)

    def forward(self, image):
        return self.head(self.features(image))


@pytest.mark.parametrize("particles", [1, 3])
def test_it_is_half_the_squared_distance_per_image(particles):
    """The Normal's -log density of unit variance, less its constant; particles are averaged."""
    model, guide, x = chain()
    terms = Objective(particles=particles).terms(model, guide, (x,))
    features = Critic().features
    codes = torch.cat([terms["a"].value, terms["b"].value], -1).reshape(particles, 7, 2)
    total = 0.0
    for codes_of_one in codes:
        made = features(model.net(codes_of_one).reshape(-1, *SHAPE))
        q = torch.distributions.Normal(made, 1.0)
        total += (q.log_prob(made) - q.log_prob(features(x))).sum() / (7 * particles)
    shares = FeatureSimilarity("f", features, model=3.0, guide=0.5).penalty(terms, {})
    torch.testing.assert_close(shares["model"], 3.0 * total)
    torch.testing.assert_close(shares["guide"], 0.5 * total)


def test_each_side_has_its_own_weight_and_the_features_have_none():
    model, guide, x = chain()
    critic = Critic()
    hook = FeatureSimilarity("f", critic.features, model=3.0, guide=0.5)
    assert list(hook.parameters()) == []
    parameters = [*model.parameters(), *guide.parameters()]

    def found(hooks) -> Any:
        torch.manual_seed(1)
        loss = Objective(hooks=hooks).mean_loss(model, guide, (x,))
        return gradients(loss, model, guide, parameters)

    torch.manual_seed(1)
    terms = Objective().terms(model, guide, (x,))
    distance = torch.autograd.grad(hook.distance(terms), parameters)
    weights = [3.0, 3.0, 0.5, 0.5]  # of weight and bias of the model's layer, and of the guide's
    for weight, a, b, d in zip(weights, found([hook]), found([]), distance, strict=True):
        assert float(d.abs().max()) > 1e-3
        torch.testing.assert_close(a, b + weight * d)


def test_the_side_of_another_share_gets_none():
    model, guide, x = chain()
    hook = FeatureSimilarity("f", Critic().features, model=3.0, guide=0.5)
    parameters = [*model.parameters(), *guide.parameters()]
    for i, side in enumerate(("model", "guide")):
        loss = Objective(hooks=[hook]).mean_loss(model, guide, (x,))
        share, routed, _ = loss.routed[i]
        assert routed == side
        alone = loss._replace(total=share.new_zeros(()).requires_grad_(), routed=[loss.routed[i]])
        moved = [g is not None for g in gradients(alone, model, guide, parameters)]
        assert moved == [side == "model"] * 2 + [side == "guide"] * 2


@pytest.mark.parametrize("mode", ["eager", "record"])
def test_the_distance_never_moves_the_critic(mode):
    """After a step with and without it the critic is the same to the bit, the pair is not."""
    trained = []
    for weight in (0.0, 5.0):
        model, guide, x = chain()
        critic = Critic()
        hooks = [
            Adversary("gan", AgainstData(samples=False), critic, moves="model"),
            FeatureSimilarity("f", critic.features, model=weight, guide=weight),
        ]
        optimizer = torch.optim.SGD(pair_parameters(model, guide), lr=1e-3)
        step = Step(model, guide, Objective(hooks=hooks), optimizer, mode=mode)
        before = copy.deepcopy(critic.state_dict())
        torch.manual_seed(2)
        step((x,))
        assert any(not torch.equal(before[k], v) for k, v in critic.state_dict().items())
        trained.append((critic.state_dict(), [p.detach().clone() for p in step.parameters]))
    (first, pair), (second, other) = trained
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(a, b) for a, b in zip(pair, other, strict=True))


def test_weights_may_rise():
    model, guide, x = chain()
    hook = FeatureSimilarity("f", Critic().features, model=LinearWarmup(4), guide=2.0)
    objective = Objective(hooks=[hook])
    terms = objective.terms(model, guide, (x,))
    assert float(hook.penalty(terms, {})["model"].detach()) == 0.0
    objective.advance()
    torch.testing.assert_close(hook.penalty(terms, {})["model"], hook.distance(terms) / 4)
