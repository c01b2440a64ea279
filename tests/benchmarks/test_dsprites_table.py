"""The table of dSprites: which start a row goes on with, without training any."""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

LOSSES = {6: 9.0, 7: 3.0, 8: 4.0}


@pytest.fixture
def table(monkeypatch) -> Any:
    """The module; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return importlib.import_module("benchmarks.dsprites_table")


@pytest.fixture
def trained(table, monkeypatch) -> list[tuple[str, int, int, int]]:
    """Trainings that would have run: row, its seed, steps, seed of the training."""
    asked = []

    def train(row, out, method, data, **settings):
        seed = settings.get("seed", row.seed)
        asked.append((row.method, row.seed, settings.get("steps", row.steps), seed))
        row.folder(out).mkdir(parents=True, exist_ok=True)
        (row.folder(out) / "checkpoints").mkdir(exist_ok=True)
        history = [{"loss": 1000.0}] + 3 * [{"loss": LOSSES.get(row.seed, 0.0)}, {"elbo": 0.0}]
        config = {"options": {}}
        run = SimpleNamespace(result=SimpleNamespace(history=history), config=config)
        run.model = run.guide = None
        run.split = lambda name: [name]
        return run, 2

    monkeypatch.setattr(table.Row, "train", train)
    rows = importlib.import_module("benchmarks.rows")
    monkeypatch.setattr(rows, "pair_parameters", lambda *_: [])
    score = dict.fromkeys(("factor_vae_score", "mig", "mig_without_shape", "mig_of_means"), 0.5)
    monkeypatch.setattr(table, "scores", lambda *_: {**score, "active": 3})
    return asked


def test_a_row_goes_on_with_the_start_of_the_lowest_loss(table, trained, tmp_path, capsys):
    words = ["--rows", "vae", "--seeds", "2", "--steps", "60", "--starts", "3"]
    assert table.main([*words, "--out", str(tmp_path)]) == 0
    starts = [("vae-start", seed, table.START_STEPS, seed) for seed in (6, 7, 8)]
    assert trained == [*starts, *(("vae", 2, steps, 7) for steps in range(10, 61, 10))]
    told = capsys.readouterr().out
    assert "| vae | 2 | 0.500 |" in told and "| 3 | 18 |" in told  # 2 s of 3 starts and 6 pieces
    count = len(trained)
    assert table.main([*words, "--out", str(tmp_path)]) == 0
    assert len(trained) == count
    with pytest.raises(ValueError, match="vae-2 has 3 starts; expected 4"):
        table.main([*words[:-1], "4", "--out", str(tmp_path)])


def test_starts_of_seeds_do_not_meet(table, trained, tmp_path):
    words = ["--rows", "factor-vae", "--seeds", "0", "1", "--steps", "60", "--starts", "2"]
    assert table.main([*words, "--out", str(tmp_path)]) == 0
    assert [row[1] for row in trained if row[0] == "factor-vae-start"] == [0, 1, 2, 3]
