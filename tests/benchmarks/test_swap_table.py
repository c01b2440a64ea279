"""The table of swapped codes: a row is trained, judged, kept, and not trained again."""

import importlib
import json
import os
from pathlib import Path

import pytest


@pytest.fixture
def swap_table(monkeypatch):
    """The table's module; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return importlib.import_module("benchmarks.swap_table")


@pytest.mark.skipif("UNBRAID_DATA" not in os.environ, reason="needs mnist-small")
def test_a_row_is_finished_once(swap_table, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(swap_table, "PAIRS", 3)
    words = ["--rows", "swap-gan", "--steps", "2", "--split", "validation", "--out", str(tmp_path)]
    assert swap_table.main(words) == 0
    told = capsys.readouterr().out
    found = json.loads(told.splitlines()[0])
    assert all(0.0 <= found[key] <= 1.0 for key in ("held_mlp", "held_knn", "rest_mlp"))
    assert found["common_change"] >= 0 and "| swap-gan |" in told
    monkeypatch.setattr("unbraid.train", None)
    assert swap_table.main(words) == 0
    assert capsys.readouterr().out == told
    with pytest.raises(ValueError, match="holds 2 steps judged on validation; expected"):
        swap_table.main([*words, "--split", "test"])


def test_every_row_is_a_method_with_options_that_it_takes(swap_table):
    from unbraid.methods import load_method, read_options

    for row in swap_table.ROWS.values():
        options = load_method(row.method).options
        read_options(options, {**swap_table.NETS, **row.options})
