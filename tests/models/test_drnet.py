"""Content and pose: log p(x) of a linear-Gaussian case by its joint Normal."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.inference import Runner, log_likelihood

SHAPE, F, Z, B = (1, 2, 3), 2, 3, 5
D, NOISE = 6, 0.7


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


CONTENT, POSE, OFFSET = draw(D, F, seed=1), draw(D, Z, seed=2), draw(D, seed=3)
OWN = POSE @ POSE.T + NOISE**2 * torch.eye(D, dtype=torch.float64)  # of a frame, content given


class LinearDecoder(nn.Module):
    def forward(self, codes: Tensor) -> Any:
        loc = codes[..., :F] @ CONTENT.T + codes[..., F:] @ POSE.T + OFFSET
        return dist.Normal(loc.unflatten(-1, SHAPE), NOISE).to_event(3)


class ExactContent(nn.Module):
    """The posterior of the content, poses averaged out."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Any:
        true = torch.ones_like(x[..., 0, 0, 0]) if mask is None else mask.to(x.dtype)
        gain = CONTENT.T @ torch.linalg.inv(OWN)
        precision = torch.eye(F, dtype=x.dtype) + true.sum(-1)[:, None, None] * (gain @ CONTENT)
        total = ((x.flatten(-3) - OFFSET) * true[..., None]).sum(1) @ gain.T
        covariance = torch.linalg.inv(precision)
        loc = (covariance @ total[..., None])[..., 0]
        return dist.MultivariateNormal(loc.unsqueeze(1), covariance.unsqueeze(1))


class WidePose(nn.Module):
    """The posterior of a pose without the content, twice as wide: not exact, since q(z|x) knows
    no content."""

    def forward(self, x: Tensor) -> Any:
        pixels = x.flatten(-3) - OFFSET
        noise = CONTENT @ CONTENT.T + NOISE**2 * torch.eye(D, dtype=x.dtype)
        gain = POSE.T @ torch.linalg.inv(noise)
        covariance = torch.linalg.inv(torch.eye(Z, dtype=x.dtype) + gain @ POSE)
        loc = pixels @ gain.T @ covariance
        return dist.MultivariateNormal(loc, 4.0 * covariance.expand(*loc.shape, Z))


def pair() -> Any:
    model = models.DrNet(LinearDecoder(), F, Z, frames=3).double()
    return model, guides.DrNet(ExactContent(), WidePose())


def true_log_p(x: Tensor) -> Tensor:
    """One clip `(N, 1, 2, 3)` under its joint Normal: all frames share the content."""
    count = len(x)
    covariance = torch.kron(torch.ones(count, count, dtype=x.dtype), CONTENT @ CONTENT.T)
    covariance += torch.kron(torch.eye(count, dtype=x.dtype), OWN)
    return dist.MultivariateNormal(OFFSET.repeat(count), covariance).log_prob(x.flatten())


@pytest.mark.parametrize("lengths", [None, [2, 1, 2, 2, 1]], ids=["even", "ragged"])
def test_importance_sampling_converges_to_log_p(lengths):
    """Within 6 standard errors of the weights' mean, for each datum: alarm below 1e-7."""
    model, guide = pair()
    torch.manual_seed(11)
    x = model(size=B, frames=2)
    given, keys = {"x": x}, ("x",)
    if lengths is not None:
        given, keys = {"x": x, "length": torch.tensor(lengths)}, ("x", "length")
    result = log_likelihood(model, guide, given, keys=keys, samples=20_000)
    truth = torch.stack(
        [true_log_p(clip[:n]) for clip, n in zip(x, lengths or [2] * B, strict=True)]
    )
    error = (1 / result.effective_sample_size - 1 / result.samples).clamp(min=0).sqrt()
    assert (error < 0.2).all()
    assert (result.elbo < truth - 0.05).all()
    assert ((result.log_likelihood - truth).abs() < 6 * error).all()


def test_content_comes_from_companions_alone_and_poses_from_frames_alone():
    model, guide = pair()
    torch.manual_seed(5)
    x, companions, other = model(size=3 * B, frames=4).split(B)
    given = (x, None, companions)
    found = []
    for args in (given, (other, None, companions), (x, None, other)):
        terms, guide_sites = Runner(2).run_pair(model, guide, args)
        found.append({name: site.fn.mean for name, site in guide_sites.items()})
        assert terms["x"].value.shape == (B, 4, *SHAPE)
    by_frames, by_companions = found[1], found[2]
    assert torch.equal(found[0]["static"], by_frames["static"])
    assert torch.equal(found[0]["dynamic"], by_companions["dynamic"])
    assert (found[0]["static"] - by_companions["static"]).abs().max() > 0.1
    assert (found[0]["dynamic"] - by_frames["dynamic"]).abs().max() > 0.1


def test_sites_lie_in_both_plates():
    model, guide = pair()
    sites, _ = Runner(2).run_pair(model, guide, (model(size=B, frames=4),))
    plates = {
        name: [(p.name, p.dim, p.size) for p in sorted(s.plates, key=lambda p: p.dim)]
        for name, s in sites.items()
    }
    assert plates["static"] == [("data", -2, B)]
    assert plates["dynamic"] == plates["x"] == [("data", -2, B), ("frames", -1, 4)]
    assert list(sites) == ["static", "dynamic", "x"]
