"""Calibration of a run: what is computed, printed and kept, and what has no ranks."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unbraid import load
from unbraid.inference import simulation_based_calibration

FAST = ("--simulations", 120, "--draws", 19, "--device", "cpu")


@pytest.mark.usefixtures("trained")
def test_the_numbers_are_those_of_the_library(unbraid):
    told = json.loads(unbraid("calibrate", "run", *FAST, "--seed", 3, "--json").out)
    run = load("run", "cpu")
    found = simulation_based_calibration(run.model, run.guide, simulations=120, draws=19, seed=3)
    assert told["p_values"]["z"] == found.p_values["z"].tolist()
    assert told["p_value"] == found.p_value and told["passes"] == found.passes()
    assert (told["simulations"], told["draws"], told["seed"], told["step"]) == (120, 19, 3, 4)
    kept = json.loads(Path("run/calibration.json").read_text())
    assert told == kept | {"files": ["run/calibration.json", "run/figures/calibration.png"]}
    with np.load("run/calibration.npz") as arrays:
        assert np.array_equal(arrays["site z"], found.ranks["z"])
    assert len(kept["verdicts"]) == 2 and set(kept["sites"]) == {"z"}


@pytest.mark.usefixtures("trained")
def test_the_table_and_the_picture(unbraid):
    outcome = unbraid("calibrate", "run", *FAST)
    assert outcome.code == 0, outcome
    lines = outcome.out.splitlines()
    assert lines[0].startswith("calibration") and "120 simulations of 19 draws" in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == ["z", "z", "z"]
    assert lines[-3:] == [
        "run/calibration.json",
        "run/figures/calibration.png",
        "next: unbraid report run",
    ]
    with Image.open("run/figures/calibration.png") as image:
        assert image.width > 100


def test_the_report_shows_it_if_it_is_of_these_weights(unbraid, trained):
    assert unbraid("report", "run").code == 0
    assert "Calibration of the guide" not in Path("run/report.html").read_text()
    picture = trained / "figures/calibration.png"
    unbraid("calibrate", "run", *FAST)
    drawn = picture.read_bytes()
    picture.unlink()
    assert unbraid("report", "run").code == 0
    assert "Calibration of the guide" in Path("run/report.html").read_text()
    assert picture.read_bytes() == drawn
    kept = json.loads((trained / "calibration.json").read_text())
    (trained / "calibration.json").write_text(json.dumps(kept | {"step": 2}))
    assert unbraid("report", "run").code == 0
    assert "Calibration of the guide" not in Path("run/report.html").read_text()


def test_files_that_are_damaged(unbraid, trained):
    unbraid("calibrate", "run", *FAST)
    whole = (trained / "calibration.npz").read_bytes()
    (trained / "calibration.npz").write_bytes(whole[:50])
    unbraid("report", "run").check_refused(4, "calibration.npz cannot be read.*again")
    (trained / "calibration.npz").write_bytes(whole)
    (trained / "calibration.json").write_text("{")
    unbraid("report", "run").check_refused(4, "calibration.json cannot be read.*again")


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--simulations", 99), "--simulations is 99; expected an integer of at least 100"),
        (("--draws", 18), "--draws is 18; expected an integer of at least 19"),
        (("--draws", 20), "draws is 20; expected one less than a multiple of bins, 20"),
        (("--seed", -1), "--seed is -1; expected"),
    ],
)
def test_numbers_out_of_range(words, message, unbraid):
    unbraid("calibrate", "run", *FAST, *words).check_refused(2, message)
    assert not Path("run/calibration.json").exists()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("cvae", ("condition=top-half",), "cvae is given top-half, which its model does not draw"),
        ("avb", (), "sites of the guide are z; expected a continuous latent"),
        ("vae", ("likelihood=bernoulli-grey",), "bernoulli-grey is no likelihood"),
    ],
)
def test_pairs_that_have_no_ranks(method, settings, message, unbraid, train_words):
    more = ("--set", *settings) if settings else ()
    assert unbraid(*train_words(*more, method=method)).code == 0
    unbraid("calibrate", "run", *FAST).check_refused(2, message)
    assert not Path("run/calibration.json").exists()


@pytest.mark.usefixtures("place")
def test_sequences_have_no_ranks(unbraid, train_words):
    clips = np.random.default_rng(0).integers(0, 256, (12, 5, 1, 8, 9), np.uint8)
    np.savez("clips.npz", sequences=clips)
    words = train_words(method="static-dynamic", data="clips.npz", steps=2)
    words = [word for word in words if word != "latent_dim=2"]
    outcome = unbraid(*words, "--set", "frames=3", "static_dim=2", "dynamic_dim=2")
    assert outcome.code == 0, outcome
    unbraid("calibrate", "run", *FAST).check_refused(2, "static-dynamic is of sequences")
