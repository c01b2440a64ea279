"""The parts of the divergence over the aggregate posterior, against sums by hand and truth."""

import math
from importlib import import_module
from itertools import combinations
from typing import Any

import pyro
import pytest
import torch
from torch.distributions import Normal

from unbraid.inference import (
    LinearWarmup,
    Objective,
    Step,
    TotalCorrelation,
    divergence_parts,
    gradients,
)

from .aggregates import terms_at, terms_of
from .pairs import B, K, Pair, make_pair

N = 17


def moments(batch, dims, dtype=torch.float64):
    return torch.randn(batch, dims, dtype=dtype), torch.rand(batch, dims, dtype=dtype) + 0.3


def density(value, loc, scale):
    return math.exp(-0.5 * ((value - loc) / scale) ** 2) / (scale * math.sqrt(2 * math.pi))


def aggregate(densities, i, size, sampling):
    """Estimate `q(z_i)` from the densities of `z_i` under the guide of each datum of a batch.

    Stratified: the mean of Chen et al. (2018), appendix C.2, over which of the other data is the
    last one, whose weight differs.
    """
    m = len(densities) - 1
    if sampling == "weighted":
        return sum(densities) / (size * (m + 1))
    others = [d for j, d in enumerate(densities) if j != i]
    estimates = [
        densities[i] / size
        + sum(d for j, d in enumerate(others) if j != last) / m
        + (size - m) / (size * m) * others[last]
        for last in range(m)
    ]
    return sum(estimates) / m


def parts_by_hand(value, loc, scale, size, sampling):
    """Mutual information, total correlation and dimension-wise divergence, by loops."""
    sums = [0.0, 0.0, 0.0]
    batch, dims = len(value), len(value[0])
    for i in range(batch):
        table = [
            [density(value[i][k], loc[j][k], scale[j][k]) for k in range(dims)]
            for j in range(batch)
        ]
        own = math.log(math.prod(table[i]))
        joint = math.log(aggregate([math.prod(row) for row in table], i, size, sampling))
        product = sum(
            math.log(aggregate([row[k] for row in table], i, size, sampling)) for k in range(dims)
        )
        prior = sum(math.log(density(value[i][k], 0.0, 1.0)) for k in range(dims))
        for place, term in enumerate((own - joint, joint - product, product - prior)):
            sums[place] += term / batch
    return sums


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("sampling", ["stratified", "weighted"])
def test_the_parts_are_the_sums_by_hand(sampling, particles):
    loc, scale = moments(B, K)
    terms, _ = terms_of(loc, scale, particles)
    found = torch.stack(divergence_parts(terms, "z", N, sampling))
    values = terms["z"].value.reshape(particles, B, K).tolist()
    by_hand = [parts_by_hand(v, loc.tolist(), scale.tolist(), N, sampling) for v in values]
    expected = torch.tensor(by_hand, dtype=torch.float64).mean(0)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sampling", ["stratified", "weighted"])
def test_the_parts_add_up_to_the_divergence(sampling):
    terms, _ = terms_of(*moments(B, K))
    total = torch.stack(divergence_parts(terms, "z", N, sampling)).sum()
    torch.testing.assert_close(total, (terms["z"].log_q - terms["z"].log_p).mean())


def test_stratified_estimates_are_unbiased():
    """Over all batches that hold a datum, the mean of its `q(z)` is that of all data."""
    size, batch, i = 6, 3, 2
    loc, scale = moments(size, K)
    value = torch.randn(K, dtype=torch.float64)
    truth = Normal(loc, scale).log_prob(value).sum(-1).exp().mean()
    module: Any = import_module("unbraid.inference.total_correlation")
    found = []
    for others in combinations([j for j in range(size) if j != i], batch - 1):
        rows = torch.tensor([i, *others])
        terms = terms_at(value.expand(batch, K), loc[rows], scale[rows])
        _, joint, _ = module._log_densities(terms, "z", size, "stratified")
        found.append(joint[0].exp().detach())
    torch.testing.assert_close(torch.stack(found).mean(), truth, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rows", [4, 9])
def test_codes_far_apart_tell_their_datum(rows):
    """Of N data whose codes never meet, the information is log N, on any batch.

    On a diagonal each dimension tells it as well: the total correlation is (K - 1) log N.
    """
    places = torch.arange(rows, dtype=torch.float64).unsqueeze(-1) * 100
    terms, _ = terms_of(places.expand(rows, K), torch.ones(rows, K, dtype=torch.float64))
    parts = divergence_parts(terms, "z", 9)
    assert float(parts.mutual_information.detach()) == pytest.approx(math.log(9), rel=1e-12)
    assert float(parts.total_correlation.detach()) == pytest.approx(
        (K - 1) * math.log(9), rel=1e-12
    )


def test_codes_on_a_grid_are_independent():
    side = torch.arange(5, dtype=torch.float64) * 2
    loc = torch.cartesian_prod(side, side, side[:3])
    terms, _ = terms_of(loc, torch.full_like(loc, 0.7))
    parts = divergence_parts(terms, "z", len(loc))
    assert abs(float(parts.total_correlation.detach())) < 1e-12


def gaussian_total_correlation(rho, size, seed):
    """Estimate for codes whose aggregate is Normal with unit variances and correlation `rho`."""
    torch.manual_seed(seed)
    noise = 0.3
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)
    root = torch.linalg.cholesky(covariance - noise**2 * torch.eye(2, dtype=torch.float64))
    means = torch.randn(size, 2, dtype=torch.float64)
    centred = means - means.mean(0)
    white = torch.linalg.solve_triangular(
        torch.linalg.cholesky(centred.T @ centred / size), centred.T, upper=False
    ).T
    loc = white @ root.T
    terms, _ = terms_of(loc, torch.full_like(loc, noise))
    return float(divergence_parts(terms, "z", size).total_correlation.detach())


def test_it_is_that_of_a_normal_aggregate():
    """-log(1 - rho^2) / 2, with all of the data as the batch.

    Over 200 other seeds the error had mean 0.003 and standard deviation 0.0155: 0.1 is more than
    six of them, a false alarm in less than one of ten million seeds.
    """
    rho = 0.8
    found = gaussian_total_correlation(rho, 1000, 0)
    assert found == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.1)


def test_weighted_is_stratified_where_the_batch_is_all_data():
    """But for the constant (K - 1) log N; gradients are the same."""
    loc, scale = moments(N, K)
    found = []
    for sampling in ("stratified", "weighted"):
        torch.manual_seed(1)
        terms, guide = terms_of(loc, scale)
        correlation = divergence_parts(terms, "z", N, sampling).total_correlation
        found.append((correlation, torch.autograd.grad(correlation, [*guide.parameters()])))
    (stratified, mine), (weighted, theirs) = found
    torch.testing.assert_close(weighted, stratified + (K - 1) * math.log(N))
    torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_a_small_batch_of_many_data_depends_on_their_number_if_stratified():
    loc, scale = moments(B, K)
    found: dict[str, list[Any]] = {"stratified": [], "weighted": []}
    for sampling, gradients_of in found.items():
        for size in (B, 1000):
            torch.manual_seed(1)
            terms, guide = terms_of(loc, scale)
            parts = divergence_parts(terms, "z", size, sampling)  # pyright: ignore
            gradients_of.append(torch.autograd.grad(parts.total_correlation, guide.loc)[0])
    torch.testing.assert_close(*found["weighted"], rtol=1e-10, atol=1e-12)
    assert (found["stratified"][0] - found["stratified"][1]).abs().max() > 0.01


def test_scales_far_below_the_distances_stay_finite():
    loc, _ = moments(7, K, torch.float32)
    terms, guide = terms_of(loc * 1e4, torch.full((7, K), 1e-6))
    correlation = divergence_parts(terms, "z", 7).total_correlation
    assert float(correlation.detach()) == pytest.approx((K - 1) * math.log(7), rel=1e-4)
    for gradient in torch.autograd.grad(correlation, [*guide.parameters()]):
        assert torch.isfinite(gradient).all()


def loss_of(hooks) -> Any:
    pair = make_pair("plain")
    torch.manual_seed(9)
    loss = Objective(hooks=hooks).mean_loss(pair.model, pair.guide, pair.args)
    return loss, gradients(loss, pair.model, pair.guide, pair.parameters)


def test_it_joins_the_loss_and_not_the_bound():
    plain, _ = loss_of([])
    loss, _ = loss_of([TotalCorrelation("z", 2.5, size=N)])
    correlation = divergence_parts(plain.terms, "z", N).total_correlation
    torch.testing.assert_close(loss.parts["TotalCorrelation"], 2.5 * correlation.detach())
    torch.testing.assert_close(loss.total, plain.total + 2.5 * correlation)
    assert torch.equal(loss.parts["elbo"], plain.parts["elbo"])


def test_weight_zero_changes_nothing():
    plain, expected = loss_of([])
    loss, found = loss_of([TotalCorrelation("z", 0.0, size=N)])
    assert torch.equal(loss.total, plain.total)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_weight_may_be_a_schedule():
    hook = TotalCorrelation("z", LinearWarmup(4, 0.0, 2.0), size=N)
    full = loss_of([TotalCorrelation("z", 1.0, size=N)])[0].parts["TotalCorrelation"]
    for step in range(6):
        found = loss_of([hook])[0].parts["TotalCorrelation"]
        torch.testing.assert_close(found, full * min(2.0, step / 2))
        hook.advance()
    assert {name: float(value) for name, value in hook.state_dict().items()} == {"weight.step": 6}


def steps(mode) -> list[torch.Tensor]:
    pair = make_pair("plain")
    objective = Objective(hooks=[TotalCorrelation("z", LinearWarmup(4, 0.0, 2.0), size=N)])
    optimizer = torch.optim.Adam(pair.parameters, lr=1e-2, fused=True)
    step = Step(pair.model, pair.guide, objective, optimizer, mode=mode)
    losses = []
    for i in range(8):
        torch.manual_seed(i)
        losses.append(step(pair.args)["TotalCorrelation"].clone())
        objective.advance()
    assert step.mode == mode
    return [torch.stack(losses), *(p.detach() for p in pair.parameters)]


def test_recorded_steps_are_eager_steps_to_the_bit():
    assert all(torch.equal(a, b) for a, b in zip(steps("record"), steps("eager"), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["compile", "fused"])
def test_compiled_steps_agree_with_eager_ones(mode):
    inductor: Any = import_module("torch._inductor.config")
    with inductor.patch(fallback_random=True):
        compiled = steps(mode)
    for mine, theirs in zip(compiled, steps("eager"), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "site", "message"),
    [
        ("joint", "z", "site 'z' is MultivariateNormal in the guide; expected a factorised"),
        ("no-closed-form", "z", "site 'z' is StudentT in the guide"),
        ("plain", "x", "site 'x' is data in the guide"),
        ("frames", "dynamic", r"'dynamic' has batch shape \(5, 6\) in plates data, frames"),
        ("frames", "static", r"'static' has batch shape \(5, 1\) in plates data; expected"),
        ("global", "weight", r"'weight' has batch shape \(\) in plates none; expected"),
        ("guide-label", "z", r"'z' has batch shape \(2, 5\) in plates data; expected"),
        ("mixture", "z", r"the prior of site 'z' has batch shape \(2, 5\); expected \(5,\)"),
    ],
)
def test_sites_without_such_an_aggregate_are_refused(name, site, message):
    pair = make_pair(name)
    terms = Objective().terms(pair.model, pair.guide, pair.args)
    with pytest.raises(ValueError, match=message):
        divergence_parts(terms, site, N)


def test_a_mixture_as_prior_is_no_obstacle_to_the_penalty():
    pair = make_pair("mixture")
    terms = Objective().terms(pair.model, pair.guide, pair.args)
    assert torch.isfinite(TotalCorrelation("z", 1.0, size=N).penalty(terms, {}))


def test_masked_sites_are_refused():
    pair = make_pair("plain")
    mask: Any = torch.arange(B) < 3
    masked = Pair(pyro.poutine.mask(pair.model, mask), pyro.poutine.mask(pair.guide, mask), ())
    terms = Objective().terms(masked.model, masked.guide, pair.args)
    with pytest.raises(ValueError, match="site 'z' is masked"):
        divergence_parts(terms, "z", N)


def test_a_batch_of_one_is_refused():
    terms, _ = terms_of(*moments(1, K))
    with pytest.raises(ValueError, match="the batch has 1 data; expected at least 2"):
        divergence_parts(terms, "z", N)


def test_a_batch_of_more_than_all_data_is_refused():
    terms, _ = terms_of(*moments(B, K))
    with pytest.raises(ValueError, match="size is 4, but a batch has 5 data"):
        divergence_parts(terms, "z", 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "size is 1; expected the number of training data"),
        ({"size": 2.5}, "size is 2.5"),
        ({"size": N, "sampling": "mws"}, "sampling is 'mws'; expected stratified or weighted"),
        ({"size": N, "weight": -1.0}, "weight is -1.0"),
        ({"size": N, "weight": math.nan}, "weight is nan"),
    ],
)
def test_bad_numbers_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TotalCorrelation("z", **{"weight": 1.0, **options})


def test_a_pair_without_the_site_is_refused():
    pair = make_pair("plain")
    objective = Objective(hooks=[TotalCorrelation("pose", 1.0, size=N)])
    with pytest.raises(ValueError, match="hook 'TotalCorrelation' reads site 'pose'"):
        objective.terms(pair.model, pair.guide, pair.args)
