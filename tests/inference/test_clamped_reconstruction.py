"""The clamp and the pull against what the paper says of them, coordinate by coordinate."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.inference import ClampedReconstruction, LeftOut, Objective, Step, pair_parameters

K, SETS, TOGETHER = 4, 3, 5
DIMS = (1, 2, 1)
ACTIVE = torch.tensor([1, 0, 2]).repeat_interleave(TOGETHER)
KIND = torch.tensor([0, 1, 1, 2])
SHAPE = (1, 2, 3)


class Encoder(nn.Module):
    """Codes of almost no spread, so that samples are the means."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.maps = nn.Parameter(torch.randn(6, K, generator=generator, dtype=torch.float64))

    def forward(self, x: Tensor) -> Any:
        loc = x.flatten(-3) @ self.maps
        return dist.Normal(loc, torch.full_like(loc, 1e-12)).to_event(1)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.maps = nn.Parameter(torch.randn(K, 6, generator=generator, dtype=torch.float64))

    def forward(self, z: Tensor) -> Any:
        return dist.Normal((z @ self.maps).unflatten(-1, SHAPE), 0.8).to_event(3)


def pair() -> tuple[Any, Any]:
    return models.VAE(Decoder(), K).double(), guides.VAE(Encoder()).double()


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    size = SETS * TOGETHER
    return {
        "x": torch.randn(size, *SHAPE, generator=generator, dtype=torch.float64),
        "active": ACTIVE,
    }


def loss_of(hook: ClampedReconstruction, model: Any, guide: Any, **changes: Any) -> Tensor:
    given = {**batch(), **changes}
    weights = {"x": LeftOut(), "z": LeftOut()}
    return Objective(weights, (hook,)).mean_loss(model, guide, (given["x"],), given).total


def by_hand(model: Any, guide: Any, invariance: float, filtered: bool) -> Tensor:
    """Datum by datum and coordinate by coordinate."""
    x = batch()["x"]
    z = x.flatten(1) @ guide.encoder.maps
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(x)):
        mates = z[i // TOGETHER * TOGETHER : (i // TOGETHER + 1) * TOGETHER]
        coordinates = []
        for k in range(K):
            mean = mates[:, k].sum() / TOGETHER
            if KIND[k] == ACTIVE[i]:
                coordinates.append(z[i, k])
                continue
            coordinates.append(mean.detach() if filtered else mean)
            total = total + invariance / 2 * (z[i, k] - mean.detach()) ** 2
        image = torch.stack(coordinates) @ model.decoder.maps
        total = total - dist.Normal(image, 0.8).log_prob(x[i].flatten()).sum()
    return total / len(x)


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("invariance", [0.0, 0.01, 2.0])
def test_loss_and_gradients_are_those_by_hand(filtered, invariance):
    model, guide = pair()
    hook = ClampedReconstruction(TOGETHER, DIMS, invariance, filtered)
    found, truth = loss_of(hook, model, guide), by_hand(model, guide, invariance, filtered)
    torch.testing.assert_close(found, truth, rtol=1e-9, atol=1e-9)
    parameters = pair_parameters(model, guide)
    for one, other in zip(
        torch.autograd.grad(found, parameters),
        torch.autograd.grad(truth, parameters),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_the_published_gradient_of_a_clamped_coordinate_is_a_hundredth_of_its_distance():
    """Of the loss summed over data, at the codes."""
    model, guide = pair()
    x = batch()["x"]
    hook = ClampedReconstruction(TOGETHER, DIMS)
    terms = Objective().terms(model, guide, (x,))
    z = terms["z"].value
    (found,) = torch.autograd.grad(hook.penalty(terms, batch()) * len(x), z)
    means = z.unflatten(0, (SETS, TOGETHER)).mean(1).repeat_interleave(TOGETHER, 0)
    clamped = KIND != ACTIVE[:, None]
    torch.testing.assert_close(found[clamped], (z - means)[clamped].detach() / 100)
    assert (found[~clamped].abs() > 1e-6).all()


def test_what_varies_elsewhere_does_not_reach_the_decoder():
    """Images of a set that differ in clamped coordinates alone are decoded alike."""
    model, guide = pair()
    x = batch()["x"]
    hook = ClampedReconstruction(TOGETHER, DIMS, 0.0)
    terms = Objective().terms(model, guide, (x,))
    z = terms["z"].value.detach()
    moved = torch.where(KIND == ACTIVE[:, None], z, z + torch.randn(SETS * TOGETHER, K).double())
    means = [v.unflatten(0, (SETS, TOGETHER)).mean(1, keepdim=True) for v in (z, moved)]
    centred = (moved.unflatten(0, (SETS, TOGETHER)) - means[1] + means[0]).flatten(0, 1)
    centred = torch.where(KIND == ACTIVE[:, None], z, centred)
    values = [hook.penalty(terms.replay({"z": v}), batch()) for v in (z, centred)]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["eager", "record"])
def test_a_recorded_step_follows_what_is_active(mode):
    losses = []
    for active in (ACTIVE, ACTIVE.flip(0)):
        model, guide = pair()
        hook = ClampedReconstruction(TOGETHER, DIMS, 0.3)
        truth = loss_of(hook, model, guide, active=active)
        optimizer = torch.optim.SGD(pair_parameters(model, guide), 0.0)
        objective = Objective({"x": LeftOut(), "z": LeftOut()}, (hook,))
        step = Step(model, guide, objective, optimizer, mode=mode)
        step((batch()["x"],), batch())
        found = step((batch()["x"],), {**batch(), "active": active})["loss"]
        torch.testing.assert_close(found, truth.detach(), rtol=1e-9, atol=1e-9)
        losses.append(float(found))
    assert abs(losses[0] - losses[1]) > 1e-3


def test_what_it_cannot_clamp_is_refused():
    model, guide = pair()
    hook = ClampedReconstruction(TOGETHER, DIMS)
    terms = Objective().terms(model, guide, (batch()["x"],))
    words = "expected 'active', sets of 5 and 4 coordinates. Train with Batches"
    with pytest.raises(ValueError, match=words):
        hook.penalty(terms, {"x": batch()["x"]})
    with pytest.raises(ValueError, match="the batch of 15 data with codes of 4 coordinates has"):
        ClampedReconstruction(4, DIMS).penalty(terms, batch())
    with pytest.raises(ValueError, match="and 5 coordinates"):
        ClampedReconstruction(5, (2, 3)).penalty(terms, batch())
    several = Objective(particles=TOGETHER).terms(model, guide, (batch()["x"],))
    with pytest.raises(ValueError, match=r"codes have shape \(5, 15, 4\); expected \(B, K\)"):
        hook.penalty(several, batch())
    wrongs: Any = ((1, DIMS), (5, ()), (5, (1, 0)), (5, DIMS, -1.0), (5, DIMS, float("inf")))
    for wrong in wrongs:
        with pytest.raises(ValueError, match="expected at least 2 images, at least one coordina"):
            ClampedReconstruction(*wrong)
