"""The mixture of discretised logistics: masses, channel order, samples, moments."""

import pytest
import torch

from unbraid.nets import make_likelihood

LEVELS = torch.arange(256, dtype=torch.float64) / 255


def mixture(channels, components=3, seed=0, spread=1.0):
    torch.manual_seed(seed)
    likelihood = make_likelihood("discretised-logistic", channels, components=components)
    raw = spread * torch.randn(likelihood.raw_channels, 1, 1, dtype=torch.float64)
    return likelihood(raw)


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0, 50.0])
def test_grey_masses_sum_to_one(spread):
    log_prob = mixture(1, spread=spread).log_prob(LEVELS.reshape(256, 1, 1, 1))
    assert float(log_prob.logsumexp(0)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("spread", [1.0, 5.0])
def test_two_channel_masses_sum_to_one(spread):
    pairs = torch.cartesian_prod(LEVELS, LEVELS).reshape(-1, 2, 1, 1)
    log_prob = mixture(2, spread=spread).log_prob(pairs)
    assert float(log_prob.logsumexp(0)) == pytest.approx(0, abs=1e-6)


def test_masses_are_differences_of_the_logistic_distribution_function():
    images = mixture(1, components=1)
    loc, scale = images.loc.flatten(), images.scale.flatten()
    for k, value in enumerate(LEVELS):
        x = 2 * value - 1
        upper = torch.sigmoid((x + 1 / 255 - loc) / scale) if k < 255 else torch.ones(1)
        lower = torch.sigmoid((x - 1 / 255 - loc) / scale) if k > 0 else torch.zeros(1)
        mass = images.log_prob(value.reshape(1, 1, 1)).exp()
        assert float(mass) == pytest.approx(float(upper - lower), abs=1e-13)


def test_three_channels_follow_the_formula_of_the_paper():
    """Salimans et al. (2017), eq. 3: red; green given red; blue given red and green."""
    images = mixture(3, components=4)
    red, green, blue = (2 * LEVELS[[31, 200, 77]] - 1).unbind()
    alpha, beta, gamma = images.coefficients[:, :, 0, 0].unbind(1)
    loc = images.loc[:, :, 0, 0]
    locs = torch.stack(
        [loc[:, 0], loc[:, 1] + alpha * red, loc[:, 2] + beta * red + gamma * green], 1
    )
    x, scale = torch.stack([red, green, blue]), images.scale[:, :, 0, 0]
    mass = torch.sigmoid((x + 1 / 255 - locs) / scale) - torch.sigmoid(
        (x - 1 / 255 - locs) / scale
    )
    expected = (images.logits[:, 0, 0].softmax(0) * mass.prod(1)).sum().log()
    log_prob = images.log_prob(LEVELS[[31, 200, 77]].reshape(3, 1, 1))
    torch.testing.assert_close(log_prob, expected)


def test_pixels_are_independent():
    likelihood = make_likelihood("discretised-logistic", 3)
    raw = torch.randn(7, likelihood.raw_channels, 4, 5, dtype=torch.float64)
    x = likelihood(raw).sample()
    pixels = [
        likelihood(raw[..., i : i + 1, j : j + 1]).log_prob(x[..., i : i + 1, j : j + 1])
        for i in range(4)
        for j in range(5)
    ]
    torch.testing.assert_close(likelihood(raw).log_prob(x), torch.stack(pixels).sum(0))


def test_grey_samples_have_the_masses():
    """A chi-squared statistic over the levels expected at least 20 times; alarm below 1e-6."""
    images = mixture(1, spread=1.5)
    draws = images.sample((50_000,)).flatten()
    expected = 50_000 * images.log_prob(LEVELS.reshape(256, 1, 1, 1)).exp()
    counts = torch.bincount((draws * 255).round().long(), minlength=256)
    common = expected >= 20
    statistic = float(((counts - expected).square() / expected)[common].sum())
    degrees = int(common.sum())
    assert degrees > 50
    assert statistic < degrees + 6 * (2 * degrees) ** 0.5


def test_colour_samples_have_the_conditional_masses():
    """The mean log-probability of draws is minus the entropy, summed over all 65536 values.

    Within 5.5 standard errors: alarm below 1e-6.
    """
    images = mixture(2)
    log_prob = images.log_prob(images.sample((20_000,)))
    every = images.log_prob(torch.cartesian_prod(LEVELS, LEVELS).reshape(-1, 2, 1, 1))
    error = float(log_prob.mean() - (every.exp() * every).sum())
    assert abs(error) < 5.5 * float(log_prob.std()) / 20_000**0.5
    cross = images.sample((20_000,)).squeeze()
    product = cross.prod(-1)
    values = torch.cartesian_prod(LEVELS, LEVELS).prod(-1)
    difference = float(product.mean() - (every.exp() * values).sum())
    assert abs(difference) < 5.5 * float(product.std()) / 20_000**0.5


@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
def test_grey_mean_is_right_to_half_a_level(spread):
    images = mixture(1, spread=spread)
    exact = (images.log_prob(LEVELS.reshape(256, 1, 1, 1)).exp() * LEVELS).sum()
    assert float(images.mean) == pytest.approx(float(exact), abs=0.5 / 255)


def test_narrow_logistics_stay_exact_in_float32():
    """A level far from the loc: the paper's code replaces the mass here, this one does not."""
    likelihood = make_likelihood("discretised-logistic", 1, components=1)
    raw = torch.tensor([0.0, -40.0, 0.0]).reshape(3, 1, 1).requires_grad_()
    log_prob = likelihood(raw).log_prob(torch.full((1, 1, 1), 200 / 255))
    distance = 2 * 200 / 255 - 1
    assert float(log_prob.detach()) == pytest.approx(-(distance - 1 / 255) / 1e-3, rel=1e-4)
    (gradient,) = torch.autograd.grad(log_prob, raw)
    assert torch.isfinite(gradient).all()
    assert float(gradient[0].abs()) > 0
