"""The penalty of the DIP-VAE, against numpy's covariances and closed forms."""

from typing import Any

import numpy as np
import pytest
import torch

from unbraid.inference import DIP, Objective, Step, gradients

from .aggregates import Given, Prior, terms_of
from .pairs import B, K, make_pair

OFF, DIAGONAL = 3.0, 0.7


def moments(batch, dims):
    loc = torch.randn(batch, dims, dtype=torch.float64) @ torch.randn(
        dims, dims, dtype=torch.float64
    )
    return loc, torch.rand(batch, dims, dtype=torch.float64) + 0.3


def penalty_of(covariance):
    """Eq. 6 and 7 of Kumar et al. (2018), entry by entry."""
    dims = len(covariance)
    squares = sum(covariance[i, j] ** 2 for i in range(dims) for j in range(dims) if i != j)
    return OFF * squares + DIAGONAL * sum((covariance[i, i] - 1) ** 2 for i in range(dims))


@pytest.mark.parametrize("particles", [1, 2])
@pytest.mark.parametrize("kind", ["i", "ii"])
def test_it_is_that_of_numpys_covariance(kind, particles):
    loc, scale = moments(B, K)
    terms, _ = terms_of(loc, scale, particles)
    covariance = np.cov(loc.numpy(), rowvar=False, ddof=1)
    if kind == "ii":
        covariance = covariance + np.diag((scale.numpy() ** 2).mean(0))
    found = float(DIP("z", OFF, DIAGONAL, kind).penalty(terms, {}).detach())
    assert found == pytest.approx(penalty_of(covariance), rel=1e-12)


def test_it_is_that_of_a_linear_guide_of_normal_data():
    """Data with covariance S, means W x and one scale: C = W S W^T + scale^2 I, exactly."""
    size, dims = 40, 4
    raw = torch.randn(size, dims, dtype=torch.float64)
    centred = raw - raw.mean(0)
    root = torch.linalg.cholesky(centred.T @ centred / (size - 1))
    white = torch.linalg.solve_triangular(root, centred.T, upper=False).T
    spread = torch.tensor([2.0, 1.0, 0.5, 0.3], dtype=torch.float64)
    weight = torch.randn(K, dims, dtype=torch.float64)
    loc = (white * spread.sqrt()) @ weight.T + 5.0
    terms, _ = terms_of(loc, torch.full_like(loc, 0.6))
    of_means = weight @ spread.diag() @ weight.T
    for kind, covariance in {
        "i": of_means,
        "ii": of_means + 0.36 * torch.eye(K, dtype=torch.float64),
    }.items():
        hook = DIP("z", OFF, DIAGONAL, kind)  # pyright: ignore[reportArgumentType]
        expected = float(penalty_of(covariance))
        assert float(hook.penalty(terms, {}).detach()) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("kind", ["i", "ii"])
def test_going_downhill_decorrelates(kind):
    """Until the penalised covariance is that of the prior; kind i leaves the scales alone."""
    guide, model = Given(*moments(20, K)), Prior(K)
    hook, objective, x = DIP("z", 1.0, 1.0, kind), Objective(), torch.zeros(20, 1).double()
    before = guide.log_scale.detach().clone()
    optimizer = torch.optim.Adam(guide.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        hook.penalty(objective.terms(model, guide, (x,)), {}).backward()
        optimizer.step()
    covariance = guide.loc.detach().T.cov()
    if kind == "ii":
        covariance = covariance + (2 * guide.log_scale.detach()).exp().mean(0).diag()
    else:
        assert torch.equal(guide.log_scale.detach(), before)
    torch.testing.assert_close(covariance, torch.eye(K).double(), rtol=0, atol=1e-3)


def loss_of(hooks) -> Any:
    pair = make_pair("plain")
    torch.manual_seed(9)
    loss = Objective(hooks=hooks).mean_loss(pair.model, pair.guide, pair.args)
    return pair, loss, gradients(loss, pair.model, pair.guide, pair.parameters)


def test_it_joins_the_loss_and_not_the_bound():
    pair, plain, _ = loss_of([])
    _, loss, _ = loss_of([DIP("z", OFF, DIAGONAL, "i")])
    means = pair.guide.encoder(*pair.args).mean.detach()
    expected = float(penalty_of(np.cov(means.numpy(), rowvar=False)))
    assert float(loss.parts["DIP"]) == pytest.approx(expected, rel=1e-12)
    assert float((loss.total - plain.total).detach()) == pytest.approx(expected, rel=1e-9)
    assert torch.equal(loss.parts["elbo"], plain.parts["elbo"])


def test_weights_zero_change_nothing():
    _, plain, expected = loss_of([])
    _, loss, found = loss_of([DIP("z", 0.0, 0.0)])
    assert torch.equal(loss.total, plain.total)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_bfloat16_nets_leave_the_covariance_in_float32():
    loc, scale = moments(50, K)
    covariance = np.cov(loc.numpy(), rowvar=False) + np.diag((scale.numpy() ** 2).mean(0))
    terms, _ = terms_of(loc.float(), scale.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = DIP("z", OFF, DIAGONAL).penalty(terms, {})
    assert found.dtype == torch.float32
    assert float(found.detach()) == pytest.approx(penalty_of(covariance), rel=1e-5)


def steps(mode) -> list[torch.Tensor]:
    pair = make_pair("plain")
    optimizer = torch.optim.Adam(pair.parameters, lr=1e-2, fused=True)
    objective = Objective(hooks=[DIP("z", OFF, DIAGONAL)])
    step = Step(pair.model, pair.guide, objective, optimizer, mode=mode)
    losses = []
    for i in range(5):
        torch.manual_seed(i)
        losses.append(step(pair.args)["DIP"].clone())
    assert step.mode == mode
    return [torch.stack(losses), *(p.detach() for p in pair.parameters)]


def test_recorded_steps_are_eager_steps_to_the_bit():
    assert all(torch.equal(a, b) for a, b in zip(steps("record"), steps("eager"), strict=True))


def test_the_model_alone_is_left_as_it_was():
    """The penalty depends on the guide only."""
    pair, loss, _ = loss_of([DIP("z", OFF, DIAGONAL)])
    penalty = DIP("z", OFF, DIAGONAL).penalty(loss.terms, {})
    parameters = [*pair.model.parameters()]
    assert set(torch.autograd.grad(penalty, parameters, allow_unused=True)) == {None}


@pytest.mark.parametrize(
    ("name", "site", "message"),
    [
        ("joint", "z", "site 'z' is MultivariateNormal in the guide; expected a factorised"),
        ("frames", "dynamic", r"'dynamic' has batch shape \(5, 6\) in plates data, frames"),
        ("guide-label", "z", r"'z' has batch shape \(2, 5\) in plates data; expected"),
    ],
)
def test_sites_without_such_a_covariance_are_refused(name, site, message):
    pair = make_pair(name)
    terms = Objective().terms(pair.model, pair.guide, pair.args)
    with pytest.raises(ValueError, match=message):
        DIP(site, OFF, DIAGONAL).penalty(terms, {})


def test_a_batch_of_one_is_refused():
    terms, _ = terms_of(*moments(1, K))
    with pytest.raises(ValueError, match="the batch has 1 data; expected at least 2"):
        DIP("z", OFF, DIAGONAL).penalty(terms, {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lambda_offdiag": -1.0}, "lambda_offdiag is -1.0; expected a finite number"),
        ({"lambda_diag": float("inf")}, "lambda_diag is inf"),
        ({"kind": "iii"}, "kind is 'iii'; expected i or ii"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DIP("z", **{"lambda_offdiag": 1.0, "lambda_diag": 1.0, **options})
