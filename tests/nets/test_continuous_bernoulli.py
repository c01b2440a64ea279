"""The continuous Bernoulli against quadrature in 50 digits, torch and its own samples."""

import math

import pytest
import torch
from mpmath import exp, log, mp, mpf, sinh
from scipy.integrate import quad

from unbraid.nets import make_likelihood

mp.dps = 50
LOGITS = [0.0, 1e-12, 1e-6, 1e-3, 0.1, 0.499, 0.501, 1.0, 3.0, 20.0, 100.0, 1e4]
SIGNED = [*LOGITS, *(-logit for logit in LOGITS[1:])]


def pixel(logit, dtype=torch.float64):
    raw = torch.tensor(logit, dtype=dtype).reshape(1, 1, 1).requires_grad_()
    return raw, make_likelihood("continuous-bernoulli", 1)(raw)


def likelihood_of(logit):
    """Return the univariate distribution, without a gradient."""
    raw = torch.tensor(logit, dtype=torch.float64).reshape(1, 1, 1)
    return make_likelihood("continuous-bernoulli", 1)(raw).base_dist


def half_log_normaliser(logit):
    u = mpf(logit) / 2
    return mpf(0) if u == 0 else log(sinh(u) / u)


def exact_mean(logit):
    eta = mpf(logit)
    return mpf(1) / 2 if eta == 0 else 1 / (1 - exp(-eta)) - 1 / eta


@pytest.mark.parametrize("logit", SIGNED)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-6)])
def test_log_prob_and_its_gradient_are_exact(logit, dtype, tolerance):
    raw, images = pixel(logit, dtype)
    logit = float(raw.detach())
    for value in (0.0, 0.25, 1.0):
        log_prob = images.log_prob(torch.full((1, 1, 1), value, dtype=dtype))
        expected = (mpf(value) - mpf("0.5")) * mpf(logit) - half_log_normaliser(logit)
        scale = max(1.0, abs(logit))
        assert abs(float(log_prob.detach()) - float(expected)) <= tolerance * scale
        (gradient,) = torch.autograd.grad(log_prob, raw)
        assert abs(float(gradient) - float(mpf(value) - exact_mean(logit))) <= tolerance


@pytest.mark.parametrize("logit", SIGNED)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 5e-7)])
def test_mean_is_exact(logit, dtype, tolerance):
    raw, images = pixel(logit, dtype)
    assert abs(float(images.mean.detach()) - float(exact_mean(float(raw.detach())))) <= tolerance


@pytest.mark.parametrize("logit", [-30.0, -2.0, -0.3, 0.0, 0.3, 2.0, 30.0])
def test_it_integrates_to_one_with_its_mean_variance_and_entropy(logit):
    images = likelihood_of(logit)

    def integral(function):
        """Integrate over [0, 1]; `function` takes x and the log-density there."""

        def integrand(x):
            log_density = float(images.log_prob(torch.tensor(x, dtype=torch.float64)))
            return function(x, log_density) * math.exp(log_density)

        return quad(integrand, 0, 1, epsabs=1e-12, points=[0.1, 0.9])[0]

    mean = integral(lambda x, _: x)
    assert integral(lambda x, _: 1) == pytest.approx(1, abs=1e-9)
    assert float(images.mean) == pytest.approx(mean, abs=1e-9)
    variance = integral(lambda x, _: (x - mean) ** 2)
    assert float(images.variance) == pytest.approx(variance, abs=1e-9)
    assert float(images.entropy()) == pytest.approx(integral(lambda _, log_p: -log_p), abs=1e-9)


def test_it_agrees_with_torch_where_torch_is_right():
    logits = torch.linspace(-8, 8, 41, dtype=torch.float64)
    x = torch.linspace(0, 1, 7, dtype=torch.float64)[:, None]
    ours = make_likelihood("continuous-bernoulli", 1)(logits.reshape(1, 1, 41)).base_dist
    theirs = torch.distributions.ContinuousBernoulli(logits=logits)
    log_prob = ours.log_prob(x[:, None, None]).squeeze()
    torch.testing.assert_close(log_prob, theirs.log_prob(x), rtol=0, atol=1e-9)
    torch.testing.assert_close(ours.mean.squeeze(), theirs.mean, rtol=0, atol=1e-7)
    torch.testing.assert_close(ours.variance.squeeze(), theirs.variance, rtol=0, atol=1e-5)


@pytest.mark.parametrize("logit", [-1e4, -3.0, -0.011, -0.009, 0.0, 0.009, 0.011, 3.0, 1e4])
def test_quantiles_invert_the_distribution_function(logit):
    images = likelihood_of(logit)
    for u in (0.01, 0.3, 0.9):
        eta = mpf(logit)
        x = mpf(float(images.icdf(torch.tensor(u, dtype=torch.float64))))
        if eta > 0:
            reached = (exp(eta * (x - 1)) - exp(-eta)) / (1 - exp(-eta))
        else:
            reached = x if eta == 0 else (exp(eta * x) - 1) / (exp(eta) - 1)
        assert float(reached) == pytest.approx(u, abs=1e-7)


@pytest.mark.parametrize("mean", [1e-4, 0.003, 0.1, 0.4, 0.5, 0.501, 0.75, 0.999])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_from_mean_has_that_mean_and_its_gradient(mean, dtype, tolerance):
    target = torch.full((1, 1, 1), mean, dtype=dtype, requires_grad=True)
    images = make_likelihood("continuous-bernoulli", 1).from_mean(target)
    assert float(images.mean.detach()) == pytest.approx(mean, rel=tolerance, abs=tolerance / 10)
    (slope,) = torch.autograd.grad(images.mean, target)
    assert float(slope) == pytest.approx(1, rel=200 * tolerance)


@pytest.mark.parametrize("logit", [-50.0, -18.0, -5.0, 0.0, 5.0, 18.0, 50.0])
@pytest.mark.parametrize("u", [0.0, 1.0])
def test_the_ends_of_the_quantiles_are_those_of_the_support(logit, u):
    """In float32, where expm1(-18) is -1: a uniform number is 0 once in 2 ** 24."""
    raw = torch.full((1, 1, 1), logit)
    images = make_likelihood("continuous-bernoulli", 1)(raw).base_dist
    assert float(images.icdf(torch.tensor(u))) == pytest.approx(u, abs=1e-6)
