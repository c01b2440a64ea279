"""What all likelihoods promise, and what each refuses."""

import math
from typing import Any

import pyro.distributions as dist
import pytest
import torch

from unbraid.nets import LIKELIHOODS, Likelihood, default_likelihood, make_likelihood

every_likelihood = pytest.mark.parametrize("name", [*LIKELIHOODS])
FROM_MEAN = ["bernoulli", "bernoulli-grey", "continuous-bernoulli", "normal", "normal-learned"]


def binary(*shape):
    return torch.randint(0, 2, shape).float()


def raw_for(likelihood, *lead, size=(4, 5)):
    return torch.randn(*lead, likelihood.raw_channels, *size)


def test_the_names_are_those_of_the_design():
    assert set(LIKELIHOODS) == {
        "bernoulli",
        "continuous-bernoulli",
        "normal",
        "normal-learned",
        "discretised-logistic",
        "bernoulli-grey",
    }
    assert all(make_likelihood(name, 2).name == name for name in LIKELIHOODS)


@pytest.mark.parametrize(
    ("name", "is_likelihood", "levels"),
    [
        ("bernoulli", True, 2),
        ("continuous-bernoulli", True, None),
        ("normal", True, None),
        ("normal-learned", True, None),
        ("discretised-logistic", True, 256),
        ("bernoulli-grey", False, None),
    ],
)
def test_what_the_numbers_are(name, is_likelihood, levels):
    likelihood = make_likelihood(name, 1)
    assert isinstance(likelihood, Likelihood)
    assert (likelihood.is_likelihood, likelihood.discrete_levels) == (is_likelihood, levels)


@pytest.mark.parametrize("kind", ["binary", "grey", "colour"])
def test_defaults_are_likelihoods(kind):
    assert make_likelihood(default_likelihood(kind), 3).is_likelihood


def test_defaults_follow_the_design():
    defaults = [default_likelihood(kind) for kind in ("binary", "grey", "colour")]
    assert defaults == ["bernoulli", "continuous-bernoulli", "discretised-logistic"]


@every_likelihood
def test_mean_is_an_image(name):
    likelihood = make_likelihood(name, 3)
    mean = likelihood.mean(10 * raw_for(likelihood, 2, 6))
    assert mean.shape == (2, 6, 3, 4, 5)
    assert (mean >= 0).all() and (mean <= 1).all()


@every_likelihood
def test_mean_is_that_of_the_samples(name):
    """Standard error of 4000 draws at most 0.5 / 63; 240 pixels at 6 errors: alarm 5e-7."""
    likelihood = make_likelihood(name, 2)
    raw = raw_for(likelihood, 6)
    if name.startswith("normal"):
        raw = raw.sigmoid()
    samples = likelihood(raw).sample((4000,))
    tolerance = 6 * samples.std(0) / 4000**0.5 + (0.01 if name == "discretised-logistic" else 1e-6)
    assert ((samples.mean(0) - likelihood.mean(raw)).abs() < tolerance).all()


@pytest.mark.parametrize("name", FROM_MEAN)
def test_from_mean_inverts_mean(name):
    likelihood = make_likelihood(name, 3).double()
    raw = raw_for(likelihood, 2, 6).double()
    if name.startswith("normal"):
        raw = raw.sigmoid()
    x = binary(6, 3, 4, 5).double()
    again = likelihood.from_mean(likelihood.mean(raw))
    torch.testing.assert_close(again.log_prob(x), likelihood(raw).log_prob(x))


@pytest.mark.parametrize("name", FROM_MEAN)
def test_from_mean_is_finite_for_black_and_white(name):
    likelihood = make_likelihood(name, 1)
    mean = torch.tensor([0.0, 1.0, 0.5, 0.2]).reshape(1, 2, 2).requires_grad_()
    log_prob = likelihood.from_mean(mean).log_prob(torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))
    assert torch.isfinite(log_prob)
    (gradient,) = torch.autograd.grad(log_prob, mean)
    assert torch.isfinite(gradient).all()


def test_from_mean_is_refused_where_a_mean_says_too_little():
    likelihood = make_likelihood("discretised-logistic", 1)
    with pytest.raises(
        ValueError, match="likelihood is discretised-logistic; expected one that a"
    ):
        likelihood.from_mean(torch.rand(1, 4, 5))


@every_likelihood
@pytest.mark.parametrize("size", [1.0, 1e3, 1e6])
def test_log_prob_and_gradient_are_finite_for_extreme_outputs(name, size):
    likelihood = make_likelihood(name, 3)
    raw = (size * raw_for(likelihood, 6)).requires_grad_()
    log_prob = likelihood(raw).log_prob(binary(6, 3, 4, 5))
    assert torch.isfinite(log_prob).all()
    (gradient,) = torch.autograd.grad(log_prob.sum(), raw)
    assert torch.isfinite(gradient).all()


@every_likelihood
def test_log_prob_and_gradient_are_finite_at_zero_outputs(name):
    likelihood = make_likelihood(name, 3)
    raw = torch.zeros(6, likelihood.raw_channels, 4, 5, requires_grad=True)
    log_prob = likelihood(raw).log_prob(binary(6, 3, 4, 5))
    (gradient,) = torch.autograd.grad(log_prob.sum(), raw)
    assert torch.isfinite(gradient).all()


@every_likelihood
def test_gradient_is_that_of_finite_differences(name):
    likelihood = make_likelihood(name, 2).double()
    raw = torch.randn(1, likelihood.raw_channels, 2, 3, dtype=torch.float64, requires_grad=True)
    x = binary(1, 2, 2, 3).double()
    assert torch.autograd.gradcheck(lambda raw: likelihood(raw).log_prob(x), (raw,))


@every_likelihood
def test_expand_repeats(name):
    likelihood = make_likelihood(name, 3)
    images = likelihood(raw_for(likelihood, 6))
    x = binary(6, 3, 4, 5)
    many = images.expand((2, 6))
    assert many.batch_shape == (2, 6)
    assert many.sample((7,)).shape == (7, 2, 6, 3, 4, 5)
    torch.testing.assert_close(many.log_prob(x), images.log_prob(x).expand(2, 6))
    torch.testing.assert_close(many.mean, images.mean.expand(2, 6, 3, 4, 5))


@every_likelihood
def test_samples_pass_the_check(name):
    likelihood = make_likelihood(name, 3)
    images = likelihood(raw_for(likelihood, 6))
    x = images.sample()
    if not name.startswith("normal"):
        likelihood.check(x)
    assert torch.isfinite(images.log_prob(x)).all()


def test_bernoulli_is_plain_pyro():
    raw, x = torch.randn(6, 3, 4, 5), binary(6, 3, 4, 5)
    images = make_likelihood("bernoulli", 3)(raw)
    assert type(images) is dist.Independent
    assert type(images.base_dist) is dist.Bernoulli
    torch.testing.assert_close(
        images.log_prob(x), (x * raw - torch.nn.functional.softplus(raw)).sum((-3, -2, -1))
    )


def test_bernoulli_grey_is_the_cross_entropy():
    raw, x = torch.randn(6, 3, 4, 5), torch.rand(6, 3, 4, 5)
    p = raw.sigmoid()
    expected = (x * p.log() + (1 - x) * (1 - p).log()).sum((-3, -2, -1))
    torch.testing.assert_close(make_likelihood("bernoulli-grey", 3)(raw).log_prob(x), expected)


def test_normal_has_its_scale():
    raw, x = torch.randn(6, 2, 4, 5), torch.rand(6, 2, 4, 5)
    expected = dist.Normal(raw, 0.3).log_prob(x).sum((-3, -2, -1))
    likelihood = make_likelihood("normal", 2, scale=0.3)
    torch.testing.assert_close(likelihood(raw).log_prob(x), expected)
    assert not list(likelihood.parameters())


def test_normal_learned_has_one_scale_per_channel_and_learns_it():
    """Within 5 standard errors, `1 / sqrt(2 n)` for n = 40000 pixels: alarm below 2e-6."""
    likelihood: Any = make_likelihood("normal-learned", 2, scale=0.3)
    true = torch.tensor([0.02, 0.4]).reshape(2, 1, 1)
    torch.testing.assert_close(likelihood.pixel_scale(), torch.full((2, 1, 1), 0.3))
    raw = torch.rand(2000, 2, 4, 5)
    x = raw + true * torch.randn_like(raw)
    optimizer = torch.optim.LBFGS(
        likelihood.parameters(), max_iter=100, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = -likelihood(raw).log_prob(x).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(likelihood.pixel_scale(), true, rtol=5 / 80000**0.5, atol=0)


@pytest.mark.parametrize("value", [-1e6, 1e6])
def test_normal_learned_keeps_its_scale_bounded(value):
    likelihood: Any = make_likelihood("normal-learned", 2)
    with torch.no_grad():
        next(likelihood.parameters()).fill_(value)
    scale = likelihood.pixel_scale()
    assert (scale >= 0.999e-3).all() and (scale <= 1.001).all()


@pytest.mark.parametrize("scale", [0.0, -0.1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["normal", "normal-learned"])
def test_bad_scales_are_refused(name, scale):
    with pytest.raises(ValueError, match=r"scale is .*; expected a .*number"):
        make_likelihood(name, 1, scale=scale)


@pytest.mark.parametrize("name", ["bernoulli", "discretised-logistic"])
def test_no_channels_are_refused(name):
    with pytest.raises(ValueError, match="channels is 0; expected an integer of at least 1"):
        make_likelihood(name, 0)


def test_no_components_are_refused():
    with pytest.raises(ValueError, match="components is 0; expected an integer of at least 1"):
        make_likelihood("discretised-logistic", 1, components=0)


def test_unknown_names_are_refused_with_a_suggestion():
    with pytest.raises(ValueError, match=r"likelihood is 'bernouli'.*Did you mean bernoulli\?"):
        make_likelihood("bernouli", 1)
    with pytest.raises(ValueError, match=r"likelihood is 'q'; expected one of .*Choose one"):
        make_likelihood("q", 1)
    with pytest.raises(ValueError, match="kind is 'rgb'; expected one of binary, grey, colour"):
        default_likelihood("rgb")


@every_likelihood
def test_check_accepts_binary_images_and_none_at_all(name):
    likelihood = make_likelihood(name, 2)
    assert likelihood.check(binary(6, 2, 4, 5)) is None
    assert likelihood.check(torch.zeros(0, 2, 4, 5)) is None


@every_likelihood
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.byte(), "x is torch.uint8; expected floats in"),
        (lambda x: 255 * x, r"the range of x is \[0, 255\]; .* expects \[0, 1\]. Divide by 255"),
        (lambda x: 2 * x - 1, r"the range of x is \[-1, 1\]; .* Map them with \(x \+ 1\) / 2"),
        (lambda x: 1e30 * x, r"the range of x is \[0, 1e\+30\]; .* Scale the images to \[0, 1\]"),
        (
            lambda x: x.index_fill(0, torch.tensor([3]), math.nan),
            "x has 40 NaN or infinite values",
        ),
        (lambda x: x.index_fill(3, torch.tensor([2]), math.inf), "x has 48 NaN or .* of 240"),
    ],
)
def test_check_refuses_what_is_no_image(name, change, message):
    x = binary(6, 2, 4, 5)
    x[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    with pytest.raises(ValueError, match=message):
        make_likelihood(name, 2).check(change(x))


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if name != "bernoulli"])
def test_check_accepts_eight_bit_levels(name):
    levels = torch.arange(256.0).reshape(1, 1, 16, 16) / 255
    assert make_likelihood(name, 1).check(levels) is None


@pytest.mark.parametrize(
    "name", [n for n in LIKELIHOODS if n not in ("bernoulli", "discretised-logistic")]
)
def test_check_accepts_any_grey(name):
    assert make_likelihood(name, 1).check(torch.rand(6, 1, 4, 5)) is None


def test_bernoulli_refuses_grey_and_says_what_to_use():
    x = binary(6, 1, 4, 5)
    x[2, 0, 3, 1] = 0.25
    message = (
        r"x has 1 grey values of 120, such as 0\.25; bernoulli expects 0 or 1\. "
        r"Use `--set likelihood=continuous-bernoulli` or `--binarise dynamic`\."
    )
    with pytest.raises(ValueError, match=message):
        make_likelihood("bernoulli", 1).check(x)


def test_discretised_logistic_refuses_what_is_no_level():
    x = binary(6, 1, 4, 5)
    x[2, 0, 3, 1] = 0.25
    with pytest.raises(ValueError, match=r"x has 1 values of 120 that are no k/255, such as 0.25"):
        make_likelihood("discretised-logistic", 1).check(x)


@pytest.mark.parametrize("name", ["bernoulli", "continuous-bernoulli", "discretised-logistic"])
def test_distributions_validate_their_support(name):
    images = make_likelihood(name, 1)
    with pytest.raises(ValueError, match="support"):
        images(raw_for(images)).log_prob(torch.full((1, 4, 5), 1.5))
