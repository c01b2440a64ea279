"""The card of a run: written with its report, from what the run keeps."""

import json
from pathlib import Path

import numpy as np
import pytest

from unbraid import load

from .conftest import IMAGES


def card():
    return Path("run/model_card.md").read_text()


def test_the_report_writes_the_card(unbraid, trained):
    unbraid("evaluate", "run", "--samples", 30, "--no-codes", "--device", "cpu")
    unbraid("calibrate", "run", "--simulations", 120, "--draws", 19, "--device", "cpu")
    outcome = unbraid("report", "run")
    assert outcome.code == 0, outcome
    assert outcome.out.splitlines()[:2] == ["run/report.html", "run/model_card.md"]
    evaluation = json.loads((trained / "evaluation.json").read_text())
    head = card().split("---\n")[1]
    (models,) = [line for line in head.splitlines() if line.startswith("model-index: ")]
    (model,) = json.loads(models.removeprefix("model-index: "))
    metric = model["results"][0]["metrics"][0]
    assert model["name"] == "vae-digits.npz"
    assert metric["value"] == evaluation["log_likelihood"]
    assert f"n = {evaluation['n']}, K = 30 samples, seed 0" in metric["name"]
    run = load("run", "cpu")
    count = sum(p.numel() for module in (run.model, run.guide) for p in module.parameters())
    passes = json.loads((trained / "calibration.json").read_text())["passes"]
    told = "does not refute the guide" if passes else "by 120 simulations"
    for part in (
        f"Parameters of both: `{count:,}`",
        f"Splits: `{run.data.description}`",
        f"Fingerprint of the pixels: `{run.config['fingerprint']}`",
        run.config["command"],
        "Step of the weights: `4`",
        told,
        "@inproceedings{kingma2014auto",
    ):
        assert part in card(), part


@pytest.mark.usefixtures("trained")
def test_without_an_evaluation_it_says_so(unbraid):
    assert unbraid("report", "run").code == 0
    assert "It was not evaluated" in card() and "model-index" not in card()


@pytest.mark.usefixtures("place")
def test_a_hostile_name_of_the_data(unbraid, train_words):
    name = "`a` [b](x) <b> # c.npz"
    np.savez(name, images=IMAGES)
    assert unbraid(*train_words("--rotate", 10, data=name)).code == 0
    assert unbraid("report", "run").code == 0
    written = card()
    assert "# vae on \\`a\\` \\[b\\]\\(x\\) \\<b\\> \\# c\\.npz\n" in written
    assert "- Data: `` `a` [b](x) <b> # c.npz ``\n" in written
    assert "turned by up to 10 degrees" in written


def test_a_new_training_removes_it(unbraid, trained, train_words):
    unbraid("report", "run")
    assert (trained / "model_card.md").exists()
    assert unbraid(*train_words("--force")).code == 0
    assert not (trained / "model_card.md").exists()
