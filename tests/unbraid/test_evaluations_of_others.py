"""Numbers of other weights are not shown beside these, and those that are replaced are kept."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import unbraid as face

FAST = ("--samples", 5, "--no-codes")
ANNEALED = ("--estimator", "annealed", "--chains", 2, "--temperatures", 2, "--limit", 2)


def evaluation(name="run"):
    return json.loads(Path(name, "evaluation.json").read_text())


@pytest.fixture
def later(trained, unbraid, train_words):
    """A run that went on after it was evaluated at step 4, and then judges weights of step 8."""
    assert unbraid(*train_words("--keep", "last", out="other")).code == 0
    for name in ("run", "other"):
        assert unbraid("evaluate", name, *FAST).code == 0
    assert unbraid(*train_words("--keep", "last", "--resume", out="other", steps=8)).code == 0
    return trained.parent / "other"


def test_reports_do_not_show_numbers_of_other_weights(later, unbraid):
    told = f"{evaluation('other')['log_likelihood']:,.2f}"
    assert unbraid("report", "other").code == 0
    for name in ("report.html", "model_card.md"):
        text = (later / name).read_text().replace("\\", "")
        assert told not in text, name
        assert "evaluation.json holds log p(x) at step 4, which is not shown" in text, name
    assert unbraid("evaluate", "other", *FAST).code == 0
    assert unbraid("report", "other").code == 0
    page = (later / "report.html").read_text()
    assert f"{evaluation('other')['log_likelihood']:,.2f}" in page and "not shown" not in page


def test_comparisons_refuse_numbers_of_other_weights(later, unbraid):
    refused = unbraid("compare", "run", "other")
    refused.check_refused(2, "other was evaluated at step 4, but its weights are of step 8")
    assert unbraid("evaluate", "other", *FAST).code == 0
    assert unbraid("compare", "run", "other").code == 0


def test_comparisons_need_no_checkpoints(later, unbraid):
    for path in (later / "checkpoints").rglob("*"):
        if path.is_file():
            path.unlink()
    assert unbraid("compare", "run", "other").code == 0


def test_the_step_of_a_comparison_is_that_of_the_weights(trained, unbraid, train_words):
    """The best weights are judged, of step 2 or 4, whatever was trained after them."""
    run = face.load("run", "cpu")
    (trained / "evaluation.json").write_text(
        json.dumps({"log_likelihood": -1.0, "step": run.step})
    )
    assert unbraid(*train_words(out="other")).code == 0
    assert unbraid("evaluate", "other", *FAST).code == 0
    outcome = unbraid("compare", "run", "other")
    assert "was evaluated at step" not in outcome.err
    (trained / "evaluation.json").write_text(json.dumps({"log_likelihood": -1.0, "step": 3}))
    unbraid("compare", "run", "other").check_refused(2, f"weights are of step {run.step}")


@pytest.mark.usefixtures("trained")
def test_an_evaluation_of_other_settings_is_kept(unbraid):
    assert unbraid("evaluate", "run", "--samples", 9, "--no-codes").code == 0
    long, values = evaluation(), Path("run/evaluation.npz").read_bytes()
    again = unbraid("evaluate", "run", "--samples", 9, "--no-codes")
    assert again.code == 0 and "kept" not in again.err
    assert not Path("run/earlier-evaluations").exists() and evaluation() == long
    outcome = unbraid("evaluate", "run", "--samples", 2, "--limit", 2, "--no-codes")
    assert outcome.code == 0, outcome.err
    kept = re.search("before, of other settings, is kept as (run/earlier-.*.json)", outcome.err)
    assert kept is not None, outcome.err
    assert json.loads(Path(kept[1]).read_text()) == long
    assert Path(kept[1]).with_suffix(".npz").read_bytes() == values
    assert (evaluation()["samples"], evaluation()["n"]) == (2, 2)
    with np.load("run/evaluation.npz") as kept:
        assert len(kept["log_likelihood"]) == 2


def test_what_is_lost_by_scores_or_annealing_of_later_weights_is_kept(later, unbraid):
    long = evaluation("other")
    for words in (("--estimator", "none"), ANNEALED):
        outcome = unbraid("evaluate", "other", *words)
        assert outcome.code == 0 and "of other weights, is kept as" in outcome.err, outcome.err
        kept = re.search("kept as (.*json)", outcome.err)
        assert kept and json.loads(Path(kept[1]).read_text()) == long
        assert "log_likelihood" not in evaluation("other")
        (later / "evaluation.json").write_text(json.dumps(long))
    (later / "evaluation.json").write_text(json.dumps({"annealed": long | {"chains": 16}}))
    assert "annealed-4-test" in unbraid("evaluate", "other", *FAST).err
    assert "annealed" not in evaluation("other")


@pytest.mark.usefixtures("trained")
def test_an_evaluation_that_ends_in_the_meantime_is_kept(unbraid, monkeypatch):
    """Codes are scored for half a minute, after log p(x) has been written."""

    def meanwhile(run, **settings):
        with pytest.warns(UserWarning, match="kept as"):
            run.evaluate(samples=9, codes=False, progress=False)
        return {"left_out": "nothing"}

    monkeypatch.setattr("unbraid.evaluations.code_scores.score_codes", meanwhile)
    with pytest.warns(UserWarning, match="kept as"):
        told = face.load("run", "cpu").evaluate(samples=2, progress=False)
    assert told["samples"] == 2
    assert evaluation()["samples"] == 2 and evaluation()["codes"]["left_out"] == "nothing"
    kept = [json.loads(p.read_text()) for p in Path("run/earlier-evaluations").glob("*.json")]
    assert sorted(of["samples"] for of in kept) == [2, 9]
    with np.load("run/evaluation.npz") as values:
        assert values["settings"][1] == 2


@pytest.mark.usefixtures("trained")
def test_evaluations_of_before_proposals_were_recorded_are_the_same(unbraid):
    assert unbraid("evaluate", "run", *FAST).code == 0
    without = {k: v for k, v in evaluation().items() if k not in ("widen", "prior_share")}
    Path("run/evaluation.json").write_text(json.dumps(without))
    assert "kept" not in unbraid("evaluate", "run", *FAST).err


@pytest.mark.usefixtures("trained")
def test_comparisons_take_weights_that_are_passed_over_as_loading_does(unbraid, train_words):
    for path in Path("run/checkpoints/ckpt-000004").glob("*.safetensors"):
        path.write_bytes(b"")
    assert "passed over" in unbraid("evaluate", "run", *FAST).err and evaluation()["step"] == 2
    assert unbraid(*train_words(out="other")).code == 0
    assert unbraid("evaluate", "other", *FAST).code == 0
    assert unbraid("compare", "run", "other").code == 0


@pytest.mark.usefixtures("trained")
def test_annealing_of_other_settings_is_kept(unbraid):
    words = ("evaluate", "run", "--estimator", "annealed", "--chains", 2, "--temperatures")
    for steps in (5, 3):
        assert unbraid(*words, steps, "--limit", 2).code == 0
    annealed = evaluation()["annealed"]
    (path,) = Path("run/earlier-evaluations").iterdir()
    earlier = json.loads(path.read_text())["annealed"]
    assert (annealed["temperatures"], earlier["temperatures"]) == (3, 5)
    assert unbraid(*words, 3, "--limit", 2).code == 0
    assert len(list(Path("run/earlier-evaluations").iterdir())) == 1


@pytest.mark.usefixtures("trained")
def test_an_interrupted_evaluation_says_that_it_goes_on(unbraid, monkeypatch):
    Path("run/evaluation-of-others.partial").write_bytes(b"so far")

    def stop(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("unbraid.run.log_likelihood", stop)
    assert unbraid("evaluate", "run").err == "unbraid: interrupted\n"

    def interrupt(*arguments, resume, **settings):
        resume.write_bytes(b"so far")
        raise KeyboardInterrupt

    monkeypatch.setattr("unbraid.run.log_likelihood", interrupt)
    outcome = unbraid("evaluate", "run")
    assert outcome.code == 130 and outcome.out == ""
    kept, interrupted = outcome.err.splitlines()
    assert "are kept: the same evaluation goes on from them" in kept
    assert interrupted == "unbraid: interrupted"
