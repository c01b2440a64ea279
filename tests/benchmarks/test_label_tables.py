"""The tables of domain adaptation and fairness at a tiny size, and what they count."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def table(monkeypatch) -> Any:
    """A module by name; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    threads = torch.get_num_threads()
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    torch.set_num_threads(threads)


def test_domains_are_judged_and_kept(table, tmp_path, capsys):
    domain_adaptation = table("domain_adaptation")
    words = ["--tasks", "coloured", "--rows", "source-only", "target-trained", "reverse"]
    words += ["--steps", "2", "--split", "validation", "--out", str(tmp_path)]
    assert domain_adaptation.main(words) == 0
    told = capsys.readouterr().out
    assert "| of the gap closed |" in told and "| reverse |" in told
    [path] = tmp_path.glob("*.json")
    rows = json.loads(path.read_text())
    assert [row["method"] for row in rows] == ["source-only", "target-trained", "reverse"]
    assert all(0 <= row["target_accuracy"] <= 1 and 0.1 <= row["guess"] < 0.2 for row in rows)
    again = [row["training_seconds"] for row in rows]
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.jsonl")}
    assert domain_adaptation.main(words) == 0
    assert [row["training_seconds"] for row in json.loads(path.read_text())] == again
    assert stamps == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.jsonl")}
    with pytest.raises(ValueError, match="holds 2 steps judged on validation; expected 3"):
        domain_adaptation.main([*words, "--steps", "3"])


def test_the_share_of_the_gap_is_between_its_ends(table):
    domain_adaptation = table("domain_adaptation")
    mean_and_spread = table("label_run").mean_and_spread
    rows = [
        {"method": name, "seed": 0, "target_accuracy": accuracy}
        for name, accuracy in (("source-only", 0.5), ("target-trained", 0.9), ("flip", 0.7))
    ]
    assert domain_adaptation.closed(rows, "flip", 0) == pytest.approx(0.5)
    assert domain_adaptation.closed(rows, "target-trained", 0) == 1.0
    assert domain_adaptation.closed(rows, "flip", 1) is None
    assert mean_and_spread([0.5, 0.7]) == "0.600 ± 0.141"
    assert mean_and_spread([0.5]) == "0.500"


def test_fairness_is_judged_and_kept(table, tmp_path, capsys):
    words = ["--rows", "none", "zhang-odds", "--steps", "2", "--out", str(tmp_path)]
    assert table("fairness").main([*words, "--split", "validation"]) == 0
    assert "| none |" in capsys.readouterr().out
    [path] = tmp_path.glob("*.json")
    for row in json.loads(path.read_text()):
        assert 0 <= row["odds_gap"] <= 1 and row["mean_odds_gap"] <= row["odds_gap"]
        # The first weights of an encoder see colours.
        assert row["probe_given_label"]["accuracy"] > 0.7
        assert row["probe"]["chance"] == 0.5
