"""VITAE's pair: sites, what is warped and un-warped, particles, and log p(x) by quadrature."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.inference import Objective, Runner, log_likelihood, pair_parameters
from unbraid.nets import Decoder, MLPDecoder, MLPEncoder, make_likelihood, mlp
from unbraid.transforms import Affine, Similarity, Transform, Translation

SHAPE, A, P, B, K = (3, 9, 14), 5, 2, 7, 4
PIXEL = 2 / 14  # one pixel of SHAPE in the units of a warp


class FixedEncoder(nn.Module):
    """A Normal whose first coordinates are chosen pixels: what the guide's encoder is shown."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> dist.Independent:
        return dist.Normal(x.flatten(-3)[..., : self.count], 1e-6).to_event(1)


def make_pair(
    transform: Transform, conditional: bool = True, name: str = "bernoulli"
) -> tuple[models.VITAE, guides.VITAE]:
    likelihood = make_likelihood(name, SHAPE[0])
    decoder = MLPDecoder(A, SHAPE, likelihood, hidden=(11, 13))
    warp = mlp((P, 6, transform.parameter_count))
    model = models.VITAE(decoder, warp, transform, A, P)
    encoders = [MLPEncoder(SHAPE, dim, hidden=(13, 11)) for dim in (P, A)]
    return model, guides.VITAE(encoders[0], encoders[1], warp, transform, conditional)


def images() -> Tensor:
    return torch.randint(0, 2, (B, *SHAPE)).float()


def sites(program: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    trace = poutine.trace(program).get_trace(*args, **kwargs)
    trace.compute_log_prob()
    names = [n for n in trace.nodes if trace.nodes[n]["type"] == "sample" and n != "data"]
    return {name: trace.nodes[name] for name in names}


@pytest.mark.parametrize("conditional", [True, False])
def test_sites_are_those_of_the_contract(conditional):
    model, guide = make_pair(Affine(), conditional)
    found = sites(model, images())
    assert list(found) == ["perspective", "appearance", "x"]
    assert list(sites(guide, images())) == ["perspective", "appearance"]
    for name, event in (("perspective", (P,)), ("appearance", (A,)), ("x", SHAPE)):
        assert found[name]["fn"].batch_shape == (B,)
        assert found[name]["fn"].event_shape == event
        (frame,) = found[name]["cond_indep_stack"]
        assert (frame.name, frame.dim, frame.size) == ("data", -1, B)


def test_both_codes_are_standard_normal():
    """Mean and variance of 20000 draws within 5.5 standard errors: alarm below 1e-6."""
    model, _ = make_pair(Affine())
    found = sites(model, size=4000)
    for name in ("perspective", "appearance"):
        z = found[name]["value"].flatten()
        assert abs(float(z.mean())) < 5.5 / len(z) ** 0.5
        assert abs(float(z.var()) - 1) < 5.5 * (2 / len(z)) ** 0.5


@pytest.mark.parametrize("name", ["bernoulli", "continuous-bernoulli", "normal", "normal-learned"])
def test_the_likelihoods_mean_is_the_warped_canonical_image(name):
    model, _ = make_pair(Affine(), name=name)
    x, z_p, z_a = images(), torch.randn(B, P), torch.randn(B, A)
    fixed = poutine.condition(model, {"perspective": z_p, "appearance": z_a})
    found = sites(fixed, x)["x"]["fn"]
    warped = model.transform(model.canonical(z_a), model.gamma(z_p))
    torch.testing.assert_close(found.mean, warped, rtol=1e-4, atol=2e-4)
    if name.startswith("normal"):  # the scale is that of the likelihood, not a warped one
        likelihood: Any = model.decoder.likelihood
        scale = likelihood.pixel_scale().expand(SHAPE)
        torch.testing.assert_close(found.stddev, scale.expand(B, *SHAPE))


def shift_by_one_pixel(module: nn.Module, right: float) -> None:
    """Make a perspective decoder that always answers `right` pixels to the right."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        list(module.parameters())[-1][0] = right * PIXEL


def test_the_model_moves_and_the_guide_moves_back():
    """Exchanging warp and un-warp on either side fails here."""
    model, guide = make_pair(Translation())
    shift_by_one_pixel(model.perspective_decoder, 2)
    guide.appearance_encoder = FixedEncoder(SHAPE[0] * SHAPE[1] * SHAPE[2])
    z_a = torch.randn(B, A)
    still = model.canonical(z_a)
    seen = sites(poutine.condition(model, {"appearance": z_a}), images())["x"]["fn"].mean
    torch.testing.assert_close(seen[..., 2:], still[..., :-2], rtol=1e-4, atol=1e-5)
    x = images()
    shown = sites(guide, x)["appearance"]["fn"].mean.view(x.shape)
    torch.testing.assert_close(shown[..., :-2], x[..., 2:], rtol=1e-4, atol=1e-4)


def test_without_the_condition_the_guide_sees_the_image_itself():
    model, guide = make_pair(Translation(), conditional=False)
    shift_by_one_pixel(model.perspective_decoder, 2)
    guide.appearance_encoder = FixedEncoder(9)
    x = images()
    shown = sites(guide, x)["appearance"]["fn"].mean
    torch.testing.assert_close(shown, x.flatten(1)[:, :9])


def test_guide_and_model_share_one_perspective_decoder():
    model, guide = make_pair(Affine())
    assert guide.perspective_decoder is model.perspective_decoder
    parameters = pair_parameters(model, guide)
    assert len({id(p) for p in parameters}) == len(parameters)
    both = {id(p) for p in model.parameters()} & {id(p) for p in guide.parameters()}
    assert both == {id(p) for p in model.perspective_decoder.parameters()}


def test_every_particle_is_unwarped_by_its_own_perspective():
    model, guide = make_pair(Similarity())
    guide.appearance_encoder = FixedEncoder(20)
    x = images()
    found = Runner(nesting=1, particles=K).run(guide, (x,)).sites
    z_p = found["perspective"].value
    assert z_p.shape == (K, B, P)
    shown = found["appearance"].fn.mean
    assert shown.shape == (K, B, 20)
    for k in range(K):
        for b in range(B):
            alone = model.transform.inverse(x[b], model.gamma(z_p[k, b]))
            torch.testing.assert_close(shown[k, b], alone.flatten()[:20], rtol=1e-4, atol=1e-5)


def test_half_precision_places_no_pixel_elsewhere():
    """Under autocast the nets round, the warp does not: at the same gamma, the same image."""
    transform, x, gamma = Affine(), images(), 0.3 * torch.randn(B, 6)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = transform(x, gamma)
    assert torch.equal(rounded, transform(x, gamma))


class Line(Decoder):
    """A canonical image that is linear in a code of one coordinate: `loading * code + offset`."""

    def __init__(self, shape: tuple[int, int, int], scale: float) -> None:
        super().__init__(1, shape, make_likelihood("normal", shape[0], scale=scale))
        self.loading = nn.Parameter(torch.rand(shape))
        self.offset = nn.Parameter(torch.rand(shape))

    def raw(self, z: Tensor) -> Tensor:
        return self.loading * z[..., None, None] + self.offset


class Wide(nn.Module):
    """A proposal that ignores the image: a Normal with a scale of 1.2."""

    def forward(self, x: Tensor) -> dist.Independent:
        return dist.Normal(x.new_zeros(*x.shape[:-3], 1), 1.2).to_event(1)


@pytest.mark.parametrize("conditional", [True, False])
def test_log_p_is_that_of_quadrature(conditional):
    """Given the shift, x is Gaussian: its density in closed form, then integrated over shifts.

    A warp is linear in the image, so x | z_P ~ N(T offset, T loading loading' T' + scale^2). The
    estimate has a standard error of about 0.01 nats a datum; 0.1 is far outside.
    """
    torch.manual_seed(5)
    shape, scale = (1, 5, 6), 0.5
    decoder, warp = Line(shape, scale), nn.Linear(1, 2)
    with torch.no_grad():
        warp.weight.copy_(torch.tensor([[0.3], [-0.2]]))
    model = models.VITAE(decoder, warp, Translation(), 1, 1)
    guide = guides.VITAE(Wide(), Wide(), warp, Translation(), conditional)
    with torch.no_grad():
        x = model(size=3).clamp(0, 1)
        grid = torch.linspace(-6, 6, 4001)[:, None]
        gamma = warp(grid)
        loading = Translation()(decoder.loading, gamma).flatten(1).double()
        offset = Translation()(decoder.offset, gamma).flatten(1).double()
        given = torch.distributions.LowRankMultivariateNormal(
            offset, loading[..., None], torch.full_like(offset, scale**2)
        ).log_prob(x.flatten(1).double()[:, None])
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(grid[:, 0].double())
        exact = torch.logsumexp(given + prior, -1) + torch.log(torch.tensor(12 / 4000))
        found = log_likelihood(model, guide, x, samples=20_000)
    torch.testing.assert_close(found.log_likelihood, exact, rtol=0, atol=0.1)


def test_the_bound_is_below_log_p_on_the_same_weights():
    model, guide = make_pair(Affine())
    found = log_likelihood(model, guide, images(), samples=200)
    assert (found.elbo <= found.log_likelihood).all()


def test_the_objective_reaches_the_perspective_through_the_unwarped_image():
    """The appearance's divergence depends on how the image was un-warped, so it moves gamma."""
    model, guide = make_pair(Affine())
    terms = Objective().terms(model, guide, (images(),))
    (gradient,) = torch.autograd.grad(
        terms["appearance"].kl.sum(), [next(iter(guide.perspective_decoder.parameters()))]
    )
    assert (gradient != 0).any()
