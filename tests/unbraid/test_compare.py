"""Runs are compared from what their evaluations left: paired, in every format, with errors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unbraid as face

LIMITED = ("--samples", 30, "--no-codes")


@pytest.fixture
def two(trained, unbraid, train_words):
    """Two runs on one set, both evaluated."""
    assert unbraid(*train_words("--seed", 1, out="other")).code == 0
    for name in ("run", "other"):
        assert unbraid("evaluate", name, *LIMITED).code == 0
    return trained.parent


def values(name):
    with np.load(Path(name) / "evaluation.npz") as kept:
        return kept["log_likelihood"]


def test_runs_on_different_cuts_are_not_compared(two, unbraid):
    rows = json.loads(unbraid("compare", "run", "other", "--format", "json").out)
    assert rows[0]["no_difference"] is None and rows[0]["difference"] is None
    # The seed of a run cuts the data too, so these two were judged on other digits.
    assert rows[1]["no_difference"] == "judged on other data"
    assert len(values("other")) == rows[1]["n"]


def test_runs_on_the_same_cut(two, unbraid, train_words):
    words = train_words("--seed", 1, "--data-seed", 0, out="third")
    assert unbraid(*words).code == 0
    assert unbraid("evaluate", "third", *LIMITED, "--limit", 2).code == 0
    rows = json.loads(unbraid("compare", "run", "third", "--format", "json").out)
    apart = values("third") - values("run")[:2]
    assert rows[1]["difference"] == pytest.approx(apart.mean())
    assert rows[1]["difference_n"] == 2
    rows: Any = face.compare(["run", "third"], against="third").rows
    assert rows[0].difference.mean == pytest.approx(-apart.mean())


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ("json", '"run": "run"'),
        ("text", "run    vae"),
        ("csv", "run,method,data"),
        ("latex", r"\toprule"),
        ("html", "<h1>"),
    ],
)
def test_every_format_is_printed_or_written(form, part, two, unbraid):
    printed = unbraid("compare", "run", "other", "--format", form)
    assert printed.code == 0 and part in printed.out
    written = unbraid("compare", "run", "other", "--format", form, "--out", "new/table")
    assert written.code == 0 and Path("new/table").read_text() == printed.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run",), "number of runs is 1; expected at least 2"),
        (("run", "run"), "run is named twice"),
        (("run", "nowhere"), "nowhere"),
        (("run", "other", "--against", "third"), "against is 'third'; expected one of run, other"),
    ],
)
def test_bad_words(words, message, two, unbraid):
    outcome = unbraid("compare", *words)
    outcome.check_refused(outcome.code, message)


def test_a_run_that_was_not_evaluated(two, unbraid):
    Path("other/evaluation.json").unlink()
    unbraid("compare", "run", "other").check_refused(2, "other has no log-likelihood.*unbraid ev")


def test_values_of_another_evaluation_are_not_used(two, unbraid):
    kept = json.loads(Path("other/evaluation.json").read_text())
    for change in ({"seed": 99}, {"samples": 99}):
        Path("other/evaluation.json").write_text(json.dumps(kept | change))
        assert "values of single data of other were not" in unbraid("compare", "run", "other").out
    whole = Path("other/evaluation.npz").read_bytes()
    Path("other/evaluation.npz").write_bytes(whole[: len(whole) // 2])
    unbraid("compare", "run", "other").check_refused(4, "other/evaluation.npz cannot be read")
    Path("other/evaluation.npz").write_bytes(b"no archive")
    unbraid("compare", "run", "other").check_refused(4, "other/evaluation.npz cannot be read")


def test_a_run_that_replaces_another_keeps_none_of_its_values(two, unbraid, train_words):
    assert Path("run/evaluation.npz").exists()
    assert unbraid(*train_words("--force")).code == 0
    assert not Path("run/evaluation.npz").exists()
