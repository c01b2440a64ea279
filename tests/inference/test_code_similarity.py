"""DrNet's similarity loss: between which codes, its mean, and its constant target."""

import pytest
import torch

from unbraid.inference import CodeSimilarity, HookError, LinearWarmup, Objective, Step, try_hooks

from .clips import B, F, arguments, batch_of, pair, terms_of


@pytest.mark.parametrize("points", [True, False])
@pytest.mark.parametrize("particles", [1, 3])
def test_it_is_the_mean_squared_difference_of_two_frames_contents(points, particles):
    model, guide = pair(points)
    batch = batch_of()
    found = CodeSimilarity("static", 2.5).penalty(terms_of(model, guide, batch, particles), batch)
    own, other = (guide.content_encoder(batch[key]).mean for key in ("companions", "x"))
    expected = 2.5 * sum(
        float((own[b, 0, k] - other[b, 0, k]).detach()) ** 2 for b in range(B) for k in range(F)
    )
    assert float(found.detach()) == pytest.approx(expected / (B * F), rel=1e-12)


def test_of_several_frames_it_is_the_clips_content():
    model, guide = pair()
    batch = batch_of(frames=3, companions=2)
    found = CodeSimilarity("static").penalty(terms_of(model, guide, batch), batch)
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
    penalty = CodeSimilarity("static").penalty(terms_of(model, guide, batch), batch)
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
    assert all((g != 0).any() for g in own)


def test_the_first_coordinates_alone_may_be_compared():
    model, guide = pair()
    batch = batch_of()
    terms = terms_of(model, guide, batch)
    own, other = (guide.content_encoder(batch[key]).mean[..., :2] for key in ("companions", "x"))
    found = CodeSimilarity("static", coordinates=2).penalty(terms, batch)
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


def test_data_have_no_similarity():
    model, guide = pair()
    batch = batch_of()
    with pytest.raises(ValueError, match="site 'x' is not sampled in the guide"):
        CodeSimilarity("x").penalty(terms_of(model, guide, batch), batch)
