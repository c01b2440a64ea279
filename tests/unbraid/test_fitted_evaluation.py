"""Fitted Normals from the command line: their numbers go beside those of importance sampling."""

import json
import re
from pathlib import Path

import pytest

from unbraid import load
from unbraid.console import fitted_rows
from unbraid.inference import fitted_log_likelihood
from unbraid.preparation import random_rows

FAST = ("--estimator", "fitted", "--samples", 40, "--steps", 3, "--starts", 2)


def evaluation():
    return json.loads(Path("run/evaluation.json").read_text())


@pytest.mark.usefixtures("trained")
def test_its_numbers_go_beside_those_of_the_other_estimators(unbraid):
    sampled = json.loads(unbraid("evaluate", "run", "--samples", 30, "--json").out)
    fitted = json.loads(unbraid("evaluate", "run", *FAST, "--seed", 4, "--json").out)["fitted"]
    assert evaluation() == sampled | {"fitted": fitted}
    assert (fitted["samples"], fitted["starts"], fitted["steps"]) == (40, 2, 3)
    assert (fitted["seed"], fitted["split"], fitted["step"]) == (4, "test", 4)
    annealing = ("--estimator", "annealed", "--temperatures", 3, "--chains", 2, "--limit", 2)
    unbraid("evaluate", "run", *annealing)
    again = json.loads(unbraid("evaluate", "run", "--samples", 20, "--json").out)
    assert again["fitted"] == fitted == evaluation()["fitted"]
    assert not list(Path("run").glob("*.partial"))
    assert "annealed" in evaluation() and evaluation()["samples"] == 20


@pytest.mark.usefixtures("trained")
def test_the_numbers_are_those_of_the_library(unbraid):
    words = ("--limit", 2, "--split", "train", "--json")
    told = json.loads(unbraid("evaluate", "run", *FAST, *words).out)["fitted"]
    run = load("run", "cpu")
    train = run.split("train")
    x = train.pixels(random_rows(len(train))[:2]).float() / 255  # their file has an order
    found = fitted_log_likelihood(
        run.model, run.guide, x, samples=40, steps=3, starts=2, seed=run.config["seed"]
    )
    expected = {**found.summary(), "split": "train", "step": 4}
    assert told == json.loads(json.dumps(expected))


@pytest.mark.usefixtures("trained")
def test_it_prints_the_number_and_what_speaks_against_it(unbraid):
    outcome = unbraid("evaluate", "run", *FAST)
    assert outcome.code == 0, outcome.err
    assert re.search(r"^log p\(x\) +-?\d+\.\d\d \+- \d+\.\d\d nats +40 samples of 2", outcome.out)
    assert re.search(r"^bound +-?\d+\.\d\d nats +of the best Normal of each", outcome.out, re.M)
    assert re.search(r"^sample size +\d+ effective +of 40", outcome.out, re.M)
    told = evaluation()["fitted"] | {"remarks": ["Not so."], "remark": "Nor so."}
    assert fitted_rows(told)[-2:] == [("remark", "", "Not so."), ("remark", "", "Nor so.")]


@pytest.mark.usefixtures("trained")
def test_reports_and_cards_show_it(unbraid):
    unbraid("evaluate", "run", *FAST)
    value = evaluation()["fitted"]["log_likelihood"]
    assert unbraid("report", "run").code == 0
    page = Path("run/report.html").read_text()
    assert f"the log-likelihood by Normals fitted to each is {value:,.2f}" in page
    assert "log p(x) by fitted Normals, nats" in page
    assert "fitted-log-likelihood" in Path("run/model_card.md").read_text()


@pytest.mark.usefixtures("trained")
def test_one_that_was_interrupted_goes_on(unbraid, monkeypatch):
    whole = json.loads(unbraid("evaluate", "run", *FAST, "--json").out)["fitted"]
    files = []

    def stopped(*arguments, resume, progress, **settings):
        def stop(done):
            raise KeyboardInterrupt

        files.append(resume)
        fitted_log_likelihood(*arguments, resume=resume, progress=stop, **settings)

    monkeypatch.setattr("unbraid.evaluations.fitted_log_likelihood", stopped)
    outcome = unbraid("evaluate", "run", *FAST)
    assert outcome.code == 130
    assert "are kept: the same evaluation goes on from them" in outcome.err
    assert files[0].exists()
    monkeypatch.setattr("unbraid.evaluations.fitted_log_likelihood", fitted_log_likelihood)
    again = json.loads(unbraid("evaluate", "run", *FAST, "--json").out)["fitted"]
    assert again == whole and not files[0].exists()


@pytest.mark.usefixtures("trained")
def test_one_of_other_settings_is_kept(unbraid):
    unbraid("evaluate", "run", *FAST)
    before = evaluation()
    told = unbraid("evaluate", "run", *FAST, "--seed", 9).err
    assert "of other settings, is kept as" in told
    (kept,) = Path("run/earlier-evaluations").glob("*.json")
    assert json.loads(kept.read_text()) == before


def test_numbers_of_other_weights_are_dropped(unbraid, trained):
    unbraid("evaluate", "run", "--samples", 30)
    stale = evaluation() | {"fitted": {"step": 2, "log_likelihood": 0.0}}
    (trained / "evaluation.json").write_text(json.dumps(stale))
    unbraid("evaluate", "run", "--samples", 30)
    assert "fitted" not in evaluation()


@pytest.mark.usefixtures("place")
def test_an_implicit_guide_is_judged(unbraid, train_words):
    assert unbraid(*train_words(method="avb")).code == 0
    outcome = unbraid("evaluate", "run", *FAST)
    assert outcome.code == 0, outcome.err
    assert evaluation()["fitted"]["log_likelihood"] is not None


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("--starts", 0), "--starts is 0"),
        (("--starts", 33), "--starts is 33"),
        (("--steps", 0), "--steps is 0"),
        (("--chains", 3), "--chains 3 is given with --estimator fitted"),
        (("--widen", 2), "--widen 2.0 is given with --estimator fitted"),
    ],
)
def test_settings_out_of_range_and_of_others(unbraid, words, match):
    unbraid("evaluate", "run", *FAST[:2], *words).check_refused(2, match)
