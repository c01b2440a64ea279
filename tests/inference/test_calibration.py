"""Simulation-based calibration passes the exact posterior and fails what is not.

Statistical tests have fixed seeds; uniform ranks would be refuted with probability 1e-6 at most.
"""

from functools import partial
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from unbraid import guides, models
from unbraid.analysis import calibration_figure
from unbraid.inference import Calibration, simulation_based_calibration
from unbraid.nets import MLPDecoder, MLPEncoder, make_likelihood

from . import oracles

FALSE_ALARM = 1e-6
ZERO = torch.zeros(2, dtype=torch.float64)


def model(x: Tensor | None = None, *, size: int | None = None) -> None:
    with pyro.plate("data", len(x) if x is not None else int(size or 0)):
        z = pyro.sample("z", dist.Normal(ZERO, 1.0).to_event(1))
        loc = z @ oracles.WEIGHT.T + oracles.OFFSET
        pyro.sample("x", dist.Normal(loc, oracles.NOISE).to_event(1), obs=x)


def guide(x: Tensor, scale: float = 1.0, shift: float = 0.0) -> None:
    """The posterior, its scale and its mean changed."""
    map_, covariance = oracles.pca_posterior()
    with pyro.plate("data", len(x)):
        mean = (x - oracles.OFFSET) @ map_.T + shift
        pyro.sample("z", dist.MultivariateNormal(mean, scale**2 * covariance))


def calibrate(seed: int = 0, **change: float) -> Calibration:
    return simulation_based_calibration(model, partial(guide, **change), seed=seed)


@pytest.mark.parametrize("seed", range(3))
def test_the_exact_posterior_passes(seed):
    found = calibrate(seed)
    assert found.passes(FALSE_ALARM), found.p_values
    assert (found.simulations, found.ranks["z"].shape) == (2000, (2000, 2))
    assert found.ranks["z"].min() == 0 and found.ranks["z"].max() == 199  # all but surely


@pytest.mark.parametrize("change", [{"scale": 0.7}, {"scale": 1.5}, {"shift": 0.2}], ids=str)
def test_wrong_guides_fail(change):
    found = calibrate(**change)
    assert not found.passes(FALSE_ALARM)
    apart = [abs(np.sort(r) - np.linspace(0, 199, 2000)).max() / 200 for r in found.ranks["z"].T]
    assert max(apart) > found.band(FALSE_ALARM)


def test_narrow_guides_have_ranks_at_the_ends():
    ends = np.isin(calibrate(scale=0.5).ranks["z"] // 10, (0, 19)).mean()
    middle = np.isin(calibrate(scale=2.0).ranks["z"] // 10, (0, 19)).mean()
    assert ends > 0.2 > 0.1 > 0.05 > middle


def test_the_p_value_is_that_of_a_chi_squared_test():
    found = calibrate(2)
    for ranks, p_value in zip(found.ranks["z"].T, found.p_values["z"], strict=True):
        counts = np.histogram(ranks, 20, (0, 200))[0]
        assert p_value == pytest.approx(chisquare(counts).pvalue, rel=1e-9)
    assert found.p_value == pytest.approx(min(1.0, 2 * found.p_values["z"].min()))


def test_the_seed_decides_and_the_random_state_stays():
    state = torch.get_rng_state()
    first, again, other = calibrate(5), calibrate(5), calibrate(6)
    assert np.array_equal(first.ranks["z"], again.ranks["z"])
    assert not np.array_equal(first.ranks["z"], other.ranks["z"])
    assert torch.get_rng_state().equal(state)


def test_pairs_of_modules_and_arguments_of_their_own():
    vae = models.VAE(MLPDecoder(3, (1, 8, 8), make_likelihood("bernoulli", 1)), 3).train()
    encoder: Any = guides.VAE(MLPEncoder((1, 8, 8), 3, hidden=(8,)))
    settings: dict[str, Any] = {"simulations": 100, "draws": 19, "seed": 1}
    found = simulation_based_calibration(vae, encoder, **settings)
    assert found.ranks["z"].shape == (100, 3) and vae.training
    same = simulation_based_calibration(
        vae, encoder, arguments=lambda values: (values["x"],), **settings
    )
    assert np.array_equal(found.ranks["z"], same.ranks["z"])
    summary = found.summary()
    assert (summary["simulations"], summary["draws"]) == (100, 19)
    assert summary["p_values"]["z"] == found.p_values["z"].tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"simulations": 99}, "simulations is 99; expected an integer of at least 100"),
        ({"draws": 200}, "draws is 200; expected one less than a multiple of bins, 20.*Take 199"),
        ({"draws": 1, "bins": 2}, "draws is 1; expected an integer of at least 2"),
        ({"bins": 1}, "bins is 1"),
    ],
)
def test_bad_numbers(settings, message):
    with pytest.raises(ValueError, match=message):
        simulation_based_calibration(model, guide, **settings)


def test_guides_without_a_ranked_code():
    def points(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Delta(torch.zeros(len(x), 2), event_dim=1))

    with pytest.raises(ValueError, match="sites of the guide are y; expected a continuous"):
        simulation_based_calibration(model, points)

    def point_of_z(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Delta(torch.zeros(len(x), 2).double(), event_dim=1))

    with pytest.raises(ValueError, match="sites of the guide are z; expected a continuous"):
        simulation_based_calibration(model, point_of_z)

    def no_x(*, size: int) -> None:
        with pyro.plate("data", size):
            pyro.sample("z", dist.Normal(ZERO, 1.0).to_event(1))

    with pytest.raises(ValueError, match="the model has no site 'x'; it has z"):
        simulation_based_calibration(no_x, guide)


def test_the_picture_names_what_is_refuted():
    right, wrong = (calibration_figure(calibrate(scale=s)) for s in (1.0, 0.7))
    assert right.axes[0].get_title(loc="left") == "0 of 2 coordinates of z are refuted"
    assert wrong.axes[0].get_title(loc="left") == "2 of 2 coordinates of z are refuted"
    legend = wrong.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["z 0", "z 1"]
    assert right.axes[0].get_legend() is None
