"""The tables of groups and of active factors: a row is trained, judged and kept, once."""

import importlib
import json
import os
from pathlib import Path

import pytest


@pytest.fixture
def table(monkeypatch):
    """Import a table's module; benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def words(out):
    return ["--steps", "2", "--split", "validation", "--out", str(out)]


@pytest.mark.skipif("UNBRAID_DATA" not in os.environ, reason="needs the data folder")
def test_a_row_of_groups_is_finished_once(table, tmp_path, capsys, monkeypatch):
    groups, small = table("group_table"), {"size": 32, "groups": ("shape",), "group_size": 4}
    options, train = {"hidden": (9,), "frames": 2}, {"batch_size": 5}
    quick = groups.Setting("dsprites-small", small, options, train, 7, 2, 500, ("scale",))
    monkeypatch.setitem(groups.SETTINGS, "sprites", quick)
    given = ["--settings", "sprites", "--rows", "mean", *words(tmp_path)]
    assert groups.main(given) == 0
    told = capsys.readouterr().out
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    probes = {(p["codes"], p["factor"]): p for p in row["told"]}
    assert probes["static", "shape"]["discrete"] and not probes["dynamic", "scale"]["discrete"]
    assert ("static", "colour") not in probes
    assert row["options"]["accumulate"] == "mean" and "| mean | group | shape |" in told
    monkeypatch.setattr("unbraid.train", None)
    assert groups.main(given) == 0
    assert capsys.readouterr().out == told
    with pytest.raises(ValueError, match="holds 2 steps judged on validation; expected"):
        groups.main([*given, "--split", "test"])


@pytest.mark.skipif("UNBRAID_DATA" not in os.environ, reason="needs the data folder")
def test_a_row_of_factors_is_finished_once(table, tmp_path, capsys, monkeypatch):
    active = table("active_table")
    monkeypatch.setattr(active, "DATA", "dsprites-small")
    monkeypatch.setattr(active, "PROBED", 300)
    assert active.main(words(tmp_path)) == 0
    told = capsys.readouterr().out
    row = json.loads(told.splitlines()[0])
    assert 0 <= row["told"]["shape own"] <= 1 and "| filtered | scale |" in told
    monkeypatch.setattr("unbraid.train", None)
    assert active.main(words(tmp_path)) == 0
    assert capsys.readouterr().out == told


def test_every_row_has_options_that_its_method_takes(table):
    from unbraid.methods import load_method, read_options

    groups, active = table("group_table"), table("active_table")
    for setting in groups.SETTINGS.values():
        for row in groups.ROWS.values():
            read_options(load_method("group-vae").options, {**setting.options, **row})
    for row in active.ROWS.values():
        read_options(load_method("dc-ign").options, {**active.OPTIONS, **row})
