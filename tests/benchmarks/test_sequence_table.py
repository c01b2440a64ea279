"""The comparison of methods of sequences, at a tiny size: rows are kept, printed and resumed."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid.analysis import KnownSequences

METHODS = {
    "distinct-frames": "static-dynamic",
    "scene-critic": "static-dynamic",
    "fhvae": "fhvae",
}
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
    monkeypatch.setitem(settings.SETTINGS, "digits", settings.Setting(**TINY, few_sequences=True))
    return ["--data", "digits", "--out", str(tmp_path)]


@pytest.mark.parametrize("name", METHODS)
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
    tables = ["leakage", "leakage of draws", "leakage by neighbours"]
    tables.append("leakage of draws by neighbours")
    assert [len(row[table]) for table in tables] == [len(row["leakage"])] * 4
    assert all(f"| {table} | from static |" in first for table in tables)
    assert len({json.dumps(row[table]) for table in tables}) == 4
    hooks = json.loads((path.parent / "config.json").read_text())["hooks"]
    assert [hook.partition(":")[0] for hook in hooks] == ["scene"] * (name == "scene-critic")
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


def test_two_judges_are_asked_of_classes(modules, tmp_path, monkeypatch, capsys):
    """One of sharp frames and one of blurred ones, each beside its own share of real frames."""
    noise = np.random.default_rng(0)
    poses = noise.integers(0, 2, (60, 5, 1))
    frames = noise.integers(0, 50, (60, 5, 8, 8, 3), dtype=np.uint8)
    frames[:30, ..., 0] += 200  # the label is a colour, the pose where it is bright
    frames[:, :, :4, :, 1] += (150 * poses[..., None]).astype(np.uint8)
    np.savez(
        tmp_path / "clips.npz",
        sequences=frames,
        labels=np.arange(60) // 30,
        frame_factors=poses,
        frame_factor_names=np.array(["place"]),
    )
    changed = {"data": str(tmp_path / "clips.npz"), "data_options": {}, "probe_frames": 3}
    changed |= {"judged": (("label",), ("place",)), "judge_steps": 60}
    setting = modules["settings"].Setting(**{**TINY, **changed})
    monkeypatch.setitem(modules["settings"].SETTINGS, "sprites", setting)
    words = ["--data", "sprites", "--rows", "static-dynamic", "--out", str(tmp_path / "out")]
    assert modules["table"].main(words) == 0
    told = capsys.readouterr().out
    row = json.loads((tmp_path / "out/sprites/static-dynamic-0/row.json").read_text())
    for name in ("judge", "tolerant judge"):
        assert f"| the {name} sees, swap | share | real | chance |" in told
        real = {told["name"]: told["ceiling"] for told in row[name]["reconstruction"]}
        assert real["label"] == real["place"] == 1
    assert row["judge"] != row["tolerant judge"]


def test_every_frame_is_a_sequence_where_there_are_few(modules):
    static, dynamic = torch.randn(3, 2), torch.randn(3, 4, 5)
    content, pose = torch.arange(3)[:, None], torch.randn(3, 4, 2)
    apart = modules["scores"]._frames_apart(KnownSequences(static, dynamic, content, pose))
    for sequence in range(3):
        for frame in range(4):
            row = 4 * sequence + frame
            assert apart.static[row].equal(static[sequence])
            assert apart.dynamic[row, 0].equal(dynamic[sequence, frame])
            assert apart.sequence_factors[row].equal(content[sequence])
            assert apart.frame_factors[row, 0].equal(pose[sequence, frame])
    assert apart.dynamic.shape == (12, 1, 5)


def test_every_sequence_moves_as_another_one(modules):
    for count in (2, 3, 17):
        partner = modules["scores"].partners(count, seed=1)
        assert sorted(partner.tolist()) == list(range(count))
        assert (partner != torch.arange(count)).all()
