"""Rows are trained and judged once, and what is kept is what was returned."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import unbraid

KEPT = {"told": {"static": 0.5}, "errors": [1.0, 2.0]}
OPTIONS = {"latent_dim": 2}


@pytest.fixture
def rows(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return importlib.import_module("benchmarks.rows")


@pytest.fixture
def trained(monkeypatch) -> list[Any]:
    """What was given to `unbraid.train`, which makes a run of a layer of 3 x 2 weights."""
    given = []

    def train(method, data, folder, **settings):
        given.append((method, data, folder, settings))
        folder.mkdir(parents=True)
        pair = torch.nn.Linear(3, 2, bias=False), torch.nn.Identity()
        config = {"options": settings["options"], "versions": {"unbraid": "1"}}
        result = SimpleNamespace(stopped="steps")
        return SimpleNamespace(
            model=pair[0], guide=pair[1], config=config, result=result, folder=folder
        )

    monkeypatch.setattr(unbraid, "train", train)
    return given


def test_a_row_is_trained_judged_and_kept_once(rows, trained, tmp_path):
    row, judged = rows.Row("digits", "vae-wide", 4, 7, "validation"), []

    def judge(run):
        judged.append(run)
        return KEPT

    settings = {"options": OPTIONS, "batch_size": 5}
    found = row.finish(tmp_path, judge, "vae", "mnist-small", **settings)
    [(method, data, folder, given)] = trained
    assert (method, data, folder) == ("vae", "mnist-small", tmp_path / "digits" / "vae-wide-4")
    assert given.items() >= {**settings, "seed": 4, "steps": 7, "data_seed": 0}.items()
    assert [run.folder for run in judged] == [folder]
    seconds = found.pop("training_seconds")
    assert type(seconds) is int and seconds >= 0
    assert found == {
        **{"setting": "digits", "method": "vae-wide", "seed": 4, "steps": 7},
        **{"split": "validation", "parameters": 6, **KEPT, "options": OPTIONS},
        "asked": {"data": "mnist-small", "options.latent_dim": 2, "batch_size": 5},
        "versions": {"unbraid": "1"},
    }
    kept = json.loads((folder / "row.json").read_text())
    assert kept == {**found, "training_seconds": seconds}
    assert row.finish(tmp_path, judge, "vae", "mnist-small", **settings) == kept
    assert len(trained) == len(judged) == 1


def test_what_was_stopped_is_not_judged(rows, tmp_path, monkeypatch):
    stopped = SimpleNamespace(result=SimpleNamespace(stopped="signal"))
    monkeypatch.setattr(unbraid, "train", lambda *_, **__: stopped)
    row = rows.Row("digits", "vae", 0, 7)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        row.finish(tmp_path, pytest.fail, "vae", "mnist-small")
    assert not (row.folder(tmp_path) / "row.json").exists()


@pytest.mark.parametrize("changes", [{"steps": 8}, {"split": "validation"}])
def test_results_of_other_settings_are_refused(rows, trained, tmp_path, changes):
    row = {"setting": "digits", "method": "vae", "seed": 0, "steps": 7}
    rows.Row(**row).finish(tmp_path, lambda _: KEPT, "vae", "mnist-small", options=OPTIONS)
    with pytest.raises(ValueError, match=r"holds 7 steps judged on test; expected .* Choose"):
        rows.Row(**{**row, **changes}).finish(tmp_path, pytest.fail, "vae", "mnist-small")
    assert len(trained) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"latent_dim": 3}}, "results of options.latent_dim 2; expected 3. Choose"),
        ({"options": {**OPTIONS, "hidden": (3, 4)}}, r"options.hidden as by default; .*\[3, 4\]"),
        ({"options": {}}, r"results of options\.latent_dim 2; expected as by default"),
        ({"batch_size": 6}, "results of batch_size as by default; expected 6"),
        ({"data_options": {"size": 32}}, "data_options.size as by default; expected 32"),
    ],
)
def test_results_of_other_options_are_refused(rows, trained, tmp_path, changes, message):
    row, given = rows.Row("digits", "vae", 0, 7), {"options": OPTIONS, "progress": True}
    row.finish(tmp_path, lambda _: KEPT, "vae", "mnist-small", **given)
    with pytest.raises(ValueError, match=message):
        row.finish(tmp_path, pytest.fail, "vae", "mnist-small", **{**given, **changes})
    row.finish(tmp_path, pytest.fail, "vae", "mnist-small", **{**given, "progress": False})
    with pytest.raises(ValueError, match="results of data mnist-small; expected mnist"):
        row.finish(tmp_path, pytest.fail, "vae", "mnist", **given)
    assert len(trained) == 1


def test_results_of_before_say_nothing_of_their_settings_and_stand(rows, trained, tmp_path):
    row = rows.Row("digits", "vae", 0, 7)
    row.finish(tmp_path, lambda _: KEPT, "vae", "mnist-small", options=OPTIONS)
    path = row.folder(tmp_path) / "row.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({name: of for name, of in kept.items() if name != "asked"}))
    assert row.finish(tmp_path, pytest.fail, "vae", "mnist-small", options={"latent_dim": 3})
