"""Chains draw from the exact posterior, wherever the guide is, and ArviZ reads them.

Statistical tests have fixed seeds and bounds of five standard errors, whose effective numbers of
draws are those of the very statistic: false alarms below 1e-6 each.
"""

from typing import Any

import arviz_base
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray
from arviz_stats.base.array import BaseArray
from torch import Tensor, nn

from unbraid import analysis
from unbraid.inference import NoLikelihoodError, posterior_chains

WEIGHT = torch.tensor([[1.5, 1.5], [0.3, 0.1], [0.1, -0.2]], dtype=torch.float64)
NOISE = 0.5
X = torch.tensor([[0.4, -1.0, 0.3], [1.5, 0.2, -0.8]], dtype=torch.float64)
ZERO = torch.zeros(2, dtype=torch.float64)
COVARIANCE = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + WEIGHT.T @ WEIGHT / NOISE**2)
MEAN = (X @ WEIGHT @ COVARIANCE / NOISE**2).numpy()
SETTINGS: dict[str, Any] = {"by": "nuts", "draws": 150, "warmup": 60, "chains": 3}


def posterior(*args: Any, **settings: Any) -> Any:
    return analysis.posterior(*args, **SETTINGS | settings)


def model(x: Tensor | None = None) -> None:
    assert x is not None
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(ZERO, 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z @ WEIGHT.T, NOISE).to_event(1), obs=x)


def narrow(x: Tensor) -> None:
    """Far too narrow, and beside the posterior."""
    mean = x @ WEIGHT @ COVARIANCE / NOISE**2 + 2.0
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(mean, 0.05).to_event(1))


def error(statistic: np.ndarray) -> np.ndarray:
    """Standard error of the mean of a statistic `(chain, draw, ...)` of dependent draws."""
    size: Any = BaseArray().ess(statistic, chain_axis=0, draw_axis=1, method="mean")
    return statistic.std((0, 1)) / np.sqrt(size)


@pytest.fixture(scope="module")
def drawn() -> Any:
    return posterior(model, narrow, X)


def test_chains_have_the_moments_of_the_posterior(drawn):
    z = drawn["posterior"]["z"].values
    assert z.shape == (3, 150, 2, 2)
    assert (abs(z.mean((0, 1)) - MEAN) < 5 * error(z)).all()
    apart = z - MEAN
    products = apart[..., :, None] * apart[..., None, :]
    off = abs(products.mean((0, 1)) - COVARIANCE.numpy())
    assert (off < 5 * error(products)).all()
    assert (5 * error(products)).max() < 0.7 * COVARIANCE.max()  # so the bounds do say something


def test_diagnostics_are_those_of_arviz(drawn):
    z, told, stats = drawn["posterior"]["z"], drawn["diagnostics"], drawn["sample_stats"]
    judge: Any = BaseArray()
    r_hat = judge.rhat(z.values, chain_axis=0, draw_axis=1)
    size = judge.ess(z.values, chain_axis=0, draw_axis=1)
    assert told["r_hat_z"].values == pytest.approx(r_hat) and told["r_hat_z"].shape == (2, 2)
    assert told["ess_z"].values == pytest.approx(size)
    assert told["r_hat"].values == pytest.approx(r_hat.max(1))
    assert told["effective_sample_size"].values == pytest.approx(size.min(1))
    assert (r_hat < 1.1).all() and (size > 60).all()
    assert stats["diverging"].dims == ("chain", "draw", "datum")
    assert stats["diverging"].dtype == bool
    assert told["divergences"].values == pytest.approx(stats["diverging"].values.mean((0, 1)))
    acceptance, step = stats["acceptance_rate"], stats["step_size"]
    assert acceptance.dims == step.dims == ("chain", "datum")
    assert ((acceptance > 0.5) & (acceptance <= 1) & (step > 0.01) & (step < 10)).all()
    # Chains differ, and data do.
    assert len(np.unique(step.values)) > 1
    assert len(np.unique(z.values[:, 0, :, 0])) == 6


def test_likelihood_and_data_are_kept():
    tree = posterior(model, narrow, X, draws=20, warmup=10)
    z = torch.tensor(tree["posterior"]["z"].values)
    expected = dist.Normal(z @ WEIGHT.T, NOISE).log_prob(X).sum(-1)
    assert tree["log_likelihood"]["x"].values == pytest.approx(expected.numpy(), abs=1e-9)
    assert tree["observed_data"]["x"].values == pytest.approx(X.numpy())


def test_arviz_reads_it_and_it_keeps_to_a_file(tmp_path):
    tree = posterior(model, narrow, X, draws=12, warmup=10)
    stacked = arviz_base.extract(tree)
    assert dict(stacked.sizes) == {"datum": 2, "z_dim_0": 2, "sample": 36}
    tree.to_netcdf(tmp_path / "posterior.nc", engine="h5netcdf")
    again = xarray.open_datatree(tmp_path / "posterior.nc", engine="h5netcdf").load()
    for group in ("posterior", "sample_stats", "diagnostics"):
        assert again[group].equals(tree[group])


def test_noise_is_of_the_seed_and_the_place_of_a_datum():
    short: dict[str, Any] = {"draws": 10, "warmup": 10, "chains": 2}
    state = torch.get_rng_state()
    done: list[int] = []
    first = posterior(model, narrow, X, **short, seed=3, progress=done.append)
    assert done == [1, 2] and torch.equal(torch.get_rng_state(), state)
    z = first["posterior"]["z"].values
    few = posterior(model, narrow, X[:1], **short, seed=3)["posterior"]["z"].values
    assert few == pytest.approx(z[:, :, :1], abs=1e-6)
    assert not (z == posterior(model, narrow, X, **short, seed=4)["posterior"]["z"].values).any()
    same = posterior(model, narrow, X[:1].expand(2, 3), **short)["posterior"]["z"].values
    assert len(np.unique(same[0, 0, :, 0])) == 2


def test_many_data_are_cut_into_blocks():
    x = torch.randn(34, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    done: list[int] = []
    short: dict[str, Any] = {"draws": 10, "warmup": 10, "chains": 1}
    tree = posterior(model, narrow, x, **short, progress=done.append)
    assert done == list(range(1, 35))
    z = tree["posterior"]["z"].values
    assert z.shape == (1, 10, 34, 2)
    # Means of ten draws of chains: near the posterior's of their own datum, not of others.
    means = (x @ WEIGHT @ COVARIANCE / NOISE**2).numpy()
    apart = abs(z.mean((0, 1))[:, None] - means[None]).max(-1)
    assert np.median(apart.diagonal()) < 0.5 * np.median(apart)


def test_codes_of_bounded_support():
    ones = torch.tensor([[1.0], [0.0]])  # few, so that the map's Jacobian counts
    prior = torch.tensor(1.2)

    def coins(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            p = pyro.sample("p", dist.Beta(prior, prior))
            probs = p.unsqueeze(-1).expand(*p.shape, x.shape[-1])
            pyro.sample("x", dist.Bernoulli(probs).to_event(1), obs=x)

    def guess(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("p", dist.Beta(prior, 2 * prior))

    tree = posterior(coins, guess, ones)
    p = tree["posterior"]["p"].values
    assert p.shape == (3, 150, 2) and ((p > 0) & (p < 1)).all()
    expected = (1.2 + ones.sum(1).numpy()) / 3.4
    assert (abs(p.mean((0, 1)) - expected) < 5 * error(p)).all()
    assert tree["diagnostics"]["r_hat_p"].dims == ("datum",)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dropout, self.linear = nn.Dropout(0.9), nn.Linear(2, 3).double()


def test_modules_are_judged_and_left_as_they_were():
    pair = Pair()
    with torch.no_grad():
        pair.linear.weight.copy_(WEIGHT)
        pair.linear.bias.zero_()

    class Decoder(Pair):
        def forward(self, x: Tensor) -> None:
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", dist.Normal(ZERO, 1.0).to_event(1))
                loc = self.dropout(pair.linear(z))
                pyro.sample("x", dist.Normal(loc, NOISE).to_event(1), obs=x)

    decoder = Decoder()
    z = posterior(decoder, narrow, X[:1], draws=100)["posterior"]["z"].values
    assert (abs(z.mean((0, 1)) - MEAN[:1]) < 5 * error(z)).all()
    assert decoder.training and decoder.dropout.training
    assert all(p.grad is None for p in pair.parameters())


def points(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Delta(torch.zeros(len(x), 2).double(), event_dim=1))


def labelled(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        label = pyro.sample("label", dist.Bernoulli(torch.tensor(0.5).double()))
        pyro.sample("x", dist.Normal(label.unsqueeze(-1) + 0 * x, 1.0).to_event(1), obs=x)


def frames(x: Tensor) -> None:
    with pyro.plate("data", len(x), dim=-2), pyro.plate("frames", 3, dim=-1):
        z = pyro.sample("z", dist.Normal(torch.zeros(()).double(), 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def masked(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(ZERO, 1.0).to_event(1).mask(False))
        pyro.sample("x", dist.Normal(z @ WEIGHT.T, NOISE).to_event(1), obs=x)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((model, points), "site 'z' of the guide is a point; expected distributions"),
        ((labelled, narrow), "latent site 'label' is discrete.*Draw by='importance'"),
        ((frames, narrow), "frames of a sequence.*Draw by='importance'"),
        ((masked, narrow), "latent site 'z' is masked"),
    ],
)
def test_pairs_that_are_refused(pair, message):
    with pytest.raises(NoLikelihoodError, match=message):
        posterior(*pair, X)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"by": "gibbs"}, "by is 'gibbs'; expected one of importance, resampled, nuts"),
        ({"draws": 9}, "draws is 9; expected an integer of at least 10"),
        ({"warmup": 9}, "warmup is 9; expected an integer of at least 10"),
        ({"chains": 0}, "chains is 0; expected an integer of at least 1"),
        ({"seed": -1}, "seed is -1; expected an integer of at least 0"),
    ],
)
def test_numbers_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        posterior(model, narrow, X, **settings)


def test_the_values_are_laid_out_by_chain():
    found = posterior_chains(model, narrow, (X,), draws=11, warmup=10, chains=2)
    assert found.latents["z"].shape == (2, 11, 2, 2)
    assert found.log_likelihood["x"].shape == found.diverging.shape == (2, 11, 2)
    assert found.acceptance.shape == found.step_size.shape == (2, 2)
