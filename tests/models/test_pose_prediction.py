"""Poses that lead to each other: log p(x) of a linear-Gaussian case by its joint Normal."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.inference import Objective, Runner, check_pair, log_likelihood
from unbraid.nets import LSTMTransition

SHAPE, F, Z, B, N, PAST = (1, 2, 2), 2, 1, 4, 3, 2
D, NOISE, TURN, PUSH = 4, 0.6, 0.7, 0.5


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


CONTENT, POSE = draw(D, F, seed=1), draw(D, Z, seed=2)


class LinearDecoder(nn.Module):
    def forward(self, codes: Tensor) -> Any:
        loc = codes[..., :F] @ CONTENT.T + codes[..., F:] @ POSE.T
        return dist.Normal(loc.unflatten(-1, SHAPE), NOISE).to_event(3)


class Autoregression(LSTMTransition):
    """z_t = 0.7 z_{t-1} + 0.5 c_0 + noise."""

    def step(self, z: Tensor, content: Tensor, memory: Any) -> Any:
        return TURN * z + PUSH * content[:, :1], memory


class WideCodes(nn.Module):
    """Posteriors of single frames, wider than the truth, so that weights stay small."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        basis = torch.cat([CONTENT, POSE], 1)
        covariance = torch.linalg.inv(torch.eye(F + Z, dtype=x.dtype) + basis.T @ basis / NOISE**2)
        return x.flatten(-3) @ basis @ covariance / NOISE**2, covariance.diagonal().sqrt()

    def content(self, frames: Tensor) -> Any:
        loc, scale = self.posterior(frames)
        return dist.Normal(loc[..., :F], 1.2 * scale[:F]).to_event(1)

    def pose(self, frames: Tensor, content: Tensor) -> Any:
        left = frames.flatten(-3) - content @ CONTENT.T
        precision = 1 + (POSE.T @ POSE) / NOISE**2
        loc = left @ POSE / NOISE**2 / precision
        return dist.Normal(loc, 1.2 * precision[0].rsqrt()).to_event(1)


def pair() -> Any:
    transition = Autoregression(Z, F, hidden=1, layers=1)
    with torch.no_grad():
        transition.spread.fill_(-0.04)
        transition.start_spread.fill_(0.01)
        transition.start_loc.fill_(0.2)
    model = models.PosePrediction(LinearDecoder(), transition, F, N).double()
    return model, guides.PosePrediction(WideCodes(), PAST)


def joint(transition: LSTMTransition) -> dist.MultivariateNormal:
    """The joint Normal of the frames of a clip: all are linear in content and noise."""
    step, start = (t.detach() for t in (transition.scale, transition.start_scale))
    sources = F + N  # content, then the noise of each pose
    mean, row = transition.start_loc.detach(), torch.zeros(Z, sources, dtype=torch.float64)
    row[0, F] = float(start)
    locs, maps = [], []
    for t in range(N):
        content = torch.zeros(F, sources, dtype=torch.float64)
        content[:, :F] = torch.eye(F)
        locs.append(POSE @ mean)
        maps.append(CONTENT @ content + POSE @ row)
        if t + 1 < N:
            mean = TURN * mean
            row = TURN * row
            row[0, 0] += PUSH
            row[0, F + t + 1] = float(step)
    whole = torch.cat(maps)
    covariance = whole @ whole.T + NOISE**2 * torch.eye(N * D, dtype=torch.float64)
    return dist.MultivariateNormal(torch.cat(locs), covariance)


def clips(count: int = B) -> Tensor:
    torch.manual_seed(3)
    return pair()[0](size=count)


def test_importance_sampling_converges_to_log_p():
    """Within 6 standard errors of the weights' mean, for each clip: alarm below 1e-7."""
    model, guide = pair()
    x = clips()
    result = log_likelihood(model, guide, {"x": x}, samples=20_000)
    truth = joint(model.transition).log_prob(x.flatten(1))
    error = (1 / result.effective_sample_size - 1 / result.samples).clamp(min=0).sqrt()
    assert (error < 0.1).all()
    assert (result.elbo < truth - 0.02).all()
    assert ((result.log_likelihood - truth).abs() < 6 * error).all()


def test_the_order_of_frames_counts():
    model, _ = pair()
    x = clips()
    density = joint(model.transition)
    moved = x[:, [2, 0, 1]]
    assert (density.log_prob(x.flatten(1)) - density.log_prob(moved.flatten(1))).abs().min() > 1e-3


@pytest.mark.parametrize("particles", [1, 3])
def test_the_objective_is_pyros(particles):
    """Value and gradients, on the same noise; no divergence is analytic but the content's."""
    model, guide = pair()
    torch.manual_seed(7)
    model.transition = LSTMTransition(Z, F, hidden=3, layers=2).double()
    x = clips()
    stock = Trace_ELBO(num_particles=particles, vectorize_particles=True, max_plate_nesting=2)
    found = []
    for loss in (Objective(particles=particles, analytic_kl=False), stock):
        torch.manual_seed(5)
        value = loss.differentiable_loss(model, guide, x)
        found.append([value, *torch.autograd.grad(value, [*model.parameters()])])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_sites_and_plates():
    model, guide = pair()
    x = clips()
    facts = check_pair(model, guide, x)
    assert facts.latents == ("content", "pose") and facts.observed == ("x",)
    assert (facts.size, facts.nesting) == (B, 2)
    sites, _ = Runner(2).run_pair(model, guide, (x,))
    shapes = {name: tuple(site.value.shape) for name, site in sites.items()}
    assert shapes == {"content": (B, 1, F), "pose": (B, 1, N, Z), "x": (B, N, *SHAPE)}
    plates = {
        name: sorted((p.name, p.dim, p.size) for p in site.plates) for name, site in sites.items()
    }
    assert plates["content"] == plates["pose"] == [("data", -2, B)]
    assert plates["x"] == [("data", -2, B), ("frames", -1, N)]


def test_samples_of_any_length():
    model, _ = pair()
    assert model(size=5).shape == (5, N, *SHAPE)
    assert model(size=5, steps=7).shape == (5, 7, *SHAPE)
    with pytest.raises(ValueError, match="neither of x and size given; expected exactly one"):
        model()
    with pytest.raises(ValueError, match="expected sequences"):
        model(torch.zeros(B, *SHAPE).double())


@pytest.mark.parametrize("steps", [0, -1])
def test_clips_of_no_step_are_refused(steps):
    model, _ = pair()
    with pytest.raises(ValueError, match=f"steps is {steps}; expected at least 1"):
        model(size=5, steps=steps)
    with pytest.raises(ValueError, match=f"steps is {steps}; expected at least 1"):
        models.PosePrediction(LinearDecoder(), model.transition, F, steps=steps)


def test_the_content_is_that_of_the_last_seen_frame():
    """Of frame 2 of 3, and no other; each pose of its own frame, given the content."""
    _, guide = pair()
    x = clips()
    codes = guide.codes

    def content(frames: Tensor) -> Tensor:
        return Runner(2).run(guide, (frames,)).sites["content"].fn.mean

    for place in range(N):
        other = x.clone()
        other[:, place] += 1
        changed = (content(other) - content(x)).abs().max() > 0.1
        assert changed == (place == PAST - 1)
    torch.testing.assert_close(content(x), codes.content(x[:, 1:2]).mean)
    # Of a clip that ends before, it is the last one there is.
    torch.testing.assert_close(content(x[:, :1]), codes.content(x[:, :1]).mean)
    sites = Runner().run(guide, (x,)).sites
    given, q = sites["content"].value, sites["pose"].fn
    torch.testing.assert_close(
        q.mean.squeeze(1), codes.pose(x, given).mean, rtol=1e-12, atol=1e-12
    )
