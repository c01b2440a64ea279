"""The comparison of methods of sequences, at a tiny size: rows are kept, printed and resumed."""

import importlib
import json
from pathlib import Path

import pytest
import torch

METHODS = {"distinct-frames": "static-dynamic", "fhvae": "fhvae"}
TINY = {
    "data": "moving-mnist",
    "data_options": {"form": "drnet", "size": 24, "digit_size": 12, "sequences": 120, "length": 6},
    "options": {"frames": 3, "static_dim": 4, "dynamic_dim": 3, "hidden": (8,), "nets": "mlp"},
    "train": {"batch_size": 20},
    "steps": 3,
    "probe_frames": 6,
    "frames": 2,
    "samples": 3,
    "inner_samples": 2,
    "sequences": 4,
}


@pytest.fixture
def modules(monkeypatch):
    """The table's modules; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    names = ("settings", "scores", "table")
    return {name: importlib.import_module(f"benchmarks.sequence_{name}") for name in names}


@pytest.fixture
def tiny(modules, tmp_path, monkeypatch):
    settings = modules["settings"]
    monkeypatch.setitem(settings.SETTINGS, "digits", settings.Setting(**TINY))
    return ["--data", "digits", "--out", str(tmp_path)]


@pytest.mark.parametrize("name", ["distinct-frames", "fhvae"])
def test_a_row_is_trained_once_and_printed(name, tiny, modules, tmp_path, capsys):
    main = modules["table"].main
    words = [*tiny, "--rows", name]
    assert main(words) == 0
    first = capsys.readouterr().out
    path = tmp_path / "digits" / f"{name}-0" / "row.json"
    row = json.loads(path.read_text())
    assert row["evaluation"]["frames"] == 2
    assert row["evaluation"]["elbo"] <= row["evaluation"]["log_likelihood"]
    known = {(p["about"], p["codes"], p["factor"]) for p in row["leakage"]}
    assert ("content", "dynamic", "digit 1") in known
    assert ("pose", "static", "y of digit 0") in known
    assert f"digits: {name}, seed 0, 3 steps, test sequences" in first
    path.write_text(json.dumps({**row, "training_seconds": 12345}))
    assert main(words) == 0
    assert "12345 s of training" in capsys.readouterr().out
    before = sorted(path.parent.iterdir())
    assert main([*tiny, "--judge", str(path.parent)]) == 0
    assert f"digits: {METHODS[name]} in {name}-0, seed 0" in (capsys.readouterr().out)
    assert sorted(path.parent.iterdir()) == before
    with pytest.raises(ValueError, match="holds 3 steps judged on test; expected 4 on test"):
        main([*words, "--steps", "4"])


def test_every_sequence_moves_as_another_one(modules):
    for count in (2, 3, 17):
        partner = modules["scores"].partners(count, seed=1)
        assert sorted(partner.tolist()) == list(range(count))
        assert (partner != torch.arange(count)).all()
