"""Annealing from the command line: its numbers go beside those of importance sampling."""

import json
import re
from pathlib import Path

import pytest

from unbraid import load
from unbraid.console import annealed_rows
from unbraid.inference import annealed_log_likelihood
from unbraid.preparation import random_rows

FAST = ("--estimator", "annealed", "--temperatures", 6, "--chains", 3)


def evaluation():
    return json.loads(Path("run/evaluation.json").read_text())


@pytest.mark.usefixtures("trained")
def test_its_numbers_go_beside_those_of_importance_sampling(unbraid):
    sampled = json.loads(unbraid("evaluate", "run", "--samples", 30, "--json").out)
    outcome = unbraid("evaluate", "run", *FAST, "--seed", 4, "--json")
    annealed = json.loads(outcome.out)["annealed"]
    assert evaluation() == sampled | {"annealed": annealed}
    assert (annealed["chains"], annealed["temperatures"], annealed["seed"]) == (3, 6, 4)
    assert (annealed["start"], annealed["split"], annealed["step"]) == ("prior", "test", 4)
    # Importance sampling again: the annealed numbers stay.
    again = json.loads(unbraid("evaluate", "run", "--samples", 20, "--json").out)
    assert again["annealed"] == annealed == evaluation()["annealed"]
    assert evaluation()["samples"] == 20


@pytest.mark.usefixtures("trained")
def test_the_numbers_are_those_of_the_library(unbraid):
    words = ("--limit", 2, "--split", "train", "--start", "guide", "--json")
    told = json.loads(unbraid("evaluate", "run", *FAST, *words).out)["annealed"]
    run = load("run", "cpu")
    train = run.split("train")
    x = train.pixels(random_rows(len(train))[:2]).float() / 255  # their file has an order
    found = annealed_log_likelihood(
        run.model, run.guide, x, chains=3, temperatures=6, start="guide", seed=run.config["seed"]
    )
    expected = {**found.summary(), "split": "train", "step": 4}
    assert told == json.loads(json.dumps(expected))
    assert not list(Path("run").glob("*.partial"))


@pytest.mark.usefixtures("trained")
def test_it_prints_the_number_its_errors_and_what_speaks_against_it(unbraid):
    outcome = unbraid("evaluate", "run", *FAST)
    assert outcome.code == 0, outcome.err
    rows = outcome.out
    assert re.search(r"^log p\(x\) +-?\d+\.\d\d \+- \d+\.\d\d nats +3 chains of 6 steps", rows)
    assert re.search(r"^of the chains +\+- \d+\.\d\d nats", rows, re.M)
    assert re.search(r"^acceptance +\d+% of moves +\d+% at the least", rows, re.M)
    assert rows.endswith("next: unbraid report run\n")
    annealed = evaluation()["annealed"] | {"remarks": ["Not so."], "remark": "Nor so."}
    assert annealed_rows(annealed)[-2:] == [("remark", "", "Not so."), ("remark", "", "Nor so.")]


def test_numbers_of_other_weights_are_dropped(unbraid, trained):
    unbraid("evaluate", "run", "--samples", 30)
    stale = evaluation() | {"step": 2, "annealed": {"step": 2, "log_likelihood": 0.0}}
    stale["codes"] = {"step": 2}
    (trained / "evaluation.json").write_text(json.dumps(stale))
    unbraid("evaluate", "run", *FAST)
    assert set(evaluation()) == {"annealed"} and evaluation()["annealed"]["step"] == 4
    (trained / "evaluation.json").write_text(json.dumps(stale))
    unbraid("evaluate", "run", "--samples", 30)
    assert "annealed" not in evaluation() and evaluation()["step"] == 4


@pytest.mark.usefixtures("place")
def test_an_implicit_guide_is_judged_and_reported(unbraid, train_words):
    assert unbraid(*train_words(method="avb")).code == 0
    unbraid("evaluate", "run", "--samples", 3).check_refused(2, r"a point \(Delta\)")
    outcome = unbraid("evaluate", "run", *FAST, "--start", "guide")
    assert outcome.code == 0, outcome.err
    value = evaluation()["annealed"]["log_likelihood"]
    assert unbraid("report", "run").code == 0
    page = Path("run/report.html").read_text()
    assert f"log-likelihood by annealing is {value:,.2f}" in page
    assert "log p(x) by annealing, nats" in page


@pytest.mark.usefixtures("place")
def test_a_term_that_is_no_likelihood_is_refused(unbraid, train_words):
    unbraid(*train_words("--set", "likelihood=bernoulli-grey"))
    unbraid("evaluate", "run", *FAST).check_refused(2, "'bernoulli-grey' is no likelihood")


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("--chains", 0), "--chains is 0"),
        (("--temperatures", 0), "--temperatures is 0"),
        (("--start", "posterior"), "--start"),
        (("--estimator", "exact"), "--estimator"),
    ],
)
def test_settings_out_of_range(unbraid, words, match):
    unbraid("evaluate", "run", *FAST[:2], *words).check_refused(2, match)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("estimator", "words", "other"),
    [
        ("annealed", ("--samples", 7), "importance or fitted"),
        ("importance", ("--starts", 2), "fitted"),
        ("annealed", ("--steps", 2), "fitted"),
        ("annealed", ("--widen", 2), "importance"),
        ("annealed", ("--inner-samples", 2), "importance"),
        ("importance", ("--chains", 2), "annealed"),
        ("importance", ("--start", "guide"), "annealed"),
        ("none", ("--prior-share", 0.1), "importance"),
        ("none", ("--limit", 5), "importance or annealed or fitted"),
        ("none", ("--no-codes",), "importance or annealed or fitted"),
    ],
)
def test_flags_of_other_estimators_are_refused(unbraid, estimator, words, other):
    refused = unbraid("evaluate", "run", "--estimator", estimator, *words)
    given = " ".join(map(str, words))
    told = f"has no use for it; expected --estimator {other}. Drop one"
    refused.check_refused(2, f"{words[0]}.* is given with --estimator {estimator}, which {told}")
    assert given.split()[0] in refused.err
