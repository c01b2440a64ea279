"""The group VAE against a joint Normal, and against the VAE that it is for groups of one."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.inference import Objective, log_likelihood, pair_parameters
from unbraid.nets import (
    ACCUMULATIONS,
    JointNormal,
    MLPDecoder,
    make_likelihood,
    mlp_trunk,
    product_with_prior,
)

from .linear_gaussian import SHAPE, D, Variable, draw, log_p

F, Z, B = 2, 3, 6
NOISE = 0.7
LENGTHS = [7, 1, 3, 6, 2, 4]
# Columns at right angles, so that the codes' posteriors factorise.
AXES = torch.linalg.qr(draw(D, D, seed=1)).Q
SHARED = AXES[:, :F] * torch.tensor([1.5, 0.4]).double()
OWN = AXES[:, F : F + Z] * torch.tensor([0.9, 2.0, 0.3]).double()
OFFSET = draw(D, seed=2)
VARIABLES = [
    Variable("static", {}, torch.zeros(F).double(), 1.0, of_frames=False),
    Variable("dynamic", {}, torch.zeros(Z).double(), 1.0),
    Variable("x", {"static": SHARED, "dynamic": OWN}, OFFSET, NOISE),
]


class Decoder(nn.Module):
    def forward(self, codes: Tensor) -> Any:
        static, dynamic = codes.split([F, Z], -1)
        loc = VARIABLES[-1].mean(static=static, dynamic=dynamic)
        return dist.Normal(loc.unflatten(-1, SHAPE), NOISE).to_event(3)


class Factor(nn.Module):
    """What an item says of each coordinate of a code: its likelihood, as a Normal."""

    def __init__(self, maps: Tensor, posterior: bool, width: float = 1.0) -> None:
        super().__init__()
        self.maps, self.posterior, self.width = maps, posterior, width

    def forward(self, features: Tensor) -> Any:
        squares = self.maps.square().sum(0)
        told = (features - OFFSET) @ self.maps
        precision = squares / NOISE**2 + self.posterior
        scale = self.width * precision.rsqrt()
        return dist.Normal(told / NOISE**2 / precision, scale.expand_as(told)).to_event(1)


def pair(width: float = 1.0) -> tuple[Any, Any]:
    guide = guides.GroupVAE(
        nn.Identity(), Factor(SHARED, False, width), Factor(OWN, True, width), product_with_prior
    )
    return models.GroupVAE(Decoder(), F, Z, frames=3).double(), guide


def sampled(frames: int) -> Tensor:
    torch.manual_seed(11)
    return pair()[0](size=B, frames=frames)


@pytest.mark.parametrize("frames", [1, 3, 7])
@pytest.mark.parametrize("inner", [1, 5])
def test_item_factors_and_the_prior_give_log_p(frames, inner):
    """The exact posterior of the shared code is their product, for any number of items."""
    x = sampled(frames)
    result = log_likelihood(*pair(), {"x": x}, samples=3, inner_samples=inner)
    truth = torch.stack([log_p(VARIABLES, group) for group in x])
    torch.testing.assert_close(result.log_likelihood, truth, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(result.elbo, truth, rtol=1e-9, atol=1e-9)


def test_and_of_groups_of_several_sizes():
    x = sampled(7)
    given = {"x": x, "length": torch.tensor(LENGTHS)}
    result = log_likelihood(*pair(), given, keys=("x", "length"), samples=3)
    truth = torch.stack([log_p(VARIABLES, g[:n]) for g, n in zip(x, LENGTHS, strict=True)])
    torch.testing.assert_close(result.log_likelihood, truth, rtol=1e-9, atol=1e-9)


def test_a_wide_guide_converges_to_log_p():
    """Within 6 standard errors of the weights' mean, for each datum: alarm below 1e-7."""
    x = sampled(3)
    result = log_likelihood(*pair(1.4), {"x": x}, samples=400, inner_samples=8)
    truth = torch.stack([log_p(VARIABLES, group) for group in x])
    error = (1 / result.effective_sample_size - 1 / 400).clamp(min=0).sqrt()
    assert (result.elbo < truth - 0.05).all()
    assert ((result.log_likelihood - truth).abs() < 6 * error + 1e-9).all()


def test_without_the_prior_the_bound_is_below_for_all_numbers_of_items_but_one():
    """Encoders that are exact for one item: their product alone is too sure of several."""
    model, _ = pair()
    guide = guides.GroupVAE(
        nn.Identity(), Factor(SHARED, True), Factor(OWN, True), ACCUMULATIONS["product-of-items"]
    )
    for frames in (1, 4):
        x = sampled(frames)
        result = log_likelihood(model, guide, {"x": x}, samples=3)
        truth = torch.stack([log_p(VARIABLES, group) for group in x])
        exact = (result.elbo - truth).abs() < 1e-9
        assert exact.all() if frames == 1 else not exact.any()


def nets(accumulate: str) -> tuple[Any, Any]:
    torch.manual_seed(5)
    trunk = mlp_trunk(SHAPE, (9,))
    static, dynamic = JointNormal((9,), F, (8,)), JointNormal((9,), Z, (8,))
    decoder = MLPDecoder(F + Z, SHAPE, make_likelihood("normal", 1), (7,))
    guide = guides.GroupVAE(trunk, static, dynamic, ACCUMULATIONS[accumulate])
    return models.GroupVAE(decoder, F, Z).double(), guide.double()


class Both(nn.Module):
    """The encoder of a plain VAE, from the encoders of a group VAE."""

    def __init__(self, guide: Any, prior: bool) -> None:
        super().__init__()
        self.guide, self.prior = guide, prior

    def forward(self, x: Tensor) -> Any:
        features = self.guide.trunk(x).flatten(-3)
        static, dynamic = (
            self.guide.static_encoder(features).base_dist,
            self.guide.dynamic_encoder(features).base_dist,
        )
        loc, variance = static.loc, static.scale**2
        if self.prior:  # as one more observation of the code, of 0 with variance 1
            loc, variance = loc / (1 + variance), variance / (1 + variance)
        scale = torch.cat([variance.sqrt(), dynamic.scale], -1)
        return dist.Normal(torch.cat([loc, dynamic.loc], -1), scale).to_event(1)


@pytest.mark.parametrize("accumulate", ACCUMULATIONS)
def test_a_group_of_one_is_a_vae(accumulate):
    """The same bound and the same gradients of all parameters, on the same codes."""
    model, guide = nets(accumulate)
    vae = models.VAE(model.decoder, F + Z).double()
    encoder = guides.VAE(Both(guide, accumulate == "product"))
    x = draw(B, *SHAPE, seed=7)
    groups: Any = Objective().terms(model, guide, (x.unsqueeze(1),))
    noise = [(groups[s].value - groups[s].q.mean) / groups[s].q.stddev for s in groups.latents]
    images = Objective().terms(vae, encoder, (x,))
    q: Any = images["z"].q
    z = q.mean + q.stddev * torch.cat(noise, -1)[:, 0].detach()
    images = images.replay({"z": z})
    bounds = []
    for terms, latents in ((groups, ("static", "dynamic")), (images, ("z",))):
        kl = sum(terms[site].kl.sum() for site in latents)
        bounds.append(terms["x"].log_p.sum() - kl)
    torch.testing.assert_close(bounds[0], bounds[1], rtol=1e-10, atol=1e-10)
    parameters = pair_parameters(model, guide)
    found = [torch.autograd.grad(bound, parameters) for bound in bounds]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("accumulate", ACCUMULATIONS)
@pytest.mark.parametrize("kind", [Trace_ELBO, TraceMeanField_ELBO])
def test_the_bound_is_pyros(accumulate, kind):
    model, guide = nets(accumulate)
    args = (draw(B, 7, *SHAPE, seed=8), torch.tensor(LENGTHS))
    values = []
    for loss in (Objective(analytic_kl=kind is TraceMeanField_ELBO), kind(max_plate_nesting=2)):
        torch.manual_seed(3)
        values.append(loss.differentiable_loss(model, guide, *args))
    torch.testing.assert_close(*values, rtol=1e-11, atol=1e-11)


def test_an_items_own_code_does_not_see_the_others():
    model, guide = nets("product")
    x = draw(B, 4, *SHAPE, seed=9)
    other = x.clone()
    other[:, 1:] = draw(B, 3, *SHAPE, seed=10)
    one, two = (Objective().terms(model, guide, (given,)) for given in (x, other))
    a, b = (terms["dynamic"].q for terms in (one, two))
    assert a is not None and b is not None
    torch.testing.assert_close(a.mean[:, 0], b.mean[:, 0], rtol=0, atol=1e-12)
    assert (a.mean[:, 1:] - b.mean[:, 1:]).abs().max() > 1e-4
    a, b = (terms["static"].q for terms in (one, two))
    assert a is not None and b is not None
    assert (a.mean - b.mean).abs().max() > 1e-4


def test_samples_of_a_group_share_its_code():
    """Covariance of two items' means over 40 000 groups: 6 standard errors, alarm below 1e-6."""
    torch.manual_seed(3)
    x = pair()[0](size=40_000, frames=2).flatten(2) - OFFSET
    found = x[:, 0].T @ x[:, 1] / len(x)
    truth = SHARED @ SHARED.T
    spread = truth + OWN @ OWN.T + NOISE**2 * torch.eye(D).double()
    error = ((spread.diagonal()[:, None] * spread.diagonal() + truth**2) / len(x)).sqrt()
    assert ((found - truth).abs() < 6 * error).all()


def test_x_or_size_and_not_images():
    model, _ = pair()
    with pytest.raises(ValueError, match="neither of x and size given"):
        model()
    with pytest.raises(ValueError, match=r"expected sequences \(B, N, C, H, W\)"):
        model(draw(B, *SHAPE, seed=1))
