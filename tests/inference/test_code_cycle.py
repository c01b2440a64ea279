"""The cycle of a swapped code: what it compares, what it moves, and what it sees."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from unbraid.inference import CodeCycle, HookError, LinearWarmup, Objective, Step, try_hooks

from .clips import B, F, Z, arguments, batch_of, pair, terms_of


def swapped_images(model: Any, terms: Any) -> Tensor:
    """By hand: the mean image of each clip's pose beside the content of the clip before it."""
    content, pose = terms["static"].value[:, 0], terms["dynamic"].value
    rows = []
    for b in range(B):
        code = torch.cat([content[(b - 1) % B].expand(pose.shape[1], F), pose[b]], -1)
        rows.append(model.decoder(code).mean)
    return torch.stack(rows)


@pytest.mark.parametrize("frames", [1, 3])
def test_it_is_the_divergence_of_what_a_swap_tells_from_what_its_content_is(frames):
    model, guide = pair(points=False)
    batch = batch_of(frames)
    terms = terms_of(model, guide, batch)
    found = CodeCycle("static", 2.5).penalty(terms, batch)
    images = swapped_images(model, terms)
    expected = 0.0
    for b in range(B):
        own = guide.content_encoder(batch["companions"][[(b - 1) % B]], None).base_dist
        told = guide.content_encoder(images[[b]], None).base_dist
        for k in range(F):
            m, s, n, t = (
                float(v[0, 0, k].detach()) for v in (own.loc, own.scale, told.loc, told.scale)
            )
            expected += torch.log(torch.tensor(t / s)).item()
            expected += (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
    assert float(found.detach()) == pytest.approx(2.5 * expected / B, rel=1e-6)


def test_of_points_it_is_the_difference_of_standardised_codes():
    model, guide = pair(points=True)
    batch = batch_of()
    terms = terms_of(model, guide, batch)
    found = CodeCycle("static", 2.5).penalty(terms, batch)
    own = terms["static"].value[:, 0]
    told = guide.content_encoder(swapped_images(model, terms), None).mean[:, 0].roll(-1, 0)
    normal = [(c - c.mean(0)) / (c.var(0, correction=0) + 1e-8).sqrt() for c in (own, told)]
    torch.testing.assert_close(found, 2.5 * (normal[0] - normal[1]).square().mean())


@pytest.mark.parametrize("points", [True, False])
def test_it_moves_poses_and_decoder_and_no_content_encoder(points):
    model, guide = pair(points)
    batch = batch_of()
    before = dict(guide.named_parameters())
    CodeCycle("static").penalty(terms_of(model, guide, batch), batch).backward()
    assert all(p.grad is None for p in guide.content_encoder.parameters())
    for module in (guide.pose_encoder, model.decoder):
        moved = [p.grad.abs().sum() > 0 for p in module.parameters() if p.grad is not None]
        assert moved and any(moved)
    after = dict(guide.named_parameters())
    assert all(after[name] is p and p.requires_grad for name, p in before.items())


def test_a_guide_that_is_not_held_gets_gradients_of_what_it_tells():
    model, guide = pair(points=False)
    batch = batch_of()
    terms = terms_of(model, guide, batch)
    x = batch["x"].clone().requires_grad_()
    for held in (True, False):
        told = terms.encode(x, None, x, held=held)["static"].fn.mean
        found = torch.autograd.grad(
            told.sum(), [x, *guide.content_encoder.parameters()], allow_unused=True
        )
        assert float(found[0].abs().sum()) > 0
        assert all(g is None for g in found[1:]) if held else found[1] is not None


class SumOfCodes(nn.Module):
    """Pixels are content and `leak` times pose; the guide's content is what the pixels are."""

    def __init__(self, leak: float) -> None:
        super().__init__()
        self.leak = nn.Parameter(torch.tensor(leak, dtype=torch.float64))

    def forward(self, x: Tensor, length: Any = None, companions: Any = None) -> None:
        zero = torch.zeros(3, dtype=x.dtype)
        with pyro.plate("data", len(x), dim=-2):
            c = pyro.sample("static", dist.Normal(zero, 1.0).to_event(1))
            with pyro.plate("frames", x.shape[1], dim=-1):
                z = pyro.sample("dynamic", dist.Normal(zero, 1.0).to_event(1))
                pyro.sample("x", dist.Normal(c + self.leak * z, 1.0).to_event(1), obs=x)

    def guide(self, x: Tensor, length: Any = None, companions: Any = None) -> None:
        """Both codes are what the pixels are, with next to no noise."""
        with pyro.plate("data", len(x), dim=-2):
            pyro.sample("static", dist.Normal(companions.mean(1, True), 1e-3).to_event(1))
            with pyro.plate("frames", x.shape[1], dim=-1):
                pyro.sample("dynamic", dist.Normal(x, 1e-3).to_event(1))


def test_poses_that_say_nothing_of_the_content_cost_nothing_and_others_do():
    torch.manual_seed(3)
    x = torch.randn(5, 1, 3, dtype=torch.float64)
    batch = {"x": x, "companions": x}
    shares = []
    for leak in (0.0, 0.5, 1.0):
        program = SumOfCodes(leak)
        terms = Objective().terms(program, program.guide, (x, None, x))
        found = CodeCycle("static").penalty(terms, batch)
        expected = leak**2 * float(x.square().sum()) / (2 * 1e-6) / 5
        noise = 3 * 1.0 * (1 + leak**2)  # of the two draws, nats: chi-square of three degrees
        assert float(found.detach()) == pytest.approx(expected, rel=0.02, abs=6 * noise)
        shares.append(float(found.detach()))
    assert shares[0] < 10 < 1e4 < shares[1] < shares[2]


def test_the_weight_may_be_a_schedule():
    model, guide = pair()
    batch = batch_of()
    terms = terms_of(model, guide, batch)
    hook = CodeCycle("static", LinearWarmup(4))
    shares = []
    for _ in range(6):
        shares.append(float(hook.penalty(terms, batch).detach()))
        hook.advance()
    assert shares == pytest.approx([shares[4] * min(k, 4) / 4 for k in range(6)])
    assert shares[4] > 0


@pytest.mark.parametrize("points", [True, False])
def test_recorded_steps_are_eager_steps_to_the_bit(points):
    found = []
    for mode in ("eager", "record"):
        model, guide = pair(points, dtype=torch.float32)
        batch = batch_of(dtype=torch.float32)
        parameters = [*model.parameters(), *guide.parameters()]
        weights = {"static": 0.0, "dynamic": 0.0} if points else {}
        objective = Objective(weights, [CodeCycle("static", 3.0)])
        optimizer = torch.optim.Adam(parameters, fused=True)
        step = Step(model, guide, objective, optimizer, mode=mode)
        torch.manual_seed(0)
        losses = [step(arguments(batch), batch)["loss"].clone() for _ in range(4)]
        assert step.mode == mode
        found.append([torch.stack(losses), *(p.detach() for p in parameters)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert len(found[0][0].unique()) == 4


@pytest.mark.parametrize(
    ("site", "clips", "particles", "message"),
    [
        ("static", 1, 1, "the batch holds 1 clip; expected at least 2, whose codes can be"),
        ("x", B, 1, "site 'x' is not sampled in the guide; expected a code of clips"),
        ("dynamic", B, 1, rf"codes of site 'dynamic' are \({B}, 2, {Z}\); expected \(B, 1, F\)"),
        ("static", B, 3, rf"codes of site 'static' are \(3, {B}, 1, {F}\); expected \(B, 1, F\)"),
    ],
)
def test_codes_that_cannot_be_swapped_are_refused_before_training(site, clips, particles, message):
    model, guide = pair(points=False)
    batch = {key: value[:clips] for key, value in batch_of(frames=2).items()}
    objective = Objective(hooks=[CodeCycle(site)], particles=particles)
    with pytest.raises(HookError, match=message):
        try_hooks(objective, model, guide, arguments(batch), batch)
