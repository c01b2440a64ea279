"""Weights: every formula by hand, schedules, and their numbers in a loss."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from pyro import poutine
from torch import nn

from unbraid.inference import (
    SVI,
    Capacity,
    Constant,
    Emphasis,
    FreeBits,
    Hook,
    LeftOut,
    LinearWarmup,
    Objective,
    SigmoidWarmup,
)

from .pairs import B, make_pair

COST = torch.tensor(3.5)


def test_constants():
    assert float(Constant(4.0)(COST)) == 14.0
    assert Constant(1.0)(COST) is COST
    assert float(Constant(0.0)(COST)) == 0.0


def test_warm_up_rises_linearly_and_stays():
    weight = LinearWarmup(steps=4, start=0.2, end=1.0)
    factors = []
    for _ in range(7):
        factors.append(float(weight(torch.tensor(1.0))))
        weight.advance()
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0])


def test_capacity_is_the_distance_from_a_rising_target():
    weight = Capacity(gamma=10.0, start=1.0, end=5.0, steps=2)
    costs = []
    for _ in range(4):
        costs.append(float(weight(COST)))
        weight.advance()
    assert costs == pytest.approx([25.0, 5.0, 15.0, 15.0])


def test_free_bits_floor_every_dimension():
    per_dimension = torch.tensor([0.1, 0.5, 2.0])
    assert float(FreeBits(0.4)(COST, per_dimension)) == pytest.approx(0.4 + 0.5 + 2.0)
    with pytest.raises(ValueError, match="free bits need a divergence per dimension"):
        FreeBits(0.4)(COST, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-0.1), "weight is -0.1; expected a finite number of at least 0"),
        (lambda: Constant(math.nan), "weight is nan"),
        (lambda: Constant(math.inf), "weight is inf"),
        (lambda: LinearWarmup(0), "steps is 0; expected an integer of at least 1"),
        (lambda: LinearWarmup(3, start=-1.0), "start is -1.0"),
        (lambda: Capacity(-1.0, 0.0, 5.0, 3), "gamma is -1.0"),
        (lambda: FreeBits(-1.0), "nats is -1.0"),
        (lambda: Objective({"z": -2.0}), "weight is -2.0"),
    ],
)
def test_wrong_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def seeded_loss(weights, name="structured", particles=1) -> Any:
    pair = make_pair(name)
    torch.manual_seed(6)
    return Objective(weights, particles=particles).mean_loss(pair.model, pair.guide, pair.args)


def test_weights_multiply_their_terms():
    plain = seeded_loss({}).parts
    weights = {"pose": 4.0, "kl": 2.0, "x": 0.5}
    loss = seeded_loss(weights)
    expected = 4 * plain["pose"] + 2 * plain["content"] + 0.5 * plain["x"]
    torch.testing.assert_close(loss.total.detach(), expected, rtol=1e-12, atol=1e-12)
    for name in ("elbo", "pose", "content", "x"):
        assert torch.equal(loss.parts[name], plain[name])


def test_unit_weights_change_nothing():
    assert torch.equal(seeded_loss({"kl": 1.0, "x": 1.0}).total, seeded_loss({}).total)


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("name", ["plain", "frames"])
def test_free_bits_of_a_site(name, particles):
    site = "z" if name == "plain" else "dynamic"
    plain = seeded_loss({}, name, particles)
    per_dimension = plain.terms[site].kl_per_dimension
    mean = per_dimension.reshape(-1, per_dimension.shape[-1]).sum(0) / (B * particles)
    floor = float(mean.detach().quantile(0.7))
    loss = seeded_loss({site: FreeBits(floor)}, name, particles)
    rest = plain.total - mean.sum()
    expected = rest + mean.clamp(min=floor).sum()
    assert mean.min() < floor < mean.max()
    torch.testing.assert_close(loss.total, expected, rtol=1e-12, atol=1e-12)


def test_free_bits_of_a_plate_that_is_subsampled_are_scaled_as_its_divergence():
    """With a floor that binds nowhere they are the weight 1."""
    pair = make_pair("plain")
    model, guide = (poutine.scale(program, 10.0) for program in pair[:2])
    totals = []
    for weights in ({}, {"z": FreeBits(0.0)}):
        torch.manual_seed(0)
        totals.append(Objective(weights).mean_loss(model, guide, pair.args).total)
    torch.testing.assert_close(*totals, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "mode", ["eager", "record", pytest.param("compile", marks=pytest.mark.slow)]
)
def test_schedules_advance_inside_steps(mode):
    """The parameters stay put, so only the schedule moves the loss."""
    pair = make_pair("plain")
    weight = LinearWarmup(steps=3, start=0.0, end=2.0)

    def still(parameters):
        return torch.optim.SGD(parameters, lr=0.0)

    svi = SVI(pair.model, pair.guide, still, Objective({"kl": weight}), mode=mode)
    losses = []
    for _ in range(5):
        torch.manual_seed(8)
        losses.append(float(svi.step(*pair.args)))
    torch.manual_seed(8)
    parts = Objective().mean_loss(pair.model, pair.guide, pair.args).parts
    if mode == "compile":
        # Compiled noise is another: only differences of the schedule compare.
        gains = [b - a for a, b in pairwise(losses)]
        assert gains == pytest.approx([float(parts["z"]) * B * 2 / 3] * 3 + [0.0], rel=1e-5)
        return
    factors = [0.0, 2 / 3, 4 / 3, 2.0, 2.0]
    expected = [float(parts["x"] + f * parts["z"]) * B for f in factors]
    assert losses == pytest.approx(expected, rel=1e-6)


def test_schedules_are_checkpointed_buffers():
    weight = LinearWarmup(5)
    weight.advance()
    objective = Objective({"kl": weight})
    assert list(objective.as_module().state_dict()) == ["weights.kl.step"]
    other = LinearWarmup(5)
    other.load_state_dict(weight.state_dict())
    assert isinstance(other, nn.Module)
    assert torch.equal(other.current(), weight.current())


@pytest.mark.parametrize("name", ["plain", "structured"])
def test_a_term_that_is_left_out_has_no_share_and_may_stay_out_of_the_log(name):
    plain = seeded_loss({}, name)
    for logged in (True, False):
        loss = seeded_loss({"x": LeftOut(logged)}, name)
        rest = sum(plain.parts[site] for site in plain.terms.latents)
        torch.testing.assert_close(loss.total.detach(), rest, rtol=1e-12, atol=1e-12)
        assert ("x" in loss.parts) == ("elbo" in loss.parts) == logged
        if logged:
            assert torch.equal(loss.parts["elbo"], plain.parts["elbo"])
    every = seeded_loss({"kl": LeftOut(False)}, name)
    assert set(every.parts) == {"loss", "x"}
    torch.testing.assert_close(every.total.detach(), plain.parts["x"], rtol=1e-12, atol=1e-12)


def test_a_term_that_is_not_finite_has_no_share():
    cost = torch.tensor(float("nan"), dtype=torch.float64, requires_grad=True)
    share = LeftOut().forward(cost)
    assert float(share) == 0 and share.dtype == torch.float64 and not share.requires_grad


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (1.0, True),
        (0.5, False),
        (LinearWarmup(3), True),
        (LinearWarmup(3, 0.0, 4.0), False),
        (SigmoidWarmup(3), True),
        (SigmoidWarmup(3, 2.0), False),
        (Emphasis(1.0, 5), True),
        (Capacity(1.0, 0.0, 0.0, 1), False),
        (FreeBits(0.1), False),
        (LeftOut(), False),
        (LeftOut(constant=True), True),
    ],
)
def test_an_objective_says_whether_it_comes_to_be_the_bound(weight, expected):
    assert Objective({"z": weight}).ends_as_bound is expected
    assert not Objective({"z": weight}, hooks=[Penalty()]).ends_as_bound
    assert Objective().ends_as_bound


class Penalty(Hook):
    """A hook that adds nothing."""

    def penalty(self, terms, batch):
        return None
