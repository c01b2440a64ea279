"""The table of turned objects: a row is trained, judged, kept, and not trained again."""

import importlib
import os
from pathlib import Path

import pytest
import torch

from unbraid.analysis import RotationErrors
from unbraid.data import Dataset

COIL = Path(os.environ.get("UNBRAID_DATA", ""), "coil20", "coil20_64x64.npz")


@pytest.fixture
def table(monkeypatch):
    """The table's module; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return importlib.import_module("benchmarks.action_rotation")


@pytest.mark.skipif(not COIL.is_file(), reason="UNBRAID_DATA names no folder with coil20")
def test_a_row_is_finished_once(table, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(table, "DATA", {"turns": True, "size": 16})
    small = {"curriculum": (1,), "hidden": (8,), "code_hidden": (7,), "content_dim": 4}
    monkeypatch.setitem(table.VARIANTS, "tensor", table.Variant(3, small))
    words = ["--rows", "tensor", "--split", "validation", "--out", str(tmp_path)]
    assert table.main(words) == 0
    told = capsys.readouterr().out
    assert "tensor, seed 0: missed; 3 steps" in told and "validation: 4 objects" in told
    monkeypatch.setattr(table.Row, "train", None)
    assert table.main([*words, "--picture", str(tmp_path / "turns.png")]) == 0
    assert capsys.readouterr().out == told
    assert (tmp_path / "turns.png").stat().st_size > 0


@pytest.mark.parametrize(("factor", "passed"), [(0.6, True), (0.7, False)])
def test_a_row_passes_by_its_ratio_to_a_copy_up_to_90_degrees(table, monkeypatch, factor, passed):
    """At 180 degrees it may miss; objects are counted one by one."""
    angles = len(table.ANGLES)
    copied = torch.tensor([[1.0, 3.0]]).expand(angles, 2)
    turned = factor * copied
    turned[-1] = 5.0
    turned[:, 0] += 0.02 * copied[:, 0]

    def errors(*_, **__):
        means = tuple(turned.mean(1).tolist()), tuple(copied.mean(1).tolist())
        return RotationErrors((), *means, turned, copied)

    monkeypatch.setattr(table, "rotation_errors", errors)

    class Pair:
        model = guide = None
        device = "cpu"

        def split(self, _):
            return Dataset(torch.zeros(2, 36, 1, 2, 2, dtype=torch.uint8))

    found = table.judge(Pair(), "test")
    assert found["passed"] is passed
    assert found["objects_passing"][:-1] == [2 if passed else 0] * (angles - 1)
    assert found["objects_passing"][-1] == 0


def test_every_row_has_options_that_the_method_takes(table):
    from unbraid.methods import load_method, read_options

    for variant in table.VARIANTS.values():
        options = read_options(load_method("action-rotation").options, variant.options)
        turning = options.make_turning()
        before = sum(turning.steps)
        frames = [n + 1 for n in turning.turns]
        decoded = sum(n * f for n, f in zip(turning.steps, frames, strict=False))
        decoded += (variant.steps - before) * frames[-1]
        assert 0.99 < decoded / 36_000 < 1.01  # frames of each object, in every row
