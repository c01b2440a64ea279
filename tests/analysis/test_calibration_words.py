"""Words on calibration say how a guide was made wrong.

Statistical tests have fixed seeds. An exact guide is called wrong with probability 1e-6, the level
asked for; a wrong one is here so by dozens of standard errors.
"""

from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from unbraid.analysis import Verdict, calibration_verdicts, site_words
from unbraid.inference import Calibration, simulation_based_calibration

ZERO = torch.zeros(4, dtype=torch.float64)
NOISE = 0.8
SCALE = (1 + NOISE**-2) ** -0.5


def model(x: Tensor | None = None, *, size: int | None = None) -> None:
    with pyro.plate("data", len(x) if x is not None else int(size or 0)):
        z = pyro.sample("z", dist.Normal(ZERO, 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z, NOISE).to_event(1), obs=x)


def make_guide(scale: Any, shift: Any) -> Any:
    def guide(x: Tensor) -> None:
        """The posterior, each coordinate changed in its own way."""
        mean = x * SCALE**2 / NOISE**2 + torch.tensor(shift, dtype=torch.float64)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(mean, SCALE * torch.tensor(scale).double()).to_event(1))

    return guide


def words(scale: Any, shift: Any) -> dict[int, str]:
    found = simulation_based_calibration(model, make_guide(scale, shift), simulations=1000)
    return {verdict.coordinate: verdict.words for verdict in calibration_verdicts(found, 1e-6)}


def test_each_coordinate_is_called_what_it_was_made():
    assert words([0.6, 1.7, 1.0, 1.0], [0.0, 0.0, 0.5, -0.5]) == {
        0: "too narrow",
        1: "too wide",
        2: "leans to high values",
        3: "leans to low values",
    }


def test_an_exact_guide_is_not_refuted():
    assert set(words([1.0] * 4, [0.0] * 4).values()) == {"not refuted"}


def test_a_shape_that_neither_shifts_nor_spreads():
    # Two thirds in the middle and the rest at the ends: mean and variance of uniform ranks.
    ranks = np.array([0] * 185 + [9, 10] * 315 + [19] * 185)
    places = (ranks + 0.5) / 20
    assert (places.mean(), places.var()) == pytest.approx((1 / 2, 1 / 12), abs=1e-3)
    found = Calibration({"z": ranks[:, None]}, 19, {"z": np.array([1e-9])}, 20, 0)
    assert [verdict.words for verdict in calibration_verdicts(found)] == ["of another shape"]


def test_verdicts_are_corrected_and_in_order():
    found = Calibration(
        {"a": np.zeros((100, 2), int), "b": np.full((100, 1), 19)},
        19,
        {"a": np.array([0.4, 1e-5]), "b": np.array([1e-4])},
        20,
        0,
    )
    verdicts = calibration_verdicts(found, 1e-3)
    assert [(v.site, v.coordinate) for v in verdicts] == [("a", 1), ("a", 0), ("b", 0)]
    assert [v.p_value for v in verdicts] == pytest.approx([3e-5, 1.0, 3e-4])
    high, fine, low = (v.words for v in verdicts)
    assert (high, fine, low) == ("leans to high values", "not refuted", "leans to low values")
    assert calibration_verdicts(found, 1e-4)[2].words == "not refuted"
    assert site_words(verdicts, "a") == "1 leans to high values, 1 not refuted"
    assert site_words(verdicts, "b") == "1 leans to low values"
    assert site_words([Verdict("z", 0, 0.5, "not refuted")] * 3, "z") == "3 not refuted"
