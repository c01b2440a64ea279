"""Methods of matched sizes have the number of parameters that layer by layer arithmetic gives."""

import importlib
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from unbraid.methods import DataSpec, OptionError

SMALL = DataSpec((1, 9, 8), "binary", 100)
LARGE = DataSpec((1, 28, 28), "binary", 60_000)
WIDE = DataSpec((3, 32, 36), "colour", 100)


@pytest.fixture
def matched(monkeypatch):
    """The module; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return importlib.import_module("benchmarks.matched")


def dense(*sizes):
    return sum((a + 1) * b for a, b in pairwise(sizes))


def vae_size(pixels, hidden, latent):
    return dense(pixels, *hidden, 2 * latent) + dense(latent, *hidden[::-1], pixels)


def test_parameters_are_those_of_the_layers(matched):
    options = {"hidden": (7, 5), "latent_dim": 3}
    assert matched.count_parameters("vae", options, SMALL) == vae_size(72, (7, 5), 3)


def test_shared_weights_count_once(matched):
    options = {
        "hidden": (7,),
        "appearance_dim": 3,
        "perspective_dim": 2,
        "perspective_hidden": (4,),
    }
    encoders = dense(72, 7, 6) + dense(72, 7, 4)
    decoders = dense(3, 7, 72) + dense(2, 4, 6)  # of images, and of the warp's 6 parameters
    assert matched.count_parameters("c-vitae", options, SMALL) == encoders + decoders


@pytest.mark.parametrize("hidden", [(512, 256), (100,), (2000, 1000)])
def test_a_vae_gets_the_size_of_vitae(hidden, matched):
    target = matched.count_parameters("c-vitae", {"nets": "mlp"}, LARGE)
    match = matched.match_hidden(
        "vae", target, {"hidden": hidden, "latent_dim": 12, "nets": "mlp"}, LARGE
    )
    assert abs(match.parameters / target - 1) <= 0.005
    assert match.parameters == vae_size(784, match.options["hidden"], 12)
    ratios = [new / old for new, old in zip(match.options["hidden"], hidden, strict=True)]
    assert ratios[0] == pytest.approx(ratios[-1], rel=0.01)
    assert match.options["latent_dim"] == 12
    assert "channels" not in match.options  # the nets have no convolutions


def test_the_nearest_width_is_found(matched):
    sizes = {width: vae_size(72, (width,), 2) for width in range(1, 60)}
    for target in (sizes[1], sizes[23] + 60, sizes[23] + 90, sizes[47] - 1):
        found = matched.match_hidden("vae", target, {"hidden": (8,), "latent_dim": 2}, SMALL, 0.5)
        nearest = min(sizes, key=lambda width: abs(sizes[width] - target))
        assert found.options["hidden"] == (nearest,)


def test_convolutions_are_scaled_too(matched):
    options = {"channels": (4, 6), "hidden": (10,), "nets": "conv"}
    match = matched.match_hidden("vae", 60_000, options, WIDE)
    assert abs(match.parameters / 60_000 - 1) <= 0.02
    assert match.options["channels"] > (4, 6)
    assert match.options["hidden"] > (10,)


def test_random_state_is_left_alone(matched):
    state = torch.get_rng_state()
    matched.match_hidden("vae", 5000, {}, SMALL)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_no_width_reaches_is_refused(matched):
    with pytest.raises(
        OptionError, match=r"parameters of vae are \d+ at the nearest; expected 90"
    ):
        matched.match_hidden("vae", 90, {"hidden": (8,)}, SMALL)
    with pytest.raises(OptionError, match="option is 'width'"):
        matched.match_hidden("vae", 9000, {"width": (8,)}, SMALL)
