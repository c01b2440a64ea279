"""DrNet's similarity loss: between which codes, its mean, and its constant target."""

import pytest
import torch

from unbraid.inference import (
    CodeSimilarity,
    HookError,
    LinearWarmup,
    Objective,
    SceneDiscriminator,
    Step,
    try_hooks,
)
from unbraid.nets import MLPCritic

from .clips import B, F, Z, arguments, batch_of, pair, terms_of


@pytest.mark.parametrize("points", [True, False])
@pytest.mark.parametrize("particles", [1, 3])
def test_it_is_the_mean_squared_difference_of_two_frames_contents(points, particles):
    model, guide = pair(points)
    batch = batch_of()
    hook = CodeSimilarity("static", 2.5, standardised=False)
    found = hook.penalty(terms_of(model, guide, batch, particles), batch)
    own, other = (guide.content_encoder(batch[key]).mean for key in ("companions", "x"))
    expected = 2.5 * sum(
        float((own[b, 0, k] - other[b, 0, k]).detach()) ** 2 for b in range(B) for k in range(F)
    )
    assert float(found.detach()) == pytest.approx(expected / (B * F), rel=1e-12)


@pytest.mark.parametrize("points", [True, False])
def test_standardised_codes_have_mean_0_and_variance_1_over_the_batch(points):
    """Of each of the two frames by itself; the loss is twice one less the correlation."""
    model, guide = pair(points)
    batch = batch_of()
    found = CodeSimilarity("static", 2.5).penalty(terms_of(model, guide, batch), batch)
    own, other = (guide.content_encoder(batch[key]).mean[:, 0] for key in ("companions", "x"))
    normal = [(c - c.mean(0)) / (c.var(0, correction=0) + 1e-8).sqrt() for c in (own, other)]
    torch.testing.assert_close(found, 2.5 * (normal[0] - normal[1]).square().mean())
    r = [torch.corrcoef(torch.stack([own[:, k], other[:, k]]))[0, 1] for k in range(F)]
    torch.testing.assert_close(found, 5.0 * (1 - torch.stack(r).mean()), rtol=1e-4, atol=0)


@pytest.mark.parametrize("standardised", [True, False])
def test_smaller_codes_make_it_no_smaller_where_they_are_standardised(standardised):
    model, guide = pair(points=False)
    batch = batch_of()
    hook = CodeSimilarity("static", standardised=standardised)
    shares = []
    for size in (1.0, 0.1):
        for parameter in list(guide.content_encoder.head[-1].parameters()):
            parameter.data.mul_(size)
        shares.append(float(hook.penalty(terms_of(model, guide, batch), batch).detach()))
    ratio = 1.0 if standardised else 0.01
    assert shares[1] / shares[0] == pytest.approx(ratio, rel=1e-3)


def test_of_several_frames_it_is_the_clips_content():
    model, guide = pair()
    batch = batch_of(frames=3, companions=2)
    hook = CodeSimilarity("static", standardised=False)
    found = hook.penalty(terms_of(model, guide, batch), batch)
    own, other = (guide.content_encoder(batch[key]).mean for key in ("companions", "x"))
    torch.testing.assert_close(found, (own - other).square().mean())


def test_the_target_is_a_constant():
    """The gradient is that of one code against the other's values, half of that of both.

    With a target that moves too, as the published formula without its constant would have it,
    the gradient of the target's part would come in.
    """
    model, guide = pair()
    batch = batch_of()
    parameters = list(guide.content_encoder.parameters())
    hook = CodeSimilarity("static", standardised=False)
    penalty = hook.penalty(terms_of(model, guide, batch), batch)
    found = torch.autograd.grad(penalty, parameters)
    own, other = (guide.content_encoder(batch[key]).mean for key in ("companions", "x"))
    constant = torch.autograd.grad((own - other.detach()).square().mean(), parameters)
    own, other = (guide.content_encoder(batch[key]).mean for key in ("companions", "x"))
    moving = torch.autograd.grad((own - other).square().mean(), parameters)
    for a, b in zip(found, constant, strict=True):
        torch.testing.assert_close(a, b)
    assert any(not torch.allclose(a, b, rtol=1e-3) for a, b in zip(found, moving, strict=True))


def test_the_frames_that_give_the_target_get_no_gradient():
    model, guide = pair()
    batch = batch_of()
    for key in ("x", "companions"):
        batch[key].requires_grad_()
    penalty = CodeSimilarity("static").penalty(terms_of(model, guide, batch), batch)
    by_frames, by_companions = torch.autograd.grad(
        penalty, [batch["x"], batch["companions"]], allow_unused=True
    )
    assert by_frames is None
    assert (by_companions != 0).any()


def test_it_moves_the_content_encoder_alone():
    model, guide = pair(points=False)
    batch = batch_of()
    penalty = CodeSimilarity("static").penalty(terms_of(model, guide, batch), batch)
    others = [*model.parameters(), *guide.pose_encoder.parameters()]
    found = torch.autograd.grad(penalty, others, retain_graph=True, allow_unused=True)
    assert all(g is None for g in found)
    own = torch.autograd.grad(penalty, list(guide.content_encoder.parameters()))
    assert any((g != 0).any() for g in own)


def test_the_first_coordinates_alone_may_be_compared():
    model, guide = pair()
    batch = batch_of()
    terms = terms_of(model, guide, batch)
    own, other = (guide.content_encoder(batch[key]).mean[..., :2] for key in ("companions", "x"))
    hook = CodeSimilarity("static", coordinates=2, standardised=False)
    found = hook.penalty(terms, batch)
    torch.testing.assert_close(found, (own - other).square().mean())
    with pytest.raises(ValueError, match="coordinates is 0; expected at least 1, or None"):
        CodeSimilarity("static", coordinates=0)


def test_the_weight_may_be_a_schedule():
    model, guide = pair()
    batch = batch_of()
    hook = CodeSimilarity("static", LinearWarmup(4))
    shares = []
    for _ in range(6):
        shares.append(float(hook.penalty(terms_of(model, guide, batch), batch).detach()))
        hook.advance()
    assert shares == pytest.approx([shares[4] * min(k, 4) / 4 for k in range(6)])
    assert shares[4] > 0


def test_recorded_steps_are_eager_steps_to_the_bit():
    found = []
    for mode in ("eager", "record"):
        model, guide = pair(dtype=torch.float32)
        batch = batch_of(dtype=torch.float32)
        parameters = [*model.parameters(), *guide.parameters()]
        objective = Objective({"static": 0.0, "dynamic": 0.0}, [CodeSimilarity("static", 3.0)])
        optimizer = torch.optim.Adam(parameters, fused=True)
        step = Step(model, guide, objective, optimizer, mode=mode)
        losses = [step(arguments(batch), batch)["loss"].clone() for _ in range(4)]
        assert step.mode == mode
        found.append([torch.stack(losses), *(p.detach() for p in parameters)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert len(found[0][0].unique()) == 4


def test_a_batch_without_companions_is_refused_before_training():
    model, guide = pair()
    batch = batch_of()
    args = arguments(batch)
    del batch["companions"]
    with pytest.raises(HookError, match="the batch has no 'companions'; it has 'x', 'length'"):
        try_hooks(Objective(hooks=[CodeSimilarity("static")]), model, guide, args, batch)


def test_a_single_clip_cannot_be_standardised():
    model, guide = pair()
    batch = {key: value[:1] for key, value in batch_of().items()}
    args, objective = arguments(batch), Objective(hooks=[CodeSimilarity("static")])
    with pytest.raises(HookError, match="the batch holds 1 code; expected at least 2, over which"):
        try_hooks(objective, model, guide, args, batch)
    plain = Objective(hooks=[CodeSimilarity("static", standardised=False)])
    try_hooks(plain, model, guide, args, batch)


def test_both_hooks_and_the_critic_run_the_exchanged_guide_once():
    model, guide = pair()
    batch = batch_of()
    calls = []
    guide.pose_encoder.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    terms = terms_of(model, guide, batch)
    calls.clear()
    scene = SceneDiscriminator("dynamic", MLPCritic(2 * Z).double())
    CodeSimilarity("static").penalty(terms, batch)
    scene.penalty(terms, batch)
    scene.critic_inputs(terms.detach(), batch)
    assert calls == [False]
    terms = terms_of(model, guide, batch)
    calls.clear()
    CodeSimilarity("static").penalty(terms, batch)
    assert calls == [False]  # nothing is kept from one pass to another


def test_data_have_no_similarity():
    model, guide = pair()
    batch = batch_of()
    with pytest.raises(ValueError, match="site 'x' is not sampled in the guide"):
        CodeSimilarity("x").penalty(terms_of(model, guide, batch), batch)
