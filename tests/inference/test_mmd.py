"""The discrepancy of codes and prior, against sums by hand and closed forms."""

import math
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from unbraid.inference import MMD, LinearWarmup, Objective, Step, gradients, squared_mmd

from .aggregates import Prior, terms_of
from .pairs import B, K, Pair, make_pair

KERNELS: Any = ["inverse-multiquadric", "gaussian"]
SCALES = (0.3, 2.0)
FALSE_ALARM = 4.9  # standard errors: once in a million, for a mean of many batches


def by_hand(x, y, kernel, scales, unbiased):
    """The estimate by loops over pairs of samples."""

    def k(a, b):
        square = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
        widths = [2 * len(a) * scale for scale in scales]
        if kernel == "gaussian":
            return sum(math.exp(-square / width) for width in widths)
        return sum(width / (width + square) for width in widths)

    def within(z):
        pairs = [(i, j) for i in range(len(z)) for j in range(len(z)) if i != j or not unbiased]
        return sum(k(z[i], z[j]) for i, j in pairs) / len(pairs)

    return within(x) + within(y) - 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("scales", [SCALES, None])
@pytest.mark.parametrize("kernel", KERNELS)
def test_it_is_the_sums_by_hand(kernel, scales, unbiased):
    x, y = (torch.randn(2, count, K, dtype=torch.float64) + 0.5 for count in (4, 6))
    found = squared_mmd(x, y, kernel, scales, unbiased)
    used = {"inverse-multiquadric": (0.1, 0.2, 0.5, 1, 2, 5, 10), "gaussian": (K / 2,)}[kernel]
    expected = [
        by_hand(a, b, kernel, scales or used, unbiased)
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def laplace(covariance, shift, rate):
    """`E exp(-rate |d|^2)` of a Normal difference `d` of this mean and covariance.

    A Gaussian integral: `det(I + 2 rate S)^(-1/2) exp(-rate m^T (I + 2 rate S)^(-1) m)`.
    """
    matrix = np.eye(len(shift)) + 2 * rate * covariance
    return np.exp(-rate * shift @ np.linalg.solve(matrix, shift)) / math.sqrt(
        np.linalg.det(matrix)
    )


def mean_kernel(covariance, shift, kernel, scale):
    """Mean of the kernel over a Normal difference.

    The inverse multiquadric is a mixture of Gaussian kernels,
    `C / (C + r^2) = int_0^inf e^-t exp(-t r^2 / C) dt`, and so its mean is one integral, by
    Gauss-Laguerre quadrature.
    """
    width = 2 * len(shift) * scale
    if kernel == "gaussian":
        return laplace(covariance, shift, 1 / width)
    places, weights = np.polynomial.laguerre.laggauss(60)
    return sum(
        w * laplace(covariance, shift, t / width) for t, w in zip(places, weights, strict=True)
    )


class Normals:
    """Two Normals of `dims` dimensions, their mean kernels and their squared discrepancy."""

    def __init__(self, dims, kernel, same=False):
        roots = torch.randn(2, dims, dims, dtype=torch.float64) * 0.5
        covariances = roots @ roots.mT + 0.3 * torch.eye(dims, dtype=torch.float64)
        means = torch.randn(2, dims, dtype=torch.float64) * 0.7
        if same:
            covariances[1], means[1] = covariances[0], means[0]
        self.x, self.y = (
            MultivariateNormal(m, c) for m, c in zip(means, covariances, strict=True)
        )
        a, b = covariances.numpy()
        shift = (means[0] - means[1]).numpy()
        parts = [(2 * a, 0 * shift), (2 * b, 0 * shift), (a + b, shift)]
        self.xx, self.yy, self.xy = (
            sum(mean_kernel(c, m, kernel, scale) for scale in SCALES) for c, m in parts
        )
        self.truth = self.xx + self.yy - 2 * self.xy

    def estimates(self, kernel, unbiased, batches=3000, counts=(9, 14)):
        x, y = self.x.sample((batches, counts[0])), self.y.sample((batches, counts[1]))
        return squared_mmd(x, y, kernel, SCALES, unbiased)


def assert_mean(estimates, truth, precision):
    """The mean is the truth within 4.9 standard errors, which are below `precision`."""
    error = float(estimates.std() / math.sqrt(len(estimates)))
    assert error < precision
    assert abs(float(estimates.mean()) - truth) < FALSE_ALARM * error


@pytest.mark.parametrize("dims", [1, 2, 5])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_mean_of_the_u_statistic_is_the_truth(kernel, dims):
    """Standard errors are below 0.01, twenty times less than the V-statistic is off here."""
    normals = Normals(dims, kernel)
    assert normals.truth > 0.02
    assert_mean(normals.estimates(kernel, True), normals.truth, 0.01)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_mean_is_zero_for_equal_distributions(kernel):
    normals = Normals(3, kernel, same=True)
    assert normals.truth == pytest.approx(0, abs=1e-12)
    found = normals.estimates(kernel, True)
    assert (found < 0).any()
    assert_mean(found, 0.0, 0.005)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_v_statistic_is_too_large_by_what_samples_have_with_themselves(kernel):
    """`(k(0) - E k(x, x')) / M` and the same of `y`; and it is never below 0."""
    normals = Normals(2, kernel)
    found = normals.estimates(kernel, False)
    excess = (len(SCALES) - normals.xx) / 9 + (len(SCALES) - normals.yy) / 14
    assert (found > 0).all()
    assert excess > 0.08
    assert_mean(found, normals.truth + excess, 0.01)


@pytest.mark.parametrize("kernel", KERNELS)
def test_samples_do_not_differ_from_themselves(kernel):
    x = torch.randn(20, K)
    assert float(squared_mmd(x, x, kernel, unbiased=False)) == 0.0


@pytest.mark.parametrize("kernel", KERNELS)
def test_codes_far_from_zero_lose_no_digits(kernel):
    x, y = torch.randn(30, K), torch.randn(40, K) + 0.5
    expected = squared_mmd(x.double(), y.double(), kernel)
    far = squared_mmd((x + 1024).float(), (y + 1024).float(), kernel)
    torch.testing.assert_close(far.double(), expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("kernel", KERNELS)
def test_its_gradient_is_that_of_differences(kernel, unbiased):
    x = torch.randn(5, K, dtype=torch.float64, requires_grad=True)
    y = torch.randn(7, K, dtype=torch.float64) + 3.0
    assert torch.autograd.gradcheck(lambda x: squared_mmd(x, y, kernel, SCALES, unbiased), x)


def moments(batch, dims):
    loc = torch.randn(batch, dims, dtype=torch.float64) + 1.0
    return loc, torch.rand(batch, dims, dtype=torch.float64) + 0.3


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("options", [{}, {"kernel": "gaussian", "unbiased": False}])
def test_the_hook_compares_the_codes_with_fresh_draws(options, particles):
    terms, _ = terms_of(*moments(B, K), particles)
    hook = MMD("z", 2.5, scales=SCALES, **options)
    state = torch.get_rng_state()
    found = hook.penalty(terms, {})
    assert hook.penalty(terms, {}) != found
    torch.set_rng_state(state)
    values = terms["z"].value.detach()
    draws = torch.normal(torch.zeros_like(values), 1.0)
    pairs = zip(values.reshape(-1, B, K).tolist(), draws.reshape(-1, B, K).tolist(), strict=True)
    kernel, unbiased = options.get("kernel", KERNELS[0]), options.get("unbiased", True)
    expected = [2.5 * by_hand(a, b, kernel, SCALES, unbiased) for a, b in pairs]
    assert float(found.detach()) == pytest.approx(np.mean(expected), rel=1e-11)


def test_priors_are_drawn_at_the_latents_that_they_depend_on_and_get_no_gradient():
    pair = make_pair("structured")
    terms = Objective().terms(pair.model, pair.guide, pair.args)
    state = torch.get_rng_state()
    penalty = MMD("content", 1.0).penalty(terms, {})
    torch.set_rng_state(state)
    draws = pair.model.prior(terms["pose"].value).sample()
    torch.testing.assert_close(penalty, squared_mmd(terms["content"].value, draws))
    found = torch.autograd.grad(penalty, [*pair.model.parameters()], allow_unused=True)
    assert set(found) == {None}


class Points(nn.Module):
    """A guide without noise: one code per datum, `(B, ...)`, in events of any number of dims."""

    def __init__(self, codes):
        super().__init__()
        self.codes = nn.Parameter(codes)

    def forward(self, x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Delta(self.codes).to_event(self.codes.dim() - 1))


class Moved(nn.Module):
    """A guide without noise: standardised points, moved and stretched by what is learned."""

    def __init__(self, count):
        super().__init__()
        points = torch.randn(count, 2)
        self.points = (points - points.mean(0)) / points.std(0)
        self.loc, self.scale = nn.Parameter(torch.full((2,), 2.0)), nn.Parameter(torch.ones(2) / 5)

    def forward(self, x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Delta(self.loc + self.scale * self.points).to_event(1))


@pytest.mark.parametrize("kernel", KERNELS)
def test_going_downhill_brings_points_to_the_prior(kernel):
    """From mean 2 and scale 1/5; the mean over the last half of the steps.

    Over 20 other seeds the largest distances were 0.07 and 0.05.
    """
    guide, model, kept = Moved(200), Prior(2), []
    hook, objective, x = MMD("z", 1.0, kernel=kernel), Objective(), torch.zeros(200, 1)
    optimizer = torch.optim.Adam(guide.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        hook.penalty(objective.terms(model, guide, (x,)), {}).backward()
        optimizer.step()
        kept.append(torch.stack([guide.loc.detach(), guide.scale.detach()]))
    loc, scale = torch.stack(kept[150:]).mean(0)
    torch.testing.assert_close(loc, torch.zeros(2), rtol=0, atol=0.15)
    torch.testing.assert_close(scale, torch.ones(2), rtol=0, atol=0.2)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_events_of_any_shape_are_one_code(shape):
    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(shape), 1.0).to_event(len(shape)))
            mean = z.reshape(len(x), -1).sum(-1, keepdim=True)
            pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=x)

    codes = torch.randn(B, *shape, dtype=torch.float64)
    terms = Objective().terms(model, Points(codes), (torch.zeros(B, 1).double(),))
    state = torch.get_rng_state()
    found = MMD("z", 1.0).penalty(terms, {})
    torch.set_rng_state(state)
    draws = torch.normal(torch.zeros_like(codes), 1.0)
    expected = squared_mmd(codes.reshape(B, -1), draws.reshape(B, -1))
    torch.testing.assert_close(found, expected)


def loss_of(hooks) -> Any:
    pair = make_pair("plain")
    torch.manual_seed(9)
    loss = Objective(hooks=hooks).mean_loss(pair.model, pair.guide, pair.args)
    return loss, gradients(loss, pair.model, pair.guide, pair.parameters)


def test_it_joins_the_loss_and_not_the_bound():
    plain, _ = loss_of([])
    loss, _ = loss_of([MMD("z", 2.5)])
    assert torch.equal(loss.parts["elbo"], plain.parts["elbo"])
    assert torch.equal(loss.terms["z"].value, plain.terms["z"].value)
    torch.testing.assert_close(loss.total, plain.total + loss.parts["MMD"])
    assert abs(float(loss.parts["MMD"])) > 0.1


def test_weight_zero_changes_nothing():
    plain, expected = loss_of([])
    loss, found = loss_of([MMD("z", 0.0)])
    assert torch.equal(loss.total, plain.total)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_weight_may_be_a_schedule():
    hook = MMD("z", LinearWarmup(4, 0.0, 2.0))
    full = loss_of([MMD("z", 1.0)])[0].parts["MMD"]
    for step in range(6):
        torch.testing.assert_close(loss_of([hook])[0].parts["MMD"], full * min(2.0, step / 2))
        hook.advance()
    assert {name: float(value) for name, value in hook.state_dict().items()} == {"weight.step": 6}


@pytest.mark.parametrize("kernel", KERNELS)
def test_bfloat16_nets_leave_the_estimate_in_float32(kernel):
    loc, scale = moments(50, K)
    terms, _ = terms_of(loc.float(), scale.float())
    found = []
    for enabled in (False, True):
        torch.manual_seed(3)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(MMD("z", 1.0, kernel=kernel).penalty(terms, {}))
    assert found[1].dtype == torch.float32
    assert torch.equal(*found)


def test_codes_in_bfloat16_are_compared_in_float32():
    loc, scale = moments(50, K)
    terms, _ = terms_of(loc.bfloat16(), scale.bfloat16())
    assert MMD("z", 1.0).penalty(terms, {}).dtype == torch.float32


def steps(mode) -> list[torch.Tensor]:
    pair = make_pair("plain")
    optimizer = torch.optim.Adam(pair.parameters, lr=1e-2, fused=True)
    objective = Objective(hooks=[MMD("z", LinearWarmup(4, 1.0, 2.0))])
    step = Step(pair.model, pair.guide, objective, optimizer, mode=mode)
    losses = []
    for i in range(6):
        torch.manual_seed(i)
        losses.append(step(pair.args)["MMD"].clone())
        objective.advance()
    assert step.mode == mode
    assert all(run for run, _, _ in step._compiled.values())
    return [torch.stack(losses), *(p.detach() for p in pair.parameters)]


def test_recorded_steps_are_eager_steps_to_the_bit():
    recorded = steps("record")
    assert all(torch.equal(a, b) for a, b in zip(recorded, steps("eager"), strict=True))
    assert len(set(recorded[0].tolist())) == len(recorded[0])


@pytest.mark.parametrize(
    ("name", "site", "message"),
    [
        ("plain", "x", "site 'x' is not sampled in the guide; expected a latent site"),
        ("model-label", "label", "site 'label' is not sampled in the guide"),
        ("guide-label", "label", "site 'label' is enumerated; expected"),
        ("guide-label", "z", r"'z' has batch shape \(2, 5\) in plates data; expected"),
        ("frames", "dynamic", r"'dynamic' has batch shape \(5, 6\) in plates data, frames"),
        ("frames", "static", r"'static' has batch shape \(5, 1\) in plates data; expected"),
        ("global", "weight", r"'weight' has batch shape \(\) in plates none; expected"),
        ("mixture", "z", r"the prior of site 'z' has batch shape \(2, 5\); expected \(5,\)"),
    ],
)
def test_sites_without_such_codes_are_refused(name, site, message):
    pair = make_pair(name)
    terms = Objective().terms(pair.model, pair.guide, pair.args)
    with pytest.raises(ValueError, match=message):
        MMD(site, 1.0).penalty(terms, {})


@pytest.mark.parametrize("name", ["joint", "no-closed-form", "subsampled", "scaled"])
def test_guides_of_other_kinds_are_welcome(name):
    pair = make_pair(name)
    terms = Objective().terms(pair.model, pair.guide, pair.args)
    penalty = MMD("z", 1.0).penalty(terms, {})
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(penalty, [*pair.guide.parameters()]))


def test_masked_sites_are_refused():
    pair = make_pair("plain")
    mask: Any = torch.arange(B) < 3
    masked = Pair(pyro.poutine.mask(pair.model, mask), pyro.poutine.mask(pair.guide, mask), ())
    terms = Objective().terms(masked.model, masked.guide, pair.args)
    with pytest.raises(ValueError, match="site 'z' is masked"):
        MMD("z", 1.0).penalty(terms, {})


def test_a_batch_of_one_is_refused():
    terms, _ = terms_of(*moments(1, K))
    with pytest.raises(ValueError, match="the batch has 1 data; expected at least 2"):
        MMD("z", 1.0).penalty(terms, {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight is -1.0"),
        ({"weight": math.nan}, "weight is nan"),
        ({"kernel": "rbf"}, "kernel is 'rbf'; expected inverse-multiquadric or gaussian"),
        ({"scales": ()}, r"scales is \(\); expected finite numbers above 0, at least one"),
        ({"scales": (1.0, 0.0)}, r"scales is \(1.0, 0.0\)"),
        ({"scales": (math.inf,)}, "scales is"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MMD("z", **{"weight": 1.0, **options})


def test_a_pair_without_the_site_is_refused():
    pair = make_pair("plain")
    objective = Objective(hooks=[MMD("pose", 1.0)])
    with pytest.raises(ValueError, match="hook 'MMD' reads site 'pose'"):
        objective.terms(pair.model, pair.guide, pair.args)
