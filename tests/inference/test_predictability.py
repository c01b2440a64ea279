"""Predictability minimisation: errors against closed forms, and whom each loss moves."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from unbraid.inference import (
    SVI,
    Batch,
    HookError,
    LeftOut,
    LinearWarmup,
    Objective,
    Predictability,
    Step,
    gradients,
    try_hooks,
)
from unbraid.nets import LeaveOneOut

from .aggregates import terms_at
from .pairs import D, K, make_pair

RHO = torch.tensor([[1.0, 0.6, 0.2], [0.6, 1.0, -0.3], [0.2, -0.3, 1.0]])


def codes_with(correlations, n=4000):
    """Codes whose sample correlations are exactly these, with other means and scales."""
    z = torch.randn(n, len(correlations), dtype=torch.float64)
    z = z - z.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(z.T.cov()), z.T, upper=False).T
    shaped = white @ torch.linalg.cholesky(correlations.double()).T
    return shaped * torch.tensor([0.1, 1.0, 30.0]) + torch.tensor([5.0, 0.0, -2.0])


def fitted(hook, codes, steps=400, rate=0.05):
    """Train a hook's predictors on codes and return their errors there."""
    optimizer = torch.optim.Adam(hook.critic_parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        loss, _ = hook.critic_loss_of((codes,))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return hook.errors(codes).detach()


def hook_of(size=K, hidden=(7,), weight: Any = 2.0, **options: Any) -> Any:
    hook = Predictability("z", LeaveOneOut(size, hidden).double(), weight, **options)
    for parameter in hook.predictors.parameters():
        nn.init.normal_(parameter, std=0.5)
    return hook


def test_linear_predictors_of_normal_codes_err_by_one_minus_r_squared():
    """`1 - R_i^2 = 1 / (R^-1)_ii`, exactly for the sample's correlations: least squares."""
    hook = Predictability("z", LeaveOneOut(3, ()).double())
    found = fitted(hook, codes_with(RHO))
    expected = 1 / torch.linalg.inv(RHO.double()).diagonal()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert expected.min() < 0.6


def test_nets_find_what_linear_predictors_do_not():
    """A coordinate that is the square of another is uncorrelated with it.

    Linear predictors of this one sample leave all; nets leave none of the square, and of the
    number itself all but its sign: E z | z^2 = 0, an error of 1.
    """
    z = torch.randn(2000, 1, dtype=torch.float64)
    z = torch.cat([z, -z])
    codes = torch.cat([z, z.square()], -1)
    linear = fitted(Predictability("z", LeaveOneOut(2, ()).double()), codes)
    torch.testing.assert_close(linear, torch.ones(2).double(), rtol=0, atol=1e-4)
    nets = fitted(Predictability("z", LeaveOneOut(2, (32,)).double()), codes, rate=0.02)
    assert nets[1] < 0.02
    assert nets[0] > 0.95


def test_independent_codes_cost_nothing_and_dependent_ones_at_most_the_weight():
    """Errors of linear predictors of independent codes: 1 - R^2, of 2 numbers in 4000.

    4000 R^2 is chi-square of 2: above 60 once in 1e13.
    """
    hook = Predictability("z", LeaveOneOut(3, ()).double(), 3.0)
    independent = torch.randn(4000, 3, dtype=torch.float64)
    assert fitted(hook, independent).min() > 1 - 60 / 4000
    terms = terms_at(independent, independent, torch.ones_like(independent))
    assert 0 <= float(hook.penalty(terms, {}).detach()) < 3 * 60 / 4000
    twice = independent[:, :1].expand(-1, 3)
    fitted(hook, twice)
    terms = terms_at(twice, twice, torch.ones_like(twice))
    assert float(hook.penalty(terms, {}).detach()) == pytest.approx(3.0, abs=1e-3)


def by_hand(hook, codes):
    """The penalty and the predictors' loss from the formulas, in loops."""
    if hook.form == "published":
        shown = 1 / (1 + (-codes).exp())
    else:
        shown = (codes - codes.mean(0)) / codes.std(0, correction=0)
    told = hook.predictors(shown).detach()
    errors = [
        sum((float(shown[n, i]) - float(told[n, i])) ** 2 for n in range(len(codes))) / len(codes)
        for i in range(codes.shape[1])
    ]
    if hook.form == "published":
        return -2 * sum(errors) / len(errors), sum(errors) / len(errors)
    told_share = sum(1 - min(error, 1) for error in errors) / len(errors)
    return 2 * told_share, sum(errors) / len(errors)


@pytest.mark.parametrize("form", ["normalised", "published"])
def test_the_penalty_is_the_formula(form):
    hook = hook_of(3, form=form)
    fitted(hook, codes_with(RHO, 50), steps=40)
    codes = codes_with(RHO, 50)
    terms = terms_at(codes, codes, torch.ones_like(codes))
    penalty, loss = by_hand(hook, codes)
    assert float(hook.penalty(terms, {}).detach()) == pytest.approx(penalty, rel=1e-5)
    inputs = hook.critic_inputs(terms.detach(), {})[0]
    told = hook.critic_loss_of(inputs)
    assert float(told.loss.detach()) == pytest.approx(loss, rel=1e-5)
    assert float(told.figures["error"]) == float(told.loss.detach())


@pytest.mark.parametrize("form", ["normalised", "published"])
def test_the_penalty_is_bounded_whatever_the_scale_of_codes(form):
    """Nothing is to be gained from large codes: the trivial maximum of the error."""
    hook = hook_of(3, form=form)
    for scale in (1e-3, 1.0, 1e4):
        codes = scale * codes_with(RHO, 60)
        terms = terms_at(codes, codes, torch.ones_like(codes))
        penalty = float(hook.penalty(terms, {}).detach())
        if form == "normalised":
            assert 0 <= penalty <= 2
        else:  # predictions of numbers in [0, 1] are bounded too
            most = 1 + float(hook.predictors(torch.sigmoid(codes)).detach().abs().max())
            assert -2 * most**2 <= penalty <= 0


def test_normalised_errors_do_not_know_scales_and_shifts():
    hook = hook_of(3)
    codes = codes_with(RHO, 60)
    moved = codes * torch.tensor([2.0, 0.1, 7.0]).double() - 3.0
    torch.testing.assert_close(hook.errors(codes), hook.errors(moved), rtol=1e-5, atol=1e-6)


def test_a_constant_coordinate_gives_no_infinite_gradient():
    codes = codes_with(RHO, 60)
    codes[:, 1] = 4.0
    codes.requires_grad_()
    (gradient,) = torch.autograd.grad(hook_of(3).errors(codes).sum(), codes)
    assert torch.isfinite(gradient).all()


def test_predictors_take_as_many_steps_as_asked():
    hook = hook_of(3, steps=4)
    codes = codes_with(RHO, 60)
    given = hook.critic_inputs(terms_at(codes, codes, torch.ones_like(codes)), {})
    assert len(given) == hook.critic_steps == 4
    assert all(torch.equal(inputs[0], codes) for inputs in given)


@pytest.mark.parametrize("form", ["normalised", "published"])
def test_each_loss_moves_its_own_side(form):
    """The penalty the guide alone, the predictors' loss the predictors alone."""
    pair, hook = make_pair("plain"), hook_of(form=form)
    objective = Objective(hooks=[hook])
    loss = objective.mean_loss(pair.model, pair.guide, pair.args)
    [(penalty, side, _)] = loss.routed
    assert side == "guide"
    on_model = torch.autograd.grad(
        penalty, [*pair.model.parameters()], allow_unused=True, retain_graph=True
    )
    assert set(on_model) == {None}
    on_guide = torch.autograd.grad(penalty, [*pair.guide.parameters()], retain_graph=True)
    assert all((gradient != 0).any() for gradient in on_guide)
    gradients(loss, pair.model, pair.guide, pair.parameters)
    assert all(p.grad is None for p in (*pair.parameters, *hook.parameters()))
    inputs = hook.critic_inputs(loss.terms.detach(), {})[0]
    found = hook.critic_loss_of(inputs).loss
    on_pair = torch.autograd.grad(found, pair.parameters, allow_unused=True, retain_graph=True)
    assert set(on_pair) == {None}
    assert all((g != 0).any() for g in torch.autograd.grad(found, hook.critic_parameters()))


def test_weight_zero_leaves_the_loss_as_it_is():
    pair = make_pair("plain")
    found = []
    for hooks in ([], [hook_of(weight=0.0)]):
        torch.manual_seed(4)
        loss = Objective(hooks=hooks).mean_loss(pair.model, pair.guide, pair.args)
        gradient = gradients(loss, pair.model, pair.guide, pair.parameters)
        found.append([loss.parts["loss"], *gradient])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("form", ["normalised", "published"])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_recorded_step_is_the_eager_one(form, steps):
    results = []
    for mode in ("eager", "record"):
        torch.manual_seed(0)
        pair = make_pair("plain")
        hook = hook_of(form=form, weight=LinearWarmup(4, 0.5, 2.0), steps=steps)
        adam = torch.optim.Adam(pair.parameters, lr=1e-2, fused=True)
        objective = Objective(hooks=[hook])
        step = Step(pair.model, pair.guide, objective, adam, mode=mode)
        assert step.mode == mode
        parts = {}
        for i in range(4):
            torch.manual_seed(i)
            parts = step(pair.args)
            objective.advance()
        results.append([*parts.values(), *pair.parameters, *hook.parameters()])
    for eager, recorded in zip(*results, strict=True):
        torch.testing.assert_close(recorded, eager, rtol=1e-10, atol=1e-12)


class Entangled(nn.Module):
    """A guide that gives two coordinates of the data, mixed by a rotation that it can turn."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Parameter(torch.tensor([[1.0, 0.8], [0.0, 0.6]], dtype=torch.float64))

    def forward(self, x):
        mix = self.mix / self.mix.norm(dim=0)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x @ mix, 0.05).to_event(1))


class TwoCodes(nn.Module):
    def forward(self, x):
        zeros = torch.zeros(2, dtype=torch.float64)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(zeros, 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)


def correlation(guide, x):
    means = x @ (guide.mix / guide.mix.norm(dim=0)).detach()
    return abs(float(means.T.corrcoef()[0, 1]))


def test_training_makes_correlated_codes_independent():
    """Two directions of independent data at a correlation of 0.8 end below 0.1.

    Over 10 other seeds it ended at 0.008 or less.
    """
    guide, model = Entangled(), TwoCodes()
    hook = Predictability(
        "z", LeaveOneOut(2, ()).double(), 5.0, optimizer=lambda p: torch.optim.Adam(p, lr=0.03)
    )
    svi = SVI(
        model,
        guide,
        lambda parameters: torch.optim.Adam(parameters, lr=0.01),
        Objective({"z": LeftOut(), "x": 0.0}, [hook]),
    )
    x = torch.randn(500, 2, dtype=torch.float64)
    assert correlation(guide, x) > 0.7
    for _ in range(300):
        svi.step(x)
    assert correlation(guide, x) < 0.1


def test_wrong_settings_are_refused():
    nets = LeaveOneOut(K)
    options: Any
    for options, message in (
        ({"form": "raw"}, "form is 'raw'; expected normalised or published"),
        ({"steps": 0}, "steps is 0; expected an integer of at least 1"),
        ({"weight": math.nan}, "weight is nan; expected a finite number of at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Predictability("z", nets, **options)


def test_predictors_of_another_size_are_refused_before_the_first_step():
    pair = make_pair("plain")
    batch: Batch = {"x": pair.args[0]}
    wrong: Any
    for wrong, message in (
        (LeaveOneOut(D).double(), rf"codes have shape \(5, {K}\); expected \(n, {D}\)"),
        (nn.Linear(K, 1).double(), rf"the predictors give shape \(5, 1\); expected \(5, {K}\)"),
    ):
        objective = Objective(hooks=[Predictability("z", wrong)])
        with pytest.raises(HookError, match=f"hook 'Predictability': {message}"):
            try_hooks(objective, pair.model, pair.guide, pair.args, batch)
