"""Adversaries of domains and attributes: what critics see, whom they move, and by how much."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, log_softmax

from unbraid import guides, models
from unbraid.inference import (
    Adversary,
    CriticSchedule,
    DomainsOneSided,
    GroupAdversary,
    Objective,
    ProjectedAdversary,
    SensitiveExamples,
    Step,
    WithAttribute,
    gradients,
    pair_parameters,
)
from unbraid.inference.fairness import (  # pyright: ignore[reportMissingImports]
    group_errors,
    projection,
)
from unbraid.nets import MLPCritic, PointEncoder, PredictionCritic

SHAPE, K, C, A, B = (1, 4, 5), 3, 3, 2, 10

every_kind = pytest.mark.parametrize(
    "kind", ["one-sided", "group", "group by label", "given a label", "projected"]
)


def make_pair():
    return (
        models.Classifier(nn.Linear(K, C), K, prior=False).double(),
        guides.Classifier(PointEncoder(SHAPE, K, (6,))).double(),
    )


def make_batch() -> dict[str, Any]:
    return {
        "x": torch.rand(B, *SHAPE).double(),
        "label": torch.tensor([0, 1, 2, -1, 0, 1, 2, 0, 1, 2]),
        "factors": torch.tensor([[9, a] for a in [0, 1, 1, 0, 1, -1, 0, 1, 0, 1]]),
    }


def terms_of(model, guide, batch):
    return Objective().terms(model, guide, (batch["x"], batch["label"]))


def test_what_the_critic_sees():
    (model, guide), batch = make_pair(), make_batch()
    terms, attribute = terms_of(model, guide, batch), batch["factors"][:, 1]
    code, label = terms["z"].value, batch["label"]

    shown = SensitiveExamples("z", column=1)(terms, batch, True)
    assert torch.equal(shown.inputs[0], code) and torch.equal(shown.labels, attribute)
    assert shown.inputs[0].requires_grad

    shown = SensitiveExamples("z", column=1, only=2)(terms, batch, True)
    assert shown.labels.tolist() == [-1, -1, 1, -1, -1, -1, 0, -1, -1, 1]

    shown = SensitiveExamples("label", column=1, beside=C)(terms, batch, True)
    torch.testing.assert_close(shown.inputs[0], log_softmax(model.head(code), -1))
    rows = torch.eye(C).double()[label.clamp(min=0)] * (label >= 0)[:, None]
    assert torch.equal(shown.inputs[1], rows)
    assert shown.labels.tolist() == [0, 1, 1, -1, 1, -1, 0, 1, 0, 1]


def test_predictions_are_those_of_a_site_of_classes():
    model, guide = make_pair()
    batch = make_batch()
    terms = terms_of(model, guide, batch)
    with pytest.raises(ValueError, match="the batch has no 'factors'"):
        SensitiveExamples("z")(terms, {"x": batch["x"]}, True)
    with pytest.raises(ValueError, match="the batch has no 'label'"):
        SensitiveExamples("z", only=1)(terms, {k: batch[k] for k in ("x", "factors")}, True)


@pytest.mark.parametrize("rule", ["reverse", "flip", "uniform"])
def test_one_sided_adversaries_move_the_target_alone(rule):
    (model, guide), batch = make_pair(), make_batch()
    terms = terms_of(model, guide, batch)
    code = terms["z"].value
    found = {}
    critic = MLPCritic(K, (5,), 2).double()
    for view in (WithAttribute("z", "factors", 1), DomainsOneSided("z", column=1)):
        hook = Adversary("domain", view, critic, rule)
        penalty = hook.penalty(terms, batch)
        found[type(view)] = penalty, *torch.autograd.grad(penalty, code, retain_graph=True)
    both, one = found[WithAttribute], found[DomainsOneSided]
    assert torch.equal(both[0], one[0])
    is_target = batch["factors"][:, 1] == 1
    assert torch.equal(one[1][is_target], both[1][is_target])
    assert (one[1][~is_target] == 0).all()
    assert (both[1][batch["factors"][:, 1] == 0] != 0).any()


def test_errors_by_group_are_means_of_means():
    logits = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [3.0, 1.0], [0.0, 0.0]])
    labels, groups = torch.tensor([0, 0, 1, 1, -1]), torch.tensor([0, 0, 1, 1, 2])
    share = logits.softmax(-1)
    expected = (0.5 + share[1, 1]) / 2 + (share[2, 0] + share[3, 0]) / 2
    error, count = group_errors(logits, labels, groups, 4)
    torch.testing.assert_close(error, expected)
    assert count == 2


@pytest.mark.parametrize("beside", [None, C])
def test_laftr_is_the_papers_loss(beside):
    """Madras et al. (2018), eq. 5: 1 - sum_i mean |h - a|; by label, eq. 6: the sum over labels.

    The critic's is the sum itself, which it minimises.
    """
    (model, guide), batch = make_pair(), make_batch()
    terms = terms_of(model, guide, batch)
    critic = MLPCritic(K + (beside or 0), (5,), A).double()
    view = SensitiveExamples("z", column=1, beside=beside)
    hook = GroupAdversary("fairness", view, critic, 0.7, moves="guide")
    shown = view(terms, batch, True)
    h = critic(*shown.inputs).softmax(-1)[:, 1]
    known = shown.labels >= 0
    labels = batch["label"] if beside else torch.zeros(B).long()
    total, groups = torch.zeros(()).double(), 0
    for y in range(C if beside else 1):
        for a in range(A):
            mine = known & (shown.labels == a) & (labels == y)
            if mine.any():
                total, groups = total + (h[mine] - a).abs().mean(), groups + 1
    torch.testing.assert_close(hook.penalty(terms, batch), 0.7 * (groups / 2 - total))
    [inputs] = hook.critic_inputs(terms.detach(), batch)
    told: Any = hook.critic_loss_of(inputs)
    torch.testing.assert_close(told.loss, total)
    right = ((h > 0.5).long() == shown.labels)[known].double().mean()
    torch.testing.assert_close(told.figures["accuracy"].double(), right)


def test_a_sharpened_critic_of_predictions_sees_the_published_features():
    """Of a binary prediction: s = sigmoid((1 + |c|) logit), and s, s y, s (1 - y), linearly."""
    critic = PredictionCritic(2, 2, beside=2)
    with torch.no_grad():
        critic.sharpness.fill_(-0.7)
    logit, y = torch.randn(6), torch.tensor([0, 1, 1, 0, 1, 0])
    log_p = log_softmax(torch.stack([torch.zeros(6), logit], -1), -1)
    s = torch.sigmoid(1.7 * logit)
    row = torch.stack([1 - s, s], -1)
    rows = torch.cat([row, (row[:, :, None] * torch.eye(2)[y][:, None]).flatten(1)], -1)
    torch.testing.assert_close(critic(log_p, torch.eye(2)[y]), critic.linear(rows))


@pytest.mark.parametrize("project", [True, False])
@pytest.mark.parametrize("beside", [None, C])
def test_the_gradient_is_that_of_zhang(project, beside):
    """g - proj_h g - alpha h of every parameter; the value is -alpha times the critic's loss."""
    (model, guide), batch = make_pair(), make_batch()
    parameters = pair_parameters(model, guide)
    critic = PredictionCritic(C, A, beside or 0).double()
    view = SensitiveExamples("label", column=1, beside=beside)
    hook = ProjectedAdversary(
        "fairness", view, critic, 0.3,
        parameters=lambda: pair_parameters(model, guide), scale=2.0, project=project,
    )  # fmt: skip
    args = (batch["x"], batch["label"])
    objective = Objective({"label": 2.0}, [hook])
    loss = objective.mean_loss(model, guide, args, batch)
    found = gradients(loss, model, guide, parameters)

    logits = model.head(guide.encoder(batch["x"]).v)
    told = 2 * cross_entropy(logits, batch["label"], ignore_index=-1, reduction="sum") / B
    shown = view(terms_of(model, guide, batch), batch, True)
    inputs = (log_softmax(logits, -1), *shown.inputs[1:])
    against = cross_entropy(critic(*inputs), shown.labels, ignore_index=-1)
    g = torch.autograd.grad(told, parameters, retain_graph=True)
    h = torch.autograd.grad(against, parameters)
    assert float(loss.parts["fairness"]) == pytest.approx(-0.3 * float(against.detach()))
    for mine, of_label, of_critic in zip(found, g, h, strict=True):
        assert mine is not None
        unit = of_critic / of_critic.norm()
        expected = of_label - 0.3 * of_critic
        if project:
            expected = expected - (of_label * unit).sum() * unit
        torch.testing.assert_close(mine, expected)
        if project:  # what is left of g neither helps nor hurts the critic
            left = mine + 0.3 * of_critic
            assert abs(float((left * of_critic).sum())) < 1e-12


def test_a_projection_on_nothing_is_nothing():
    assert (projection(torch.ones(3), torch.zeros(3)) == 0).all()


def codes_shown(**more: Any):
    return SensitiveExamples("z", column=1, **more)


def make_hook(kind, model, guide):
    """A hook of a kind, and the side of the pair that it moves."""
    if kind == "projected":
        return ProjectedAdversary(
            "a",
            SensitiveExamples("label", column=1),
            PredictionCritic(C, A),
            parameters=lambda: pair_parameters(model, guide),
        ), "both"
    critic = MLPCritic(K + C if kind == "group by label" else K, (5,), A)
    if kind == "one-sided":
        view = DomainsOneSided("z", column=1)
        return Adversary("a", view, critic, "flip", moves="guide"), "guide"
    if kind == "given a label":
        return Adversary("a", codes_shown(only=2), critic, "reverse", moves="guide"), "guide"
    beside = C if kind == "group by label" else None
    return GroupAdversary("a", codes_shown(beside=beside), critic, moves="guide"), "guide"


@every_kind
def test_gradients_stay_on_their_side(kind):
    """The penalty leaves the critic alone, and the head where it is the guide's; and back."""
    (model, guide), batch = make_pair(), make_batch()
    hook, side = make_hook(kind, model, guide)
    hook.double()
    terms = terms_of(model, guide, batch)
    critics = list(hook.critic_parameters())
    mine = list(pair_parameters(model, guide))
    penalty = hook.penalty(terms, batch)
    by_guide = torch.autograd.grad(
        penalty, [*guide.parameters()], retain_graph=True, allow_unused=True
    )
    assert all(g is not None and (g != 0).any() for g in by_guide)
    by_head = torch.autograd.grad(
        penalty, [*model.parameters()], retain_graph=True, allow_unused=True
    )
    assert all((g is not None) == (side == "both") for g in by_head)

    objective = Objective(hooks=[hook])
    args = (batch["x"], batch["label"])
    loss = objective.mean_loss(model, guide, args, batch)
    gradients(loss, model, guide, mine)
    assert all(p.grad is None for p in [*critics, *mine])

    [inputs] = hook.critic_inputs(terms.detach(), batch)
    told: Any = hook.critic_loss_of(inputs)
    by_critic = torch.autograd.grad(told.loss, critics, retain_graph=True, allow_unused=True)
    assert all(g is not None and (g != 0).any() for g in by_critic[-2:])
    by_pair = torch.autograd.grad(told.loss, mine, allow_unused=True)
    assert all(g is None for g in by_pair)


@every_kind
def test_recorded_steps_are_eager_steps(kind, caplog):
    found = []
    for mode in ("eager", "record"):
        torch.manual_seed(4)
        (model, guide), batch = make_pair(), make_batch()
        hook, _ = make_hook(kind, model, guide)
        hook.double()
        parameters = pair_parameters(model, guide)
        optimizer = torch.optim.Adam(parameters, 0.01)
        step = Step(model, guide, Objective(hooks=[hook]), optimizer, mode=mode)
        for _ in range(3):
            step((batch["x"], batch["label"]), batch)
        found.append([*parameters, *hook.critic_parameters()])
    assert not caplog.records  # no step fell back
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"gradient_penalty": 10.0}, "gradient_penalty"),
        ({"schedule": CriticSchedule(flips=0.5)}, "flips"),
        ({"schedule": CriticSchedule(smoothing=0.5)}, "smoothing"),
    ],
)
def test_what_errors_of_groups_do_not_have_is_refused(given, words):
    with pytest.raises(ValueError, match=f"{words} of hook 'fair' is .*; expected 0"):
        GroupAdversary("fair", SensitiveExamples("z"), MLPCritic(K, (5,), A), **given)


def test_nothing_is_projected_while_the_critic_learns_alone():
    (model, guide), batch = make_pair(), make_batch()
    parameters = pair_parameters(model, guide)
    hook = ProjectedAdversary(
        "fairness",
        SensitiveExamples("label", column=1),
        PredictionCritic(C, A).double(),
        parameters=lambda: parameters,
        schedule=CriticSchedule(warmup=3),
    )

    def found(*hooks):
        loss = Objective(hooks=hooks).mean_loss(model, guide, (batch["x"], batch["label"]), batch)
        slopes = gradients(loss, model, guide, parameters)
        return torch.cat([slope.flatten() for slope in slopes if slope is not None])

    assert torch.equal(found(hook), found())
    hook.step.fill_(3)
    assert not torch.allclose(found(hook), found())
