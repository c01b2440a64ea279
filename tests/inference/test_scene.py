"""The scene discriminator: its pairs and their labels, its target, whom its gradients reach."""

import math
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from unbraid.inference import (
    CriticSchedule,
    HookError,
    Objective,
    SceneDiscriminator,
    Step,
    try_hooks,
)
from unbraid.nets import MLPCritic

from .clips import B, Z, arguments, batch_of, pair, terms_of


def hook_of(weight: float = 1.0, **options: Any) -> SceneDiscriminator:
    torch.manual_seed(6)
    critic = MLPCritic(2 * Z, (11, 10), activation="relu").double()
    return SceneDiscriminator("dynamic", critic, weight, **options)


def normal(codes: Tensor) -> Tensor:
    """Codes `(..., Z)` standardised over all of them."""
    rows = codes.flatten(0, -2)
    return (codes - rows.mean(0)) / (rows.var(0, correction=0) + 1e-8).sqrt()


def poses(guide: Any, frames: Tensor) -> Tensor:
    return normal(guide.pose_encoder(frames).mean.detach())


def paired(guide: Any, batch: Any) -> tuple[Tensor, Tensor]:
    """The poses of one clip each, `(R, Z)`, of a companion and of a frame, with their graphs."""
    own = guide.pose_encoder(batch["x"]).mean
    theirs = normal(guide.pose_encoder(batch["companions"]).mean).expand_as(own)
    return theirs.flatten(0, 1), normal(own).flatten(0, 1)


def rows_of(terms: Any, batch: Any, hook: Any = None) -> tuple[Tensor, Tensor, Tensor]:
    """The critic's examples: first poses, second poses, labels."""
    with torch.no_grad():
        [inputs] = (hook or hook_of()).critic_inputs(terms.detach(), batch)
    first, second, labels = inputs
    return first, second, labels


def clip_of(row: Tensor, codes: Tensor) -> int:
    """Which clip has a pose among its codes `(B, N, Z)`."""
    [[clip, _]] = torch.isclose(codes, row, rtol=0, atol=1e-9).all(-1).nonzero().tolist()
    return clip


@pytest.mark.parametrize("frames, companions", [(1, 1), (3, 1), (3, 2)])
def test_pairs_of_one_clip_are_labelled_1_and_those_of_two_clips_0(frames, companions):
    """Every row is looked up by its pose; a permutation of the wrong half fails here."""
    model, guide = pair()
    batch = batch_of(frames, companions)
    first, second, labels = rows_of(terms_of(model, guide, batch), batch)
    theirs, own = poses(guide, batch["companions"]), poses(guide, batch["x"])
    assert len(first) == len(second) == len(labels) == 2 * B * frames
    seen = []
    for a, b, label in zip(first, second, labels.tolist(), strict=True):
        clips = clip_of(a, theirs), clip_of(b, own)
        assert (clips[0] == clips[1]) == (label == 1)
        seen.append(clips[1])
    assert labels.sum() == B * frames
    assert all(seen.count(clip) == 2 * frames for clip in range(B))


def test_the_other_clip_is_another_one_at_every_draw():
    """Over 60 draws each of the 5 shifts comes up; none is missed with probability 8e-6."""
    model, guide = pair()
    batch = batch_of()
    terms, hook = terms_of(model, guide, batch), hook_of()
    theirs = poses(guide, batch["companions"])
    shifts = set()
    for seed in range(60):
        torch.manual_seed(seed)
        first, _, labels = rows_of(terms, batch, hook)
        others = [clip_of(row, theirs) for row in first[labels == 0]]
        assert all(other != clip for clip, other in enumerate(others))
        shifts.add(others[0])
    assert shifts == set(range(1, B))


def test_two_rows_of_one_clip_count_as_one_clip():
    model, guide = pair()
    batch = batch_of()
    batch["index"] = torch.tensor([7, 7, 7, 7, 7, 2])
    _, _, labels = rows_of(terms_of(model, guide, batch), batch)
    assert labels[:B].tolist() == [1] * B
    assert labels[B:].sum() == 4
    del batch["index"]
    _, _, labels = rows_of(terms_of(model, guide, batch), batch)
    assert labels.tolist() == [1] * B + [0] * B


def test_the_critics_loss_is_the_cross_entropy_with_target_1_for_one_clip():
    model, guide = pair()
    batch = batch_of()
    hook = hook_of()
    first, second, labels = rows_of(terms_of(model, guide, batch), batch, hook)
    told: Any = hook.critic_loss_of((first, second, labels))
    scores = hook.critic(first, second)[:, 0]
    expected = binary_cross_entropy_with_logits(scores, labels.double())
    torch.testing.assert_close(told.loss, expected)
    inverted = binary_cross_entropy_with_logits(scores, 1.0 - labels.double())
    assert not torch.allclose(told.loss, inverted)
    right = ((scores > 0) == (labels == 1)).double().mean()
    assert float(told.figures["accuracy"]) == pytest.approx(float(right))


class Coincidence(nn.Module):
    """Sure that two poses are of one clip where their first coordinates agree."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(9.0, dtype=torch.float64))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.sharpness * (0.1 - (first - second)[:, :1].abs())


def test_a_critic_that_knows_clips_is_right():
    """Poses that carry the number of their clip are told apart: accuracy 1, loss near 0."""
    model, guide = pair()
    batch = batch_of()
    clip = torch.linspace(-0.9, 0.9, B, dtype=torch.float64)

    class Telling(nn.Module):
        def forward(self, x: Tensor) -> Any:
            codes = clip.view(B, 1, 1) + 1e-3 * x.flatten(-3)[..., :Z]
            return dist.Delta(codes, event_dim=1)

    guide.pose_encoder = Telling()
    critic = Coincidence()
    hook = SceneDiscriminator("dynamic", critic, standardised=False)
    critic.sharpness.data.fill_(100.0)
    rows = rows_of(terms_of(model, guide, batch), batch, hook)
    told: Any = hook.critic_loss_of(rows)
    assert float(told.figures["accuracy"]) == 1.0
    assert float(told.loss.detach()) < 1e-3


@pytest.mark.parametrize("standardised", [True, False])
def test_smaller_poses_escape_the_critic_only_where_they_are_not_standardised(standardised):
    model, guide = pair()
    batch = batch_of()
    hook = hook_of(standardised=standardised)
    scores = []
    for size in (1.0, 0.01):
        for parameter in guide.pose_encoder.head[-1].parameters():
            parameter.data.mul_(size)
        first, second, _ = rows_of(terms_of(model, guide, batch), batch, hook)
        scores.append(hook.critic(first, second).std().detach())
    assert float(scores[1] / scores[0]) == pytest.approx(1.0 if standardised else 0.01, rel=0.2)


def test_the_pair_aims_at_one_half_on_pairs_of_one_clip():
    model, guide = pair()
    batch = batch_of(frames=2)
    hook = hook_of(3.0)
    found = hook.penalty(terms_of(model, guide, batch), batch)
    scores = hook.critic(*paired(guide, batch))[:, 0]
    half = torch.full_like(scores, 0.5)
    torch.testing.assert_close(found, 3.0 * binary_cross_entropy_with_logits(scores, half))


def test_the_penalty_is_least_where_the_critic_cannot_tell():
    model, guide = pair()
    batch = batch_of()
    hook = hook_of()
    for parameter in hook.critic.parameters():
        parameter.data.zero_()
    terms = terms_of(model, guide, batch)
    penalty = hook.penalty(terms, batch)
    assert float(penalty.detach()) == pytest.approx(math.log(2))
    found = torch.autograd.grad(penalty, list(guide.pose_encoder.parameters()))
    assert all((g == 0).all() for g in found)
    *_, bias = hook.critic.parameters()
    bias.data.fill_(0.7)
    assert float(hook.penalty(terms, batch).detach()) > math.log(2)


def test_the_gradient_reaches_one_pose_of_the_two():
    model, guide = pair()
    batch = batch_of()
    hook = hook_of()
    parameters = list(guide.pose_encoder.parameters())
    found = torch.autograd.grad(hook.penalty(terms_of(model, guide, batch), batch), parameters)
    gradients = []
    for constant in (True, False):
        theirs, own = paired(guide, batch)
        scores = hook.critic(theirs.detach() if constant else theirs, own)
        loss = binary_cross_entropy_with_logits(scores, torch.full_like(scores, 0.5))
        gradients.append(torch.autograd.grad(loss, parameters))
    for a, b in zip(found, gradients[0], strict=True):
        torch.testing.assert_close(a, b)
    assert any(
        not torch.allclose(a, b, rtol=1e-3, atol=0)
        for a, b in zip(found, gradients[1], strict=True)
    )


def test_the_penalty_moves_the_pose_encoder_alone():
    model, guide = pair(points=False)
    batch = batch_of()
    penalty = hook_of().penalty(terms_of(model, guide, batch), batch)
    others = [*model.parameters(), *guide.content_encoder.parameters()]
    found = torch.autograd.grad(penalty, others, retain_graph=True, allow_unused=True)
    assert all(g is None for g in found)
    own = torch.autograd.grad(penalty, list(guide.pose_encoder.parameters()), allow_unused=True)
    assert all(g is not None for g in own)
    assert any((g != 0).any() for g in own if g is not None)


def test_what_the_critic_learns_from_has_no_graph():
    model, guide = pair()
    batch = batch_of()
    for inputs in hook_of().critic_inputs(terms_of(model, guide, batch).detach(), batch):
        assert all(not value.requires_grad for value in inputs)


def moved(schedule: CriticSchedule | None = None, mode: Any = "eager", steps: int = 1) -> Any:
    """What a few steps of SGD on everything change; the critic has an optimiser of its own."""
    model, guide = pair()
    batch = batch_of()
    critic = MLPCritic(2 * Z, (11, 10), activation="relu").double()
    hook = SceneDiscriminator(
        "dynamic", critic, schedule=schedule, optimizer=lambda p: torch.optim.SGD(p, lr=1.0)
    )
    parameters = [*model.parameters(), *guide.parameters()]
    objective = Objective({"static": 0.0, "dynamic": 0.0}, [hook])
    step = Step(model, guide, objective, torch.optim.SGD(parameters, lr=0.1), mode=mode)
    told = []
    for seed in range(steps):
        torch.manual_seed(seed)
        told.append(step(arguments(batch), batch))
        objective.advance()
    assert step.mode == mode
    return model, guide, hook, told


def test_the_critic_is_moved_by_its_own_loss_alone():
    """One step by hand: from the poses before the step, with its own optimiser."""
    _, _, hook, _ = moved()
    model, guide = pair()
    batch = batch_of()
    critic: Any = MLPCritic(2 * Z, (11, 10), activation="relu").double()
    fresh = SceneDiscriminator("dynamic", critic)
    torch.manual_seed(0)
    told: Any = fresh.critic_loss_of(rows_of(terms_of(model, guide, batch), batch, fresh))
    found = torch.autograd.grad(told.loss, list(critic.parameters()))
    for before, gradient, after in zip(
        critic.parameters(), found, hook.critic.parameters(), strict=True
    ):
        torch.testing.assert_close(after.detach(), before.detach() - gradient)


def test_the_schedule_is_kept():
    """Two steps of the critic per step of the pair; while it learns alone the penalty is 0."""
    once, twice = (moved(CriticSchedule(steps=n))[2] for n in (1, 2))
    assert any(
        not torch.equal(a, b)
        for a, b in zip(once.critic.parameters(), twice.critic.parameters(), strict=True)
    )
    told = moved(CriticSchedule(warmup=2), steps=3)[3]
    assert [float(parts["scene"]) > 0 for parts in told] == [False, False, True]


def test_recorded_steps_are_eager_steps_to_the_bit():
    found = []
    for mode in ("eager", "record"):
        model, guide, hook, told = moved(mode=mode, steps=5)
        modules = nn.ModuleList([model, guide, hook])
        numbers = torch.stack([parts["scene_critic"] for parts in told])
        found.append([numbers, *(p.detach() for p in modules.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert len(found[0][0].unique()) == 5


def refused(batch: dict[str, Any], site: str = "dynamic") -> str:
    model, guide = pair()
    critic = MLPCritic(2 * Z, (4,)).double()
    objective = Objective(hooks=[SceneDiscriminator(site, critic)])
    with pytest.raises(HookError) as error:
        try_hooks(objective, model, guide, arguments(batch_of() | batch), batch)
    return str(error.value)


def test_a_batch_of_a_single_clip_is_refused_before_training():
    batch = {key: value[:1] for key, value in batch_of().items()}
    assert "the batch holds 1 clip; expected at least 2, since pairs of diff" in refused(batch)


def test_a_batch_without_companions_is_refused_before_training():
    batch = batch_of()
    del batch["companions"]
    assert "the batch has no 'companions'; it has 'x'" in refused(batch)


def test_codes_of_clips_are_no_poses():
    message = refused(batch_of(), "static")
    assert "site 'static' is in plates data; expected a code per frame" in message
