"""The table of M2 and M1+M2 at a tiny size: what is judged, kept and not run again."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def table(monkeypatch) -> Any:
    """The benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    threads = torch.get_num_threads()
    yield importlib.import_module("benchmarks.semi_supervised")
    torch.set_num_threads(threads)


def test_rows_are_judged_and_kept(table, tmp_path, capsys, monkeypatch):
    small = replace(
        table.ROWS["m2"], train={"batch_size": 50}
    )  # two steps are not worth compiling
    monkeypatch.setitem(table.ROWS, "m2", small)
    words = ["--data", "mnist-small", "--steps", "2", "--judged", "2", "--split", "validation"]
    words += ["--seeds", "1", "--out", str(tmp_path)]
    assert table.main(words) == 0
    told = capsys.readouterr().out
    for name in ("linear", "m2", "m1+m2"):
        assert f"| {name} | 1 |" in told and f"| {name} | all |" in told
    rows = {p.parent.name: json.loads(p.read_text()) for p in tmp_path.rglob("row.json")}
    assert rows.keys() == {"m1-0", "m2-1", "m1+m2-1"}
    for name in ("m2-1", "m1+m2-1"):
        row = rows[name]
        assert (row["labels"], row["n"], row["steps"]) == (10, 1000, 2)
        assert 0 < row["error"] < 1 and row["log_likelihood"] < 0
    assert rows["m2-1"]["options"]["features"] is None
    assert Path(rows["m1+m2-1"]["options"]["features"]) == tmp_path / "mnist-small/m1-0"
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.jsonl")}
    assert table.main(words) == 0
    assert capsys.readouterr().out == told
    assert stamps == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.jsonl")}
    with pytest.raises(ValueError, match=r"m1-0 holds 2 steps .* expected 3"):
        table.main([*words, "--steps", "3"])
