"""The table of dSprites: its pieces and what its rows share, without training any."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def table(monkeypatch) -> Any:
    """The module; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return importlib.import_module("benchmarks.dsprites_table")


@pytest.fixture
def trained(table, monkeypatch) -> list[tuple[str, int, int]]:
    """Trainings that would have run: row, its seed, steps."""
    asked = []

    def train(row, out, method, data, **settings):
        asked.append((row.method, row.seed, settings["steps"]))
        row.folder(out).mkdir(parents=True, exist_ok=True)
        (row.folder(out) / "checkpoints").mkdir(exist_ok=True)
        run = SimpleNamespace(config={"options": settings["options"]})
        run.model = run.guide = None
        run.split = lambda name: [name]
        return run, 2

    monkeypatch.setattr(table.Row, "train", train)
    rows = importlib.import_module("benchmarks.rows")
    monkeypatch.setattr(rows, "pair_parameters", lambda *_: [])
    score = dict.fromkeys(("factor_vae_score", "mig", "mig_without_shape", "mig_of_means"), 0.5)
    monkeypatch.setattr(table, "scores", lambda *_: {**score, "active": 3})
    return asked


def test_a_row_is_trained_and_scored_piece_by_piece(table, trained, tmp_path, capsys):
    words = ["--rows", "vae", "--seeds", "2", "--steps", "60", "--out", str(tmp_path)]
    assert table.main(words) == 0
    assert trained == [("vae", 2, steps) for steps in range(10, 61, 10)]
    told = capsys.readouterr().out
    assert "| vae | 2 | 0.500 |" in told and "| 3 | 12 |" in told  # 2 s of each of 6 pieces
    assert told.count("| vae | ") == 7  # and the curve
    count = len(trained)
    assert table.main(words) == 0
    assert len(trained) == count
    with pytest.raises(
        ValueError, match=r"vae-2 holds results of options\.decoder broadcast; expected mirror"
    ):
        table.main([*words, "--decoder", "mirror"])


def test_a_row_goes_on_after_its_last_piece(table, trained, tmp_path):
    words = ["--rows", "vae", "--seeds", "2", "--steps", "60", "--out", str(tmp_path)]
    assert table.main(words) == 0
    folder = tmp_path / "dsprites" / "vae-2"
    curve = json.loads((folder / "curve.json").read_text())
    (folder / "curve.json").write_text(json.dumps(curve[:4]))
    (folder / "row.json").unlink()
    trained.clear()
    assert table.main(words) == 0
    assert trained == [("vae", 2, 50), ("vae", 2, 60)]


def test_rows_differ_in_their_method_alone(table):
    """The same nets, the same data, batches and learning rate."""
    rows = [table.settings_of(name, "broadcast", False) for name in table.ROWS]
    shared = ("likelihood", "nets", "hidden", "decoder", "broadcast_hidden", "latent_dim")
    for row in rows:
        assert {**row, "method": 0, "options": 0} == {**rows[0], "method": 0, "options": 0}
        options = [each["options"] for each in (row, rows[0])]
        assert len({str([each.get(name) for name in shared]) for each in options}) == 1
