"""Reconstruction with a partner's code: whose code is where, and whom its gradient reaches."""

from typing import Any

import pytest
import torch

from unbraid.inference import HookError, Objective, Step, SwappedReconstruction, try_hooks

from .two_codes import batch_of, moved, pair, terms_of


@pytest.mark.parametrize("particles", [1, 3])
def test_the_specified_code_is_the_partners_and_the_other_ones_own(particles):
    """Recomputed by hand; the exchange of own and partner is another number."""
    model, guide = pair()
    batch = batch_of()
    terms = terms_of(model, guide, batch, particles)
    found = SwappedReconstruction("specified", 2.5).penalty(terms, batch)

    def cost(specified_of: Any, unspecified: torch.Tensor) -> torch.Tensor:
        s = guide.specified_encoder(specified_of).mean.expand(*unspecified.shape[:-1], -1)
        return -2.5 * model.decoder(torch.cat([s, unspecified], -1)).log_prob(batch["x"]).mean()

    own = terms["unspecified"].value
    torch.testing.assert_close(found, cost(batch["partner"]["x"], own))
    assert not torch.allclose(found, cost(batch["x"], own))
    other = guide.unspecified_encoder(batch["partner"]["x"]).mean.expand_as(own)
    assert not torch.allclose(found, cost(batch["x"], other))


def test_it_is_of_the_own_image_not_of_the_partners():
    """With a likelihood of scale 0.1, the cost rises with the image that is explained alone."""
    model, guide = pair()
    batch = batch_of()
    terms = terms_of(model, guide, batch)
    found = SwappedReconstruction("specified").penalty(terms, batch)
    specified = guide.specified_encoder(batch["partner"]["x"]).mean
    made = model.decoder(torch.cat([specified, terms["unspecified"].value], -1))
    assert not torch.allclose(found, -made.log_prob(batch["partner"]["x"]).mean())
    torch.testing.assert_close(found, -made.log_prob(batch["x"]).mean())


def test_a_partner_that_is_oneself_gives_the_reconstruction():
    model, guide = pair()
    batch = batch_of()
    batch["partner"] = {"x": batch["x"]}
    terms = terms_of(model, guide, batch)
    found = SwappedReconstruction("specified").penalty(terms, batch)
    torch.testing.assert_close(found, -terms["x"].log_p.mean())


def test_gradients_reach_both_encoders_and_the_decoder_and_the_partners_codes():
    model, guide = pair()
    batch = batch_of()
    batch["partner"]["x"].requires_grad_()
    penalty = SwappedReconstruction("specified").penalty(terms_of(model, guide, batch), batch)
    for module in (model, guide.specified_encoder, guide.unspecified_encoder):
        assert all(moved(penalty, module))
    [by_partner] = torch.autograd.grad(penalty, [batch["partner"]["x"]])
    assert (by_partner != 0).any()


@pytest.mark.parametrize("mode", ["eager", "record"])
def test_a_recorded_step_is_an_eager_one(mode):
    """Each mode against a step that is computed by hand with the same noise."""
    model, guide = pair()
    batch = batch_of()
    objective = Objective({"specified": 0.0}, [SwappedReconstruction("specified", 2.0)])
    parameters = [*model.parameters(), *guide.parameters()]
    step = Step(model, guide, objective, torch.optim.SGD(parameters, lr=1e-3), mode=mode)
    torch.manual_seed(7)
    told = step((batch["x"],), batch)
    after = [p.detach().clone() for p in parameters]
    model, guide = pair()
    torch.manual_seed(7)
    terms = terms_of(model, guide, batch)
    swapped = SwappedReconstruction("specified", 2.0).penalty(terms, batch)
    loss = swapped + (terms["unspecified"].kl - terms["x"].log_p).mean()
    torch.testing.assert_close(told["loss"], loss.detach())
    fresh = [*model.parameters(), *guide.parameters()]
    for p, g, q in zip(fresh, torch.autograd.grad(loss, fresh), after, strict=True):
        torch.testing.assert_close(p.detach() - 1e-3 * g, q)
    assert step.mode == mode


def test_a_batch_without_partners_is_refused_before_training():
    model, guide = pair()
    batch = batch_of()
    del batch["partner"]
    objective = Objective(hooks=[SwappedReconstruction("specified")])
    with pytest.raises(HookError, match="the batch has no 'partner'; it has 'x', 'label'"):
        try_hooks(objective, model, guide, (batch["x"],), batch)
