"""Cross-entropy on labelled data only: the formula, whom it moves, and what is refused."""

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from unbraid import guides, models
from unbraid.inference import HookError, LinearWarmup, Objective, Step, Supervision, try_hooks
from unbraid.nets import ClassEncoder, ClassLogits, LabelEncoder, MLPDecoder, make_likelihood

SHAPE, CLASSES, K, B, FEW = (1, 8, 9), 4, 3, 7, 5
LABEL = torch.tensor([2, -1, 0, 3, -1])


def make_pair() -> Any:
    torch.manual_seed(2)
    decoder = MLPDecoder(CLASSES + K, SHAPE, make_likelihood("bernoulli", 1), (11,))
    encoder = LabelEncoder(SHAPE, CLASSES, K, (13,))
    model = models.SemiSupervisedAAE(decoder, CLASSES, K).double()
    return model, guides.SemiSupervisedAAE(encoder).double()


def batch_of() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randint(0, 2, (B + FEW, *SHAPE), generator=generator).double()
    return {"x": x[:B], "labelled": {"x": x[B:], "label": LABEL}}


def penalty_of(hook, particles=1, batch=None) -> Any:
    model, guide = make_pair()
    batch = batch_of() if batch is None else batch
    terms = Objective(particles=particles).terms(model, guide, (batch["x"],))
    return guide, terms, hook.penalty(terms, batch)


@pytest.mark.parametrize("particles", [1, 3])
def test_it_is_the_cross_entropy_of_the_labelled_batch(particles):
    guide, _, found = penalty_of(Supervision(weight=3.0), particles)
    logits, _ = guide.encoder(batch_of()["labelled"]["x"])
    expected = cross_entropy(logits, LABEL, ignore_index=-1)
    torch.testing.assert_close(found, 3 * expected)
    parameters = [p for p in guide.parameters()]
    ours = torch.autograd.grad(found, parameters, retain_graph=True)
    theirs = torch.autograd.grad(3 * expected, parameters)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_without_a_stream_it_is_that_of_the_batch():
    batch = batch_of()
    guide, _, found = penalty_of(Supervision(stream=None), batch=batch["labelled"])
    logits, _ = guide.encoder(batch["labelled"]["x"])
    torch.testing.assert_close(found, cross_entropy(logits, LABEL, ignore_index=-1))


def test_without_any_known_label_it_is_nothing():
    batch = batch_of()
    batch["labelled"]["label"] = torch.full((FEW,), -1)
    guide, _, found = penalty_of(Supervision(), batch=batch)
    assert float(found.detach()) == 0.0
    for gradient in torch.autograd.grad(found, [*guide.parameters()]):
        assert (gradient == 0).all()


def test_a_sure_and_wrong_guide_gets_a_finite_loss():
    model, guide = make_pair()
    with torch.no_grad():
        guide.encoder.net.net[-1][-1].bias[0] = 1e4
    batch = batch_of()
    terms = Objective().terms(model, guide, (batch["x"],))
    found = Supervision().penalty(terms, batch)
    assert math.isfinite(float(found.detach()))
    for gradient in torch.autograd.grad(found, [*guide.parameters()]):
        assert torch.isfinite(gradient).all()


def test_it_moves_the_guide_alone():
    model, guide = make_pair()
    batch = batch_of()
    loss = Objective(hooks=[Supervision()]).mean_loss(model, guide, (batch["x"],), batch)
    [(penalty, side, _)] = loss.routed
    assert side == "guide"
    found = torch.autograd.grad(penalty, [*model.parameters()], allow_unused=True)
    assert set(found) == {None}


def test_weight_zero_leaves_the_loss_as_it_is():
    model, guide = make_pair()
    batch = batch_of()
    found = []
    for hooks in ([], [Supervision(weight=0.0)]):
        torch.manual_seed(4)
        found.append(Objective(hooks=hooks).mean_loss(model, guide, (batch["x"],), batch))
    assert torch.equal(found[0].parts["loss"], found[1].parts["loss"])


def test_a_recorded_step_is_the_eager_one():
    results = []
    for mode in ("eager", "record"):
        model, guide = make_pair()
        parameters = [*model.parameters(), *guide.parameters()]
        objective = Objective(hooks=[Supervision(weight=LinearWarmup(3, 0.5, 2.0))])
        step = Step(model, guide, objective, torch.optim.SGD(parameters, lr=0.01), mode=mode)
        parts = {}
        for i in range(3):
            torch.manual_seed(i)
            batch = batch_of()
            batch["labelled"]["label"] = LABEL.roll(i)
            parts = step((batch["x"],), batch)
            objective.advance()
        results.append([*parts.values(), *parameters])
    for eager, recorded in zip(*results, strict=True):
        torch.testing.assert_close(recorded, eager, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({}, "the batch has no 'labelled'; it has 'x'. Train with Batches"),
        ({"labelled": {"x": torch.zeros(FEW, *SHAPE).double()}}, "the batch has no 'label'"),
    ],
)
def test_batches_without_labels_are_refused_before_the_first_step(batch, message):
    model, guide = make_pair()
    x = batch_of()["x"]
    with pytest.raises(HookError, match=f"hook 'Supervision': {message}"):
        try_hooks(Objective(hooks=[Supervision()]), model, guide, (x,), {"x": x, **batch})


@pytest.mark.parametrize("particles", [1, 3])
def test_of_a_distribution_over_classes_it_is_the_same(particles):
    """Where classes are summed out; a guide that is told labels would be right by itself."""
    torch.manual_seed(2)
    decoder = MLPDecoder(CLASSES + K, SHAPE, make_likelihood("bernoulli", 1), (11,))
    logits, codes = ClassLogits(SHAPE, CLASSES, (13,)), ClassEncoder(SHAPE, CLASSES, K, (12,))
    model = models.SemiSupervisedVAE(decoder, CLASSES, K).double()
    guide = guides.SemiSupervisedVAE(logits, codes, CLASSES).double()
    batch = batch_of()
    few = batch["labelled"]
    terms = Objective(particles=particles).terms(model, guide, (batch["x"],))
    found = Supervision(weight=3.0).penalty(terms, batch)
    expected = 3 * cross_entropy(logits(few["x"]), LABEL, ignore_index=-1)
    torch.testing.assert_close(found, expected)
    terms = Objective(particles=particles).terms(model, guide, (few["x"],))
    torch.testing.assert_close(Supervision(weight=3.0, stream=None).penalty(terms, few), expected)


def test_a_site_that_only_the_model_has_is_refused():
    model, guide = make_pair()
    batch = batch_of()
    terms = Objective().terms(model, guide, (batch["x"],))
    with pytest.raises(ValueError, match="site is 'x', which the guide lacks"):
        Supervision("x", stream=None).penalty(terms, batch["labelled"])
