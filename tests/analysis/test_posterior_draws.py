"""Draws with their weights stand for the exact posterior, and ArviZ reads them.

Statistical tests have fixed seeds and bounds of five standard errors: false alarms below 1e-6.
"""

import math
from typing import Any

import arviz_base
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray
from arviz_stats.base.array import BaseArray
from torch import Tensor

from unbraid import analysis
from unbraid.inference import log_likelihood

WEIGHT = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.2, -1.0]], dtype=torch.float64)
NOISE = 0.7
X = torch.tensor([[0.4, -1.0, 0.3], [1.5, 0.2, -0.8]], dtype=torch.float64)
ZERO = torch.zeros(2, dtype=torch.float64)
COVARIANCE = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + WEIGHT.T @ WEIGHT / NOISE**2)
MEAN = X @ WEIGHT @ COVARIANCE / NOISE**2
LOG_P = dist.MultivariateNormal(
    torch.zeros(3, dtype=torch.float64), WEIGHT @ WEIGHT.T + NOISE**2 * torch.eye(3).double()
).log_prob(X)
DRAWS = 4000


def posterior(*args: Any, **settings: Any) -> Any:
    return analysis.posterior(*args, **settings)


def model(x: Tensor | None = None) -> None:
    assert x is not None
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(ZERO, 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z @ WEIGHT.T, NOISE).to_event(1), obs=x)


def wide(x: Tensor) -> None:
    """Wider than the posterior, and beside it."""
    mean = x @ WEIGHT @ COVARIANCE / NOISE**2 + 0.2
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(mean, 1.0).to_event(1))


def exact(x: Tensor) -> None:
    mean = x @ WEIGHT @ COVARIANCE / NOISE**2
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.MultivariateNormal(mean, COVARIANCE))


def test_weighted_draws_have_the_moments_of_the_posterior():
    tree = posterior(model, wide, X, draws=DRAWS)
    z = tree["posterior"]["z"].values[0]
    weights = np.exp(tree["sample_stats"]["log_weight"].values[0])[..., None]
    assert weights.sum(0) == pytest.approx(1.0)
    size = tree["diagnostics"]["effective_sample_size"].values
    mean = (weights * z).sum(0)
    spread = COVARIANCE.diagonal().sqrt().numpy()
    assert (abs(mean - MEAN.numpy()) < 5 * spread / np.sqrt(size)[:, None]).all()
    for datum in range(2):
        apart = z[:, datum] - mean[datum]
        found = (weights[:, datum] * apart).T @ apart
        assert found == pytest.approx(COVARIANCE.numpy(), abs=5 * 2 / math.sqrt(size.min()))
    assert abs(z.mean(0) - MEAN.numpy()).min() > 0.15  # unweighted, they are the guide's


def test_resampled_draws_stand_as_they_are():
    tree = posterior(model, wide, X, draws=DRAWS, by="resampled", seed=1)
    weighted = posterior(model, wide, X, draws=DRAWS, seed=1)
    z = tree["posterior"]["z"].values[0]
    size = tree["diagnostics"]["effective_sample_size"].values[:, None]
    error = COVARIANCE.diagonal().sqrt().numpy() * np.sqrt(1 / size + 1 / DRAWS)
    assert (abs(z.mean(0) - MEAN.numpy()) < 5 * error).all()
    assert (tree["sample_stats"]["log_weight"].values == -math.log(DRAWS)).all()
    for datum in range(2):
        had = {tuple(row) for row in weighted["posterior"]["z"].values[0, :, datum]}
        assert {tuple(row) for row in z[:, datum]} <= had
    likelihood = dist.Normal(torch.tensor(z) @ WEIGHT.T, NOISE).log_prob(X).sum(-1)
    assert tree["log_likelihood"]["x"].values[0] == pytest.approx(likelihood.numpy(), abs=1e-9)


def test_the_exact_guide_has_equal_weights():
    tree = posterior(model, exact, X, draws=60)
    told = tree["diagnostics"]
    assert told["log_evidence"].values == pytest.approx(LOG_P.numpy(), abs=1e-9)
    assert told["effective_sample_size"].values == pytest.approx(60.0)
    assert (told["pareto_k"].values == 0.0).all()
    assert posterior(model, exact, X, draws=1)["diagnostics"]["log_evidence"].values == (
        pytest.approx(LOG_P.numpy(), abs=1e-9)
    )


def test_the_evidence_is_near_that_of_the_likelihood():
    tree = posterior(model, wide, X, draws=DRAWS)
    other = log_likelihood(model, wide, X, samples=DRAWS).log_likelihood
    assert tree["diagnostics"]["log_evidence"].values == pytest.approx(other.numpy(), abs=0.1)


def test_arviz_reads_it_and_it_keeps_to_a_file(tmp_path):
    tree = posterior(model, exact, X, draws=200, by="resampled")
    z = tree["posterior"]["z"]
    stacked = arviz_base.extract(tree)
    assert dict(stacked.sizes) == {"datum": 2, "z_dim_0": 2, "sample": 200}
    assert stacked.mean("sample").values == pytest.approx(z.values[0].mean(0))
    size: Any = BaseArray().ess(z.values, chain_axis=0, draw_axis=1)
    assert size.shape == (2, 2) and ((size > 50) & (size < 1000)).all()
    assert z.dims == ("chain", "draw", "datum", "z_dim_0") and z.shape == (1, 200, 2, 2)
    assert tree["observed_data"]["x"].values == pytest.approx(X.numpy())
    tree.to_netcdf(tmp_path / "posterior.nc", engine="h5netcdf")
    again = xarray.open_datatree(tmp_path / "posterior.nc", engine="h5netcdf").load()
    assert again["posterior"].equals(tree["posterior"])


def frames(x: Tensor | None = None) -> None:
    assert x is not None
    with pyro.plate("data", len(x), dim=-2):
        static = pyro.sample("static", dist.Normal(ZERO, 1.0).to_event(1))
        with pyro.plate("frames", x.shape[1], dim=-1):
            dynamic = pyro.sample("dynamic", dist.Normal(ZERO, 1.0).to_event(1))
            pyro.sample("x", dist.Normal(static + dynamic, 1.0).to_event(1), obs=x)


def guess(x: Tensor) -> None:
    with pyro.plate("data", len(x), dim=-2):
        pyro.sample("static", dist.Normal(ZERO + 0.1, 1.0).to_event(1))
        with pyro.plate("frames", x.shape[1], dim=-1):
            pyro.sample("dynamic", dist.Normal(ZERO - 0.1, 1.0).to_event(1))


def test_frames_are_nested_in_their_sequence():
    x = torch.randn(3, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tree = posterior(frames, guess, x, draws=70)
    static, dynamic = (torch.tensor(tree["posterior"][n].values[0]) for n in ("static", "dynamic"))
    assert (static.shape, dynamic.shape) == ((70, 3, 1, 2), (70, 3, 4, 2))

    def density(loc: float, value: Tensor) -> Tensor:
        return dist.Normal(ZERO + loc, 1.0).log_prob(value).flatten(2).sum(-1)

    of_x = dist.Normal(static + dynamic, 1.0).log_prob(x).flatten(2).sum(-1)
    weights = of_x + density(0.0, static) - density(0.1, static)
    weights += density(0.0, dynamic) - density(-0.1, dynamic)
    found = torch.tensor(tree["sample_stats"]["log_weight"].values[0])
    assert torch.allclose(found, weights - weights.logsumexp(0), atol=1e-9)


@pytest.mark.parametrize("size", [1, 3])
def test_observed_data_keep_their_plates(size):
    x = torch.randn(size, 4, 2, dtype=torch.float64)
    tree = posterior(frames, guess, x, draws=3)
    assert tree["observed_data"]["x"].dims == ("datum", "x_dim_0", "x_dim_1")
    assert tree["observed_data"]["x"].values == pytest.approx(x.numpy())
    single = posterior(model, exact, X[:1], draws=3)
    assert single["observed_data"]["x"].values == pytest.approx(X[:1].numpy())


@pytest.mark.parametrize("draws", [0, -1, 2.5, True])
def test_bad_numbers_of_draws(draws):
    with pytest.raises(ValueError, match=f"draws is {draws}; expected an integer of at least 1"):
        posterior(model, exact, X, draws=draws)


@pytest.mark.parametrize("by", ["importance", "resampled"])
@pytest.mark.parametrize("name", ["warmup", "chains"])
def test_settings_of_chains_are_no_settings_of_the_guides_draws(by, name):
    message = f"{name} is 7 and by is '{by}'; expected by='nuts'.* Leave {name} out"
    with pytest.raises(ValueError, match=message):
        posterior(model, exact, X, by=by, draws=5, **{name: 7})


def test_points_have_no_draws():
    def points(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Delta(torch.zeros(len(x), 2).double(), event_dim=1))

    with pytest.raises(ValueError, match="site 'z' of the guide is a point"):
        posterior(model, points, X, draws=5)
