"""Static and dynamic codes: log p(x) of a linear-Gaussian case; a conditional prior learned."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.inference import Objective, Runner, log_likelihood
from unbraid.nets import JointNormal

SHAPE, F, Z, B = (1, 2, 3), 2, 3, 6
D = 6  # pixels of SHAPE
NOISE, PRIOR = 0.7, 0.6


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


STATIC_WEIGHT, DYNAMIC_WEIGHT, OFFSET = draw(D, F, seed=1), draw(D, Z, seed=2), draw(D, seed=3)
PRIOR_WEIGHT, PRIOR_OFFSET = draw(Z, F, seed=4), draw(Z, seed=5)
DIRECT = STATIC_WEIGHT + DYNAMIC_WEIGHT @ PRIOR_WEIGHT  # of f in a frame, z averaged out
MEAN = OFFSET + DYNAMIC_WEIGHT @ PRIOR_OFFSET
OWN = PRIOR**2 * DYNAMIC_WEIGHT @ DYNAMIC_WEIGHT.T + NOISE**2 * torch.eye(D, dtype=torch.float64)


class LinearDecoder(nn.Module):
    def forward(self, codes: Tensor) -> Any:
        loc = codes[..., :F] @ STATIC_WEIGHT.T + codes[..., F:] @ DYNAMIC_WEIGHT.T + OFFSET
        return dist.Normal(loc.unflatten(-1, SHAPE), NOISE).to_event(3)


class LinearPrior(nn.Module):
    def forward(self, static: Tensor) -> Any:
        return dist.Normal(static @ PRIOR_WEIGHT.T + PRIOR_OFFSET, PRIOR).to_event(1)


class ExactStatic(nn.Module):
    """The posterior of f: N frames of precision `DIRECT^T OWN^-1 DIRECT` each."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.width = width

    def forward(self, features: Tensor, mask: Tensor | None) -> Any:
        pixels = features.flatten(-3) - MEAN
        true = torch.ones_like(pixels[..., 0]) if mask is None else mask.to(pixels.dtype)
        gain = DIRECT.T @ torch.linalg.inv(OWN)
        count = true.sum(-1)[:, None, None]
        precision = torch.eye(F, dtype=torch.float64) + count * (gain @ DIRECT)
        covariance = torch.linalg.inv(precision)
        loc = (covariance @ (gain @ (pixels * true[..., None]).sum(1).T).T[..., None])[..., 0]
        widened = self.width**2 * covariance.unsqueeze(1)
        return dist.MultivariateNormal(loc.unsqueeze(1), widened)


class ExactDynamic(nn.Module):
    """The posterior of z given f and the frame."""

    def forward(self, features: Tensor, static: Tensor) -> Any:
        precision = torch.eye(Z, dtype=torch.float64) / PRIOR**2
        precision = precision + DYNAMIC_WEIGHT.T @ DYNAMIC_WEIGHT / NOISE**2
        covariance = torch.linalg.inv(precision)
        left = features - OFFSET - static @ STATIC_WEIGHT.T
        prior = static @ PRIOR_WEIGHT.T + PRIOR_OFFSET
        loc = (left @ DYNAMIC_WEIGHT / NOISE**2 + prior / PRIOR**2) @ covariance
        return dist.MultivariateNormal(loc, covariance.expand(*loc.shape[:-1], Z, Z))


def pair(width: float = 1.0) -> tuple[models.StaticDynamic, guides.StaticDynamic]:
    model = models.StaticDynamic(LinearDecoder(), LinearPrior(), F, frames=3).double()
    return model, guides.StaticDynamic(nn.Identity(), ExactStatic(width), ExactDynamic())


def true_log_p(x: Tensor) -> Tensor:
    """One sequence `(N, 1, 2, 3)` under its joint Normal: all frames share f."""
    count = len(x)
    ones = torch.ones(count, count, dtype=torch.float64)
    covariance = torch.kron(ones, DIRECT @ DIRECT.T)
    covariance += torch.kron(torch.eye(count, dtype=torch.float64), OWN)
    return dist.MultivariateNormal(MEAN.repeat(count), covariance).log_prob(x.flatten())


def sampled(frames: int) -> Tensor:
    model, _ = pair()
    torch.manual_seed(11)
    return model(size=B, frames=frames)


@pytest.mark.parametrize("frames", [1, 3, 7])
@pytest.mark.parametrize("inner", [1, 5])
def test_the_exact_guide_gives_log_p(frames, inner):
    x = sampled(frames)
    result = log_likelihood(*pair(), {"x": x}, samples=3, inner_samples=inner)
    truth = torch.stack([true_log_p(sequence) for sequence in x])
    torch.testing.assert_close(result.log_likelihood, truth, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(result.elbo, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("inner", [1, 5])
def test_the_exact_guide_gives_log_p_of_ragged_sequences(inner):
    x, length = sampled(7), torch.tensor([7, 1, 3, 6, 2, 4])
    given = {"x": x, "length": length}
    result = log_likelihood(*pair(), given, keys=("x", "length"), samples=3, inner_samples=inner)
    truth = torch.stack([true_log_p(s[:n]) for s, n in zip(x, length, strict=True)])
    torch.testing.assert_close(result.log_likelihood, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("frames", [1, 3, 7])
def test_a_wide_guide_converges_to_log_p(frames):
    """Within 6 standard errors of the weights' mean, for each datum: alarm below 1e-7."""
    x = sampled(frames)
    result = log_likelihood(*pair(width=1.5), {"x": x}, samples=4000)
    truth = torch.stack([true_log_p(sequence) for sequence in x])
    error = (1 / result.effective_sample_size - 1 / result.samples).clamp(min=0).sqrt()
    assert (result.elbo < truth - 0.05).all()
    assert ((result.log_likelihood - truth).abs() < 6 * error + 1e-9).all()


def test_samples_follow_the_joint_normal():
    """Means and covariances of 40 000 draws of two frames: 6 standard errors, alarm below 1e-6."""
    model, _ = pair()
    torch.manual_seed(3)
    x = model(size=40_000, frames=2).flatten(1)
    covariance = torch.kron(torch.ones(2, 2, dtype=torch.float64), DIRECT @ DIRECT.T)
    covariance += torch.kron(torch.eye(2, dtype=torch.float64), OWN)
    spread = covariance.diagonal().sqrt()
    assert ((x.mean(0) - MEAN.repeat(2)).abs() < 6 * spread / 200).all()
    bound = 6 * (spread[:, None] * spread) * 2**0.5 / 200
    assert ((torch.cov(x.T) - covariance).abs() < bound).all()


def test_the_divergence_of_the_prior_is_paid():
    """The bound with q(z|f,x) = p(z|f) shifted by one is that of the prior itself less its KL."""
    model, guide = pair()
    x = sampled(3)

    class Shifted(nn.Module):
        def forward(self, features: Tensor, static: Tensor) -> Any:
            loc = static @ PRIOR_WEIGHT.T + PRIOR_OFFSET + 1
            return dist.Normal(loc.expand(*features.shape[:-1], Z), PRIOR).to_event(1)

    guide.dynamic_encoder = Shifted()
    terms = Objective().terms(model, guide, (x,))
    expected = torch.full((B, 3), Z / (2 * PRIOR**2), dtype=torch.float64)
    torch.testing.assert_close(terms["dynamic"].kl, expected)


def test_sites_lie_in_both_plates():
    model, guide = pair()
    sites, _ = Runner(2).run_pair(model, guide, (sampled(4),))
    plates = {
        name: [(p.name, p.dim, p.size) for p in sorted(s.plates, key=lambda p: p.dim)]
        for name, s in sites.items()
    }
    assert plates["static"] == [("data", -2, B)]
    assert plates["dynamic"] == plates["x"] == [("data", -2, B), ("frames", -1, 4)]
    assert list(sites) == ["static", "dynamic", "x"]


def test_images_are_refused():
    model, _ = pair()
    with pytest.raises(ValueError, match=r"x has shape \(6, 1, 2, 3\); expected sequences"):
        model(torch.zeros(6, *SHAPE, dtype=torch.float64))


class Identity(nn.Module):
    """Frames are their codes, one pixel each, with noise of 0.05."""

    def forward(self, codes: Tensor) -> Any:
        return dist.Normal(codes[..., None, None, :], 0.05).to_event(3)


class MeanOfFirst(nn.Module):
    def forward(self, features: Tensor, mask: Tensor | None) -> Any:
        loc = features[..., 0, 0, :1].mean(1, keepdim=True)
        return dist.Normal(loc, 0.05 / features.shape[1] ** 0.5).to_event(1)


class Second(nn.Module):
    def forward(self, features: Tensor, static: Tensor) -> Any:
        return dist.Normal(features[..., 1:], 0.05).to_event(1)


def test_the_prior_learns_a_known_conditional_prior():
    """z | f ~ N(sin 2f, (0.2 + 0.3 s(2f))^2), s the sigmoid, told from frames (f, z) themselves.

    480 000 frames of f uniform in [-2, 2] fix both functions to about 0.01, a small net in 600
    steps to about 0.03; the bounds are 0.08 and 0.05. Noise and guide widen the codes by 0.01.
    """
    torch.manual_seed(0)
    prior = JointNormal((1,), 1, (32, 32), "silu")
    model = models.StaticDynamic(Identity(), prior, 1)
    guide = guides.StaticDynamic(nn.Identity(), MeanOfFirst(), Second())
    optimizer = torch.optim.Adam(prior.parameters(), 5e-3)
    objective = Objective()

    def width(f: Tensor) -> Tensor:
        return 0.2 + 0.3 * (2 * f).sigmoid()

    for step in range(600):
        f = 4 * torch.rand(100, 1) - 2
        z = (2 * f).sin() + width(f) * torch.randn(100, 8)
        x = torch.stack([f.expand(-1, 8), z], -1)[..., None, None, :]
        x = x + 0.05 * torch.randn_like(x)
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / 600)
        optimizer.zero_grad()
        objective.mean_loss(model, guide, (x,)).total.backward()
        optimizer.step()
    f = torch.linspace(-1.8, 1.8, 25).unsqueeze(1)
    learned = prior(f)
    assert (learned.mean - (2 * f).sin()).abs().max() < 0.08
    assert (learned.stddev - width(f)).abs().max() < 0.05
