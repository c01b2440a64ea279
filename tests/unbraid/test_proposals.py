"""Wider and mixed proposals on the command line: what is computed, kept, shown and compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unbraid import load
from unbraid.inference import Proposal, log_likelihood

FAST = ("--samples", 40, "--no-codes", "--device", "cpu")
WIDER = ("--widen", 1.5, "--prior-share", 0.1)


def evaluation(name="run"):
    return json.loads(Path(name, "evaluation.json").read_text())


@pytest.mark.usefixtures("trained")
def test_the_numbers_are_those_of_the_library(unbraid):
    told = json.loads(unbraid("evaluate", "run", *FAST, *WIDER, "--json").out)
    run = load("run", "cpu")
    x = run.split("test").pixels(torch.arange(len(run.split("test")))).float() / 255
    found = log_likelihood(
        run.model, run.guide, x, samples=40, seed=run.config["seed"], proposal=Proposal(1.5, 0.1)
    )
    assert told["log_likelihood"] == pytest.approx(found.mean, abs=1e-6)
    assert (told["widen"], told["prior_share"]) == (1.5, 0.1)
    assert evaluation() == told
    plain = json.loads(unbraid("evaluate", "run", *FAST, "--json").out)
    assert (plain["widen"], plain["prior_share"]) == (1.0, 0.0)
    assert plain["log_likelihood"] != told["log_likelihood"]
    assert not list(Path("run").glob("*.partial"))


@pytest.mark.usefixtures("trained")
def test_the_proposal_is_shown(unbraid):
    plain = unbraid("evaluate", "run", *FAST).out
    assert "of this proposal" not in plain
    shown = unbraid("evaluate", "run", *FAST, *WIDER).out
    words = "the guide's Normals 1.5 times as wide, and a share of 0.1 from the prior"
    assert words in shown and "of this proposal, not of the guide" in shown
    assert unbraid("report", "run").code == 0
    page = Path("run/report.html").read_text()
    assert "ELBO of the proposal, nats" in page and "1.5 times as wide" in page


@pytest.mark.usefixtures("trained")
def test_a_bound_that_rises_is_warned_of(unbraid):
    unbraid("evaluate", "run", *FAST)
    found = evaluation()
    bounds = {"1": found["elbo"], "8": -90.0, "40": -88.84}
    said = found | {"by_samples": bounds, "pareto_k_unreliable": 0.5}
    Path("run/evaluation.json").write_text(json.dumps(said))
    assert unbraid("report", "run").code == 0
    page = Path("run/report.html").read_text()
    assert "the bound still rises, by 1.66 nats" in page and "--samples 400" in page
    assert "Pareto k-hat is above 0.7 for 50%" in page and "--estimator annealed" in page


def test_runs_of_other_proposals_are_compared_and_told(unbraid, trained, train_words):
    assert unbraid(*train_words("--seed", 1, "--data-seed", 0, out="other")).code == 0
    unbraid("evaluate", "run", *FAST)
    unbraid("evaluate", "other", *FAST, *WIDER)
    text = unbraid("compare", "run", "other").out
    assert "other: samples of the guide's Normals 1.5 times as wide" in text
    rows = json.loads(unbraid("compare", "run", "other", "--format", "json").out)
    assert [row["widen"] for row in rows] == [1.0, 1.5]
    assert rows[1]["difference"] is not None
    # Values of single data that an older evaluation left, with another proposal, are not taken.
    kept: dict[str, Any] = dict(np.load("other/evaluation.npz"))
    older: dict[str, Any] = kept | {"proposal": np.array([1.0, 0.0])}
    np.savez("other/evaluation.npz", **older)
    rows = json.loads(unbraid("compare", "run", "other", "--format", "json").out)
    assert rows[1]["difference"] is None
    kept = dict(np.load("run/evaluation.npz"))
    del kept["proposal"]  # as evaluations had it before there were other proposals
    np.savez("run/evaluation.npz", **kept)
    unbraid("evaluate", "other", *FAST, *WIDER)
    rows = json.loads(unbraid("compare", "run", "other", "--format", "json").out)
    assert rows[1]["difference"] is not None


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--widen", 0), "--widen is 0.0; expected a finite number of at least 0.01"),
        (("--widen", "nan"), "--widen is nan; expected"),
        (("--prior-share", 1), "--prior-share is 1.0; expected a finite number"),
        (("--prior-share", -0.1), "--prior-share is -0.1; expected"),
    ],
)
def test_numbers_out_of_range(words, message, unbraid):
    unbraid("evaluate", "run", *FAST, *words).check_refused(2, message)


@pytest.mark.usefixtures("place")
def test_a_pair_that_sums_classes_out_has_no_share_of_the_prior(unbraid, train_words):
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 9), np.uint8)
    np.savez("digits.npz", images=images, labels=np.arange(30) % 3)
    assert unbraid(*train_words(method="m2")).code == 0
    refused = unbraid("evaluate", "run", *FAST, "--prior-share", 0.1)
    refused.check_refused(2, "prior_share is 0.1, but a discrete site is enumerated")
    assert unbraid("evaluate", "run", *FAST, "--widen", 1.2).code == 0
