"""The conditional VAE: sites, nets that broadcast, Pyro's estimators, and linear closed forms."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import nn

from unbraid import guides, models
from unbraid.inference import (
    Objective,
    PairError,
    Step,
    check_pair,
    log_likelihood,
    pair_parameters,
)
from unbraid.nets import (
    ClassCondition,
    ColumnsCondition,
    CompletingDecoder,
    Completion,
    ConditionalDecoder,
    ConditionalEncoder,
    ConditionalPrior,
    MLPDecoder,
    ObservedCondition,
    make_likelihood,
)

SHAPE, K, C, B = (2, 8, 9), 3, 4, 6
HIDDEN = torch.arange(72).reshape(8, 9) % 5 < 2
CONDITIONS = ("class", "columns", "image")
every_condition = pytest.mark.parametrize("kind", CONDITIONS)


def make_condition(kind: str) -> Any:
    return {
        "class": lambda: ClassCondition(C),
        "columns": lambda: ColumnsCondition((2, 0), (C, 0)),
        "image": lambda: ObservedCondition(SHAPE, HIDDEN, 5, (7,)),
    }[kind]()


def make_pair(kind: str, learned: bool = False, channels: Any = None) -> Any:
    condition = make_condition(kind)
    told = None if kind == "image" else make_condition(kind)
    likelihood = make_likelihood("bernoulli", SHAPE[0])
    decoder = MLPDecoder(K + condition.width, SHAPE, likelihood, (9,))
    joined: Any = CompletingDecoder if kind == "image" else ConditionalDecoder
    prior = ConditionalPrior(condition, K, (6,)) if learned else None
    model = models.CVAE(joined(decoder, condition), K, prior)
    return model, guides.CVAE(ConditionalEncoder(SHAPE, K, told, (8,), channels))


def data(kind: str, dtype: Any = torch.float32) -> Any:
    torch.manual_seed(2)
    x = torch.randint(0, 2, (B, *SHAPE)).to(dtype)
    label = torch.tensor([0, 3, 2, 1, 2, 0])
    factors = torch.stack([torch.randn(B), torch.full((B,), 9.0), label.float()], 1)
    return x, {"class": label, "columns": factors, "image": x}[kind]


@every_condition
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("channels", [None, (4,)])
def test_sites_are_those_of_the_contract(kind, learned, channels):
    model, guide = make_pair(kind, learned, channels)
    facts = check_pair(model, guide, *data(kind))
    assert (facts.latents, facts.observed) == (("z",), ("x",))
    assert (facts.nesting, facts.size) == (1, B)
    assert len(facts.parameters) == len(pair_parameters(model, guide))


@every_condition
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("analytic", [True, False])
def test_the_objective_is_pyros(kind, learned, particles, analytic):
    model, guide = (part.double() for part in make_pair(kind, learned))
    args = data(kind, torch.float64)
    stock_kind = TraceMeanField_ELBO if analytic else Trace_ELBO
    stock = stock_kind(num_particles=particles, vectorize_particles=True, max_plate_nesting=1)
    ours = Objective(particles=particles, analytic_kl=analytic)
    found = []
    for loss in (ours, stock):
        torch.manual_seed(3)
        value = loss.differentiable_loss(model, guide, *args)
        found.append([value, *torch.autograd.grad(value, pair_parameters(model, guide))])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
    pyro.clear_param_store()


@every_condition
@pytest.mark.parametrize("learned", [False, True])
def test_gradients_reach_every_parameter(kind, learned):
    model, guide = make_pair(kind, learned)
    loss = Objective().differentiable_loss(model, guide, *data(kind))
    for gradient in torch.autograd.grad(loss, pair_parameters(model, guide)):
        assert torch.isfinite(gradient).all() and (gradient != 0).any()


@every_condition
@pytest.mark.parametrize("learned", [False, True])
def test_recorded_steps_are_eager_ones_to_the_bit(kind, learned):
    found = []
    for mode in ("eager", "record"):
        torch.manual_seed(0)
        model, guide = make_pair(kind, learned)
        parameters = pair_parameters(model, guide)
        step = Step(model, guide, Objective(), torch.optim.Adam(parameters, 0.01), mode=mode)
        for i in range(3):
            torch.manual_seed(i)
            step(data(kind), {})
        found.append(parameters)
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


@every_condition
def test_nets_broadcast_over_particles(kind):
    """Each particle's density is what it is by itself."""
    model, guide = (part.double() for part in make_pair(kind, learned=True))
    x, c = data(kind, torch.float64)
    z = torch.randn(5, B, K, dtype=torch.float64)
    together = model.decoder(z, c).log_prob(x)
    assert together.shape == (5, B)
    alone = torch.stack([model.decoder(each, c).log_prob(x) for each in z])
    torch.testing.assert_close(together, alone)
    many = c.expand(5, *c.shape)
    torch.testing.assert_close(model.decoder(z, many).log_prob(x), alone)
    assert guide.encoder(x.expand(5, *x.shape), many).batch_shape == (5, B)
    assert model.prior(many).batch_shape == (5, B)


@pytest.mark.parametrize("learned", [False, True])
def test_the_bound_is_of_one_condition_at_a_time(learned):
    """Another datum's class changes nothing; one's own does."""
    model, guide = make_pair("class", learned)
    x, c = data("class")
    other = c.clone()
    other[1] = 2
    found = []
    for condition in (c, other):
        torch.manual_seed(5)
        found.append(Objective().terms(model, guide, (x, condition)).elbo)
    same = torch.arange(B) != 1
    torch.testing.assert_close(found[0][same], found[1][same])
    assert (found[0] - found[1])[1].abs() > 1e-3


def test_columns_are_read_by_name_and_kind():
    condition = ColumnsCondition((2, 0), (3, 0))
    rows = torch.tensor([[0.5, 7.0, 2.0], [-1.5, 8.0, 0.0]])
    expected = torch.tensor([[0.0, 0.0, 1.0, 0.5], [1.0, 0.0, 0.0, -1.5]])
    assert torch.equal(condition(rows), expected)
    assert torch.equal(ColumnsCondition((1,), (9,))(rows.long()).argmax(-1), torch.tensor([7, 8]))


@pytest.mark.parametrize("name", ["bernoulli", "continuous-bernoulli", "normal"])
def test_a_completion_is_of_the_hidden_pixels_alone(name):
    likelihood = make_likelihood(name, SHAPE[0])
    raw, given = torch.randn(3, B, *SHAPE), torch.rand(B, *SHAPE).round()
    whole = likelihood(raw)
    completion: Any = Completion(whole, HIDDEN, given)
    x = torch.rand(B, *SHAPE).round()
    by_pixel = whole.base_dist.log_prob(x)
    expected = by_pixel[..., HIDDEN].sum((-2, -1))
    torch.testing.assert_close(completion.log_prob(x), expected)
    elsewhere = torch.where(HIDDEN, x, 1 - x)
    torch.testing.assert_close(completion.log_prob(elsewhere), expected)
    for images in (completion.sample(), completion.mean):
        assert torch.equal(images[..., ~HIDDEN], given.expand(3, *given.shape)[..., ~HIDDEN])
    torch.testing.assert_close(completion.mean[..., HIDDEN], whole.mean[..., HIDDEN])
    assert completion.expand((2, 3, B)).log_prob(x).shape == (2, 3, B)


def test_what_is_hidden_is_not_looked_at():
    model, _ = make_pair("image", learned=True)
    x, _ = data("image")
    changed = torch.where(HIDDEN, 1 - x, x)
    z = torch.randn(B, K)
    for a, b in (
        (model.prior(x).mean, model.prior(changed).mean),
        (model.decoder(z, x).log_prob(x), model.decoder(z, changed).log_prob(x)),
    ):
        assert torch.equal(a, b)
    other = torch.where(HIDDEN, x, 1 - x)
    assert not torch.equal(model.prior(x).mean, model.prior(other).mean)


@every_condition
def test_it_samples_an_image_for_each_condition(kind):
    model, _ = make_pair(kind, learned=True)
    _, c = data(kind)
    assert model(condition=c).shape == model(None, c, size=B).shape == (B, *SHAPE)
    if kind == "image":
        assert torch.equal(model(condition=c)[..., ~HIDDEN], c[..., ~HIDDEN])


def test_calls_that_do_not_fit_are_refused():
    model, guide = make_pair("class")
    x, c = data("class")
    with pytest.raises(ValueError, match="condition is None; expected one per datum"):
        model(x)
    with pytest.raises(ValueError, match="condition is None"):
        model(size=3)
    with pytest.raises(ValueError, match="x has 6 data and condition 4; expected one condition"):
        model(x, c[:4])
    with pytest.raises(ValueError, match="size is 3 and condition 6"):
        model(None, c, size=3)
    for wrong in (-1, C):
        with pytest.raises(PairError, match="the guide failed"):
            check_pair(model, guide, x, torch.full((B,), wrong))


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        (torch.ones(8, 9, dtype=torch.bool), "hidden is true everywhere; expected some observed"),
        (torch.zeros(8, 9, dtype=torch.bool), "hidden is false everywhere; expected some hidden"),
        (HIDDEN.T, r"shape \(9, 8\); expected torch.bool of shape \(8, 9\)"),
        (HIDDEN.float(), "hidden is torch.float32"),
        (HIDDEN.expand(2, 8, 9), r"shape \(2, 8, 9\); expected"),
    ],
)
def test_masks_that_are_none_are_refused(hidden, message):
    with pytest.raises(ValueError, match=message):
        ObservedCondition(SHAPE, hidden)


def test_conditions_of_nothing_are_refused():
    with pytest.raises(ValueError, match="classes are 0"):
        ClassCondition(0)
    with pytest.raises(ValueError, match="one size for each"):
        ColumnsCondition((0, 1), (2,))
    with pytest.raises(ValueError, match="expected independent pixels"):
        raw = torch.randn(2, 100, 4, 5)
        likelihood = make_likelihood("discretised-logistic", 3)
        whole = likelihood(raw[:, : likelihood.raw_channels])
        Completion(whole, torch.ones(4, 5, dtype=torch.bool), torch.rand(2, 3, 4, 5))


D = 5  # pixels of the linear images, (1, 1, 5)


class Linear(nn.Module):
    """z = A c + noise of S, x = W z + V c + b + noise of s; and what follows from it."""

    def __init__(self, learned: bool) -> None:
        super().__init__()

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, dtype=torch.float64)

        torch.manual_seed(11)
        self.w, self.v, self.b = draw(D, K), draw(D, C), draw(D)
        self.a = draw(K, C) if learned else torch.zeros(K, C, dtype=torch.float64)
        self.spread = draw(K).exp() if learned else torch.ones(K, dtype=torch.float64)
        self.noise = 0.7

    def prior(self, c: torch.Tensor) -> Any:
        return dist.Normal(c @ self.a.T, self.spread).to_event(1)

    def decode(self, z: torch.Tensor, c: torch.Tensor) -> Any:
        loc = z @ self.w.T + c @ self.v.T + self.b
        return dist.Normal(loc.unflatten(-1, (1, 1, D)), self.noise).to_event(3)

    def log_p(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """By the covariance of x given c, without a code."""
        mean = c @ self.a.T @ self.w.T + c @ self.v.T + self.b
        covariance = self.w @ torch.diag(self.spread**2) @ self.w.T
        covariance = covariance + self.noise**2 * torch.eye(D, dtype=torch.float64)
        return dist.MultivariateNormal(mean, covariance).log_prob(x.flatten(1))

    def posterior(self, x: torch.Tensor, c: torch.Tensor, width: float) -> Any:
        precision = torch.diag(self.spread**-2) + self.w.T @ self.w / self.noise**2
        rest = x.flatten(1) - c @ self.v.T - self.b
        pull = c @ self.a.T / self.spread**2 + rest @ self.w / self.noise**2
        covariance = torch.linalg.inv(precision)
        return dist.MultivariateNormal(pull @ covariance, width**2 * covariance)


def linear_pair(learned: bool, width: float) -> Any:
    linear = Linear(learned)
    model = models.CVAE(linear.decode, K, linear.prior if learned else None).double()
    guide = guides.CVAE(lambda x, c: linear.posterior(x, c, width))
    torch.manual_seed(12)
    c = torch.randn(7, C, dtype=torch.float64)
    x = torch.randn(7, 1, 1, D, dtype=torch.float64) * 2
    return linear, model, guide, {"x": x, "condition": c}


@pytest.mark.parametrize("learned", [False, True])
def test_the_exact_posterior_gives_the_conditional_likelihood_exactly(learned):
    linear, model, guide, given = linear_pair(learned, 1.0)
    found = log_likelihood(model, guide, given, keys=("x", "condition"), samples=7)
    truth = linear.log_p(given["x"], given["condition"])
    torch.testing.assert_close(found.log_likelihood, truth, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.elbo, truth, rtol=0, atol=1e-9)
    shuffled = linear.log_p(given["x"], given["condition"].roll(1, 0))
    assert (found.log_likelihood - shuffled).abs().min() > 0.01


@pytest.mark.parametrize("learned", [False, True])
def test_another_proposal_comes_near_it(learned):
    """A posterior 1.3 times as wide, whose weights are bounded; 6 standard errors: below 1e-6."""
    linear, model, guide, given = linear_pair(learned, 1.3)
    samples = 20_000
    found = log_likelihood(model, guide, given, keys=("x", "condition"), samples=samples)
    truth = linear.log_p(given["x"], given["condition"])
    relative_variance = (samples / found.effective_sample_size - 1) / samples
    error = (found.log_likelihood - truth).abs()
    assert (error < 6 * relative_variance.sqrt()).all()
    assert (error > 0).all()
    assert (found.elbo < truth).all()


@pytest.mark.parametrize("learned", [False, True])
def test_it_draws_what_its_density_says(learned):
    """Mean and covariance of x given c, of 40 000 draws; 6 standard errors: below 1e-6 each."""
    linear, model, _, given = linear_pair(learned, 1.0)
    count = 40_000
    c = given["condition"][:1].expand(count, C)
    with torch.no_grad():
        x = poutine.uncondition(model)(condition=c).flatten(1)
    mean = (c[0] @ linear.a.T) @ linear.w.T + c[0] @ linear.v.T + linear.b
    covariance = linear.w @ torch.diag(linear.spread**2) @ linear.w.T
    covariance = covariance + linear.noise**2 * torch.eye(D, dtype=torch.float64)
    scale = covariance.diagonal().sqrt()
    assert ((x.mean(0) - mean).abs() < 6 * scale / count**0.5).all()
    spread = (covariance**2 + torch.outer(scale**2, scale**2)).sqrt() / count**0.5
    assert ((x.T.cov() - covariance).abs() < 6 * spread).all()
