"""annealed_log_likelihood against pairs whose log p(x) is known."""

import json
import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from unbraid import guides, models
from unbraid.inference import (
    AnnealedLikelihood,
    CheckpointError,
    annealed_log_likelihood,
    log_likelihood,
)
from unbraid.nets import MLPDecoder, MLPEncoder, make_likelihood

from . import oracles

temperatures_of = import_module("unbraid.inference.annealed_path").temperatures_of

# A standard normal strays further once in 2.6e7.
SIGMAS = 5.5


def run(oracle, **options) -> AnnealedLikelihood:
    return annealed_log_likelihood(
        oracle.model, oracle.guide, oracle.data, keys=oracle.keys, **options
    )


@pytest.mark.parametrize("schedule", ["sigmoid", "linear"])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 999])
def test_schedules_rise_from_exactly_0_to_exactly_1(schedule, count):
    betas = temperatures_of(schedule, count)
    assert betas.dtype == torch.float64 and len(betas) == count + 1
    assert (betas[0], betas[-1]) == (0.0, 1.0)
    assert (betas.diff() > 0).all()
    torch.testing.assert_close(betas, 1 - betas.flip(0))


def test_the_sigmoid_is_wu_et_als():
    betas = temperatures_of("sigmoid", 8)
    logistic = [1 / (1 + math.exp(-4 * (2 * t / 8 - 1))) for t in range(9)]
    expected = [(v - logistic[0]) / (logistic[8] - logistic[0]) for v in logistic]
    torch.testing.assert_close(betas, torch.tensor(expected, dtype=torch.float64))
    assert temperatures_of("linear", 8).diff().std() < 1e-15


ORACLES = {
    "pca": lambda: oracles.pca(width=1.5),
    "two sites": lambda: oracles.structured(width=1.5),
    "a scalar, a curve": oracles.nonlinear,
    "bounded support": lambda: oracles.beta_bernoulli(sharpen=0.6),
}


@pytest.mark.parametrize("start", ["prior", "guide"])
@pytest.mark.parametrize("name", ORACLES)
def test_the_mean_weight_is_unbiased(name, start):
    """Few temperatures give weights of known unbiasedness, not good ones.

    The mean of a datum's 1000 weights, over p(x), is 1 but for its measured error; false alarm:
    beyond 5.5 of these, once in 2.6e7 times where the mean is near Normal, which the effective
    sample size is to say.
    """
    oracle = ORACLES[name]()
    result = run(oracle, chains=1000, temperatures=30, leapfrog_steps=3, start=start, rows=40_000)
    weights = (result.log_weights - oracle.log_p.unsqueeze(1)).exp()
    assert (result.effective_sample_size > 50).all()
    error = weights.std(1) / math.sqrt(1000)
    assert ((weights.mean(1) - 1).abs() < SIGMAS * error).all()


def test_estimates_are_within_their_stated_errors_of_log_p():
    """16 chains: a t distribution of 15 degrees strays beyond 8.5 errors once in 2.5e6 times."""
    oracle = oracles.pca(size=41)
    result = run(oracle, temperatures=200, leapfrog_steps=4, rows=10_000)
    away = (result.log_likelihood - oracle.log_p) / result.monte_carlo_error
    assert (away.abs() < 8.5).all()
    assert 0.6 < float(away.std()) < 1.6
    assert (result.monte_carlo_error < 0.3).all()
    # The mean over data is much nearer; its error is that of 41 independent ones.
    mean_away = result.mean - float(oracle.log_p.mean())
    assert abs(mean_away) < SIGMAS * result.mean_monte_carlo_error < 0.2
    assert not any("sample size" in remark for remark in result.remarks)


def test_more_temperatures_make_better_weights():
    spreads = [
        float(run(oracles.pca(), temperatures=count, chains=64).log_weights.std(1).mean())
        for count in (6, 18, 54)
    ]
    assert spreads[0] > 1.3 * spreads[1] > 1.3**2 * spreads[2]


def test_one_temperature_is_importance_sampling_from_the_start():
    oracle = oracles.pca(width=1.3)
    annealed = run(oracle, temperatures=1, chains=4000, start="guide", rows=100)
    error = annealed.monte_carlo_error
    assert ((annealed.log_likelihood - oracle.log_p).abs() < SIGMAS * error).all()
    assert annealed.acceptance.isnan().all()
    exact = run(oracles.pca(), temperatures=1, chains=3, start="guide")
    torch.testing.assert_close(
        exact.log_weights, oracle.log_p.unsqueeze(1).expand(-1, 3), rtol=0, atol=1e-9
    )


def test_adaptation_online_is_near_and_not_below_the_pilots_rates():
    oracle = oracles.pca()
    result = run(oracle, temperatures=150, leapfrog_steps=3, adaptation="online", chains=64)
    bias = 0.1  # It has one; see the docstring.
    error = result.monte_carlo_error
    assert ((result.log_likelihood - oracle.log_p).abs() < SIGMAS * error + bias).all()
    assert ((result.acceptance > 0.4) & (result.acceptance < 0.9)).all()


class Vae:
    """A decoder of two codes, and log p(x) of what it draws by quadrature."""

    SHAPE = (1, 5, 4)

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            likelihood = make_likelihood("bernoulli", 1)
            decoder = MLPDecoder(2, self.SHAPE, likelihood, hidden=(16,), code_spread=1.5)
            self.model = models.VAE(decoder, 2).eval()
            self.guide = guides.VAE(MLPEncoder(self.SHAPE, 2, hidden=(16,)))
            self.x = self.model(size=20).detach()
            self._train()

    def _train(self) -> None:
        """A few steps of the wake-sleep kind, which are enough for importance sampling."""
        optimiser = torch.optim.Adam(self.guide.parameters(), lr=0.01)
        for _ in range(150):
            with pyro.plate("data", 200), torch.no_grad():
                z = torch.randn(200, 2)
                x = self.model.decoder(z).sample()
            loss = -self.guide.encoder(x).log_prob(z).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    def log_p(self) -> Tensor:
        line = torch.linspace(-7, 7, 281)
        z = torch.cartesian_prod(line, line)
        with torch.no_grad():
            joint = self.model.decoder(z).log_prob(self.x.unsqueeze(1)).double()
        joint = joint - 0.5 * z.double().square().sum(-1) - math.log(2 * math.pi)
        return joint.logsumexp(1) + 2 * math.log(float(line[1] - line[0]))


@pytest.fixture(scope="module")
def vae() -> Vae:
    return Vae()


def test_it_agrees_with_importance_sampling_and_quadrature_on_a_small_vae(vae):
    """All within 5.5 errors per datum; the means over 20 data within two (chance: the seed's)."""
    truth = vae.log_p()
    found = annealed_log_likelihood(
        vae.model, None, vae.x, temperatures=100, leapfrog_steps=5, chains=32
    )
    sampled = log_likelihood(vae.model, vae.guide, vae.x, samples=5000)
    assert (sampled.pareto_k < 0.7).all()
    spread = (1 / sampled.effective_sample_size - 1 / 5000).sqrt()
    error = (found.monte_carlo_error**2 + spread**2).sqrt()
    assert ((found.log_likelihood - truth).abs() < 8 * found.monte_carlo_error).all()
    difference = found.log_likelihood - sampled.log_likelihood
    assert (difference.abs() < 8 * error).all()
    assert abs(float(difference.mean())) < 2 * float(error.square().sum().sqrt()) / 20
    assert (error < 0.2).all()


def test_the_start_does_not_matter(vae):
    prior, guide = (
        annealed_log_likelihood(
            vae.model, vae.guide, vae.x, temperatures=60, leapfrog_steps=5, start=start
        )
        for start in ("prior", "guide")
    )
    error = (prior.monte_carlo_error**2 + guide.monte_carlo_error**2).sqrt()
    assert ((prior.log_likelihood - guide.log_likelihood).abs() < 8 * error).all()
    assert not torch.equal(prior.log_weights, guide.log_weights)


def test_an_implicit_guide_starts_at_the_moments_of_its_codes():
    """Codes that are a function of noise which is no site, one of them far from a Normal."""
    oracle = oracles.pca()
    gain, covariance = oracles.pca_posterior()

    def implicit(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            noise = torch.rand(len(x), 2, dtype=x.dtype) * 3.5 - 1.75
            loc = (x - oracles.OFFSET) @ gain.T
            code = loc + noise * covariance.diagonal().sqrt()
            pyro.sample("z", dist.Delta(code, event_dim=1))

    found = run(
        oracle._replace(guide=implicit), start="guide", temperatures=25, chains=500, rows=20_000
    )
    from_prior = run(oracle, temperatures=25, chains=500, rows=20_000)
    error = found.monte_carlo_error
    assert ((found.log_likelihood - oracle.log_p).abs() < SIGMAS * error).all()
    # The start is near the posterior, so that so few temperatures are enough.
    assert (found.effective_sample_size > 1.3 * from_prior.effective_sample_size).all()


def test_a_second_code_that_depends_on_the_first_is_fitted_too():
    oracle = oracles.structured(width=1.3)
    found = run(oracle, start="guide", temperatures=40, chains=300, rows=20_000)
    error = found.monte_carlo_error
    assert ((found.log_likelihood - oracle.log_p).abs() < SIGMAS * error).all()


def data_of(size: int) -> Any:
    return oracles.pca(size=size)


SMALL: dict[str, Any] = {"temperatures": 12, "leapfrog_steps": 2, "chains": 5}


@pytest.mark.parametrize("adaptation", ["pilot", "online"])
def test_numbers_depend_on_neither_batches_nor_rows(adaptation):
    oracle = data_of(70)
    whole = run(oracle, **SMALL, adaptation=adaptation)
    x = oracle.data["x"]
    batches = [{"x": x[:9]}, {"x": x[9:50]}, {"x": x[50:]}]
    for rows in (1, 100, 161, 5000):
        found = annealed_log_likelihood(
            oracle.model, None, batches, rows=rows, **SMALL, adaptation=adaptation
        )
        torch.testing.assert_close(found.log_weights, whole.log_weights, rtol=0, atol=1e-8)
        torch.testing.assert_close(found.acceptance, whole.acceptance, rtol=0, atol=1e-8)


def test_batches_may_reuse_their_memory():
    """As `unbraid.data.Batches` does; several blocks of them are annealed together."""
    oracle = data_of(70)
    x, memory = oracle.data["x"], torch.empty_like(oracle.data["x"][:32])

    def batches():
        for part in x.split(32):
            memory[: len(part)] = part
            yield {"x": memory[: len(part)]}

    whole = run(oracle, **SMALL)
    found = annealed_log_likelihood(oracle.model, None, batches(), rows=5000, **SMALL)
    torch.testing.assert_close(found.log_weights, whole.log_weights, rtol=0, atol=1e-8)


@pytest.mark.parametrize("start", ["prior", "guide"])
def test_the_first_data_of_many_get_the_numbers_that_they_get_alone(start):
    oracle = data_of(70)
    x = oracle.data["x"]
    many, few = (
        annealed_log_likelihood(oracle.model, oracle.guide, x[:size], start=start, **SMALL)
        for size in (70, 37)
    )
    torch.testing.assert_close(few.log_weights, many.log_weights[:37], rtol=0, atol=1e-8)


def test_seeds_and_chains_and_data_have_noise_of_their_own():
    oracle = data_of(4)
    x = oracle.data["x"][:1].expand(40, -1)
    first = annealed_log_likelihood(oracle.model, None, x, **SMALL)
    second = annealed_log_likelihood(oracle.model, None, x, **SMALL, seed=1)
    drawn = torch.cat([first.log_weights, second.log_weights]).flatten()
    assert len(drawn.unique()) == len(drawn)


def test_the_global_random_state_and_the_modes_are_left_alone(vae):
    torch.manual_seed(8)
    before = torch.get_rng_state()
    vae.guide.train()
    annealed_log_likelihood(vae.model, vae.guide, vae.x, start="guide", **SMALL)
    assert torch.equal(before, torch.get_rng_state())
    assert vae.guide.training and not vae.model.training
    assert all(p.grad is None for p in vae.model.parameters())
    vae.guide.eval()


def test_progress_rises_to_the_number_of_data():
    told: list[float] = []
    run(data_of(70), temperatures=30, chains=3, leapfrog_steps=1, rows=100, progress=told.append)
    assert told == sorted(told) and told[-1] == 70
    assert len(told) > 50 and 0 < told[0] < 2
    assert {32, 64} <= set(told)


def test_partial_results_are_gone_on_with(tmp_path):
    oracle = data_of(70)
    x, path = oracle.data["x"], tmp_path / "partial"
    options = {**SMALL, "rows": 1, "resume": path}

    def interrupted():
        yield {"x": x[:64]}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annealed_log_likelihood(oracle.model, None, interrupted(), **options)
    calls: list[int] = []

    def counted(x: Tensor) -> None:
        calls.append(len(x))
        oracle.model(x)

    resumed = annealed_log_likelihood(counted, None, x, **options)
    assert set(calls) == {6, 32}  # 32 for the trial and the start alone
    whole = annealed_log_likelihood(oracle.model, None, x, **SMALL)
    torch.testing.assert_close(resumed.log_weights, whole.log_weights, rtol=0, atol=1e-8)
    with pytest.raises(CheckpointError):
        annealed_log_likelihood(oracle.model, None, x, **options, seed=3)


def test_errors_and_sizes_have_their_formulas():
    result = run(data_of(5), **SMALL)
    weights = result.log_weights.exp()
    torch.testing.assert_close(result.log_likelihood, weights.mean(1).log())
    torch.testing.assert_close(
        result.monte_carlo_error, weights.std(1) / weights.mean(1) / math.sqrt(5)
    )
    torch.testing.assert_close(
        result.effective_sample_size, weights.sum(1) ** 2 / weights.square().sum(1)
    )
    assert result.mean == pytest.approx(float(result.log_likelihood.mean()))
    assert result.standard_error == pytest.approx(
        float(result.log_likelihood.std()) / math.sqrt(5)
    )
    assert result.mean_monte_carlo_error == pytest.approx(
        math.sqrt(float(result.monte_carlo_error.square().mean()) / 5)
    )


@pytest.mark.parametrize("options", [{"chains": 1}, {"temperatures": 1}, {}])
def test_summaries_are_json_without_nan(options):
    result = run(data_of(1), **(SMALL | options))
    summary = json.loads(json.dumps(result.summary(), allow_nan=False))
    assert summary["n"] == 1
    assert summary["log_likelihood_se"] is None
    assert (summary["monte_carlo_error"] is None) == (options == {"chains": 1})
    assert (summary["acceptance"] is None) == (options == {"temperatures": 1})
    assert summary["chains"] == result.chains == options.get("chains", 5)


def test_bad_runs_say_so_in_words():
    sharp = 1e-3

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z, sharp).to_event(1), obs=x)

    result = annealed_log_likelihood(model, None, torch.ones(3, 2), temperatures=8, chains=16)
    acceptance, size = result.remarks
    assert acceptance.startswith("3 of 3 data accepted fewer than 40% of the moves")
    assert size.startswith("3 of 3 data have an effective sample size below 4 of the 16 chains")
    assert result.summary()["remarks"] == list(result.remarks)
    few = annealed_log_likelihood(model, None, torch.ones(3, 2), temperatures=8, chains=5)
    assert few.remarks[1].startswith("3 of 3 data have an effective sample size below 2 of the 5")


def test_densities_of_zero_are_counted():
    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(1), 1.0).to_event(1))
            loc = z + torch.where(x > 5, torch.inf, 0.0)
            pyro.sample("x", dist.Normal(loc, 1.0).to_event(1), obs=x)

    result = annealed_log_likelihood(model, None, torch.tensor([[0.0], [9.0]]), **SMALL)
    assert result.remarks[0] == "1 of 2 data have no finite estimate"
    summary = result.summary()
    assert summary["non_finite"] == 1 and summary["log_likelihood"] is None
    json.dumps(summary, allow_nan=False)


def test_conditions_are_handed_to_both_programs():
    """A prior whose mean is a condition: log p moves with it."""
    oracle = oracles.pca()
    shift = torch.arange(7, dtype=torch.float64).unsqueeze(1) * torch.tensor([0.3, -0.2]).double()

    def model(x: Tensor, shift: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(shift, 1.0).to_event(1))
            loc = z @ oracles.WEIGHT.T + oracles.OFFSET
            pyro.sample("x", dist.Normal(loc, oracles.NOISE).to_event(1), obs=x)

    evidence = oracles.WEIGHT @ oracles.WEIGHT.T + oracles.NOISE**2 * torch.eye(6).double()
    loc = shift @ oracles.WEIGHT.T + oracles.OFFSET
    truth = dist.MultivariateNormal(loc, evidence).log_prob(oracle.data["x"])
    data = {"shift": shift, "x": oracle.data["x"]}
    found = annealed_log_likelihood(
        model, None, data, keys=("x", "shift"), temperatures=50, chains=64, rows=20_000
    )
    assert ((found.log_likelihood - truth).abs() < 7 * found.monte_carlo_error).all()
    assert (truth - oracle.log_p).abs().max() > 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"chains": 0}, "chains is 0; expected an integer of at least 1"),
        ({"temperatures": 0}, "temperatures is 0"),
        ({"leapfrog_steps": 1.5}, "leapfrog_steps is 1.5"),
        ({"rows": 0}, "rows is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"schedule": "cosine"}, "schedule is 'cosine'; expected one of sigmoid, linear"),
        ({"start": "posterior"}, "start is 'posterior'; expected prior or guide"),
        ({"adaptation": "none"}, "adaptation is 'none'; expected pilot or online"),
    ],
)
def test_settings_out_of_range(options, match):
    with pytest.raises(ValueError, match=match):
        run(data_of(2), **options)


def test_float32_is_enough():
    exact: Callable[..., Any] = oracles.pca
    result = run(exact(dtype=torch.float32), temperatures=60, chains=64, rows=10_000)
    error = result.monte_carlo_error
    assert result.log_weights.dtype == torch.float64
    assert ((result.log_likelihood - exact().log_p).abs() < 7 * error).all()
