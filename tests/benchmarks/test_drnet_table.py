"""The table of DrNet, at a tiny size: rows are kept, printed, and not judged when stopped."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

import unbraid


@pytest.fixture
def table(monkeypatch) -> Any:
    """The module; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    module = importlib.import_module("benchmarks.drnet_table")
    small = {"size": 24, "digit_size": 12, "digits_from": "mnist-small", "sequences": 200}
    monkeypatch.setattr(module, "DIGITS", {**module.DIGITS, **small})
    monkeypatch.setattr(module, "JUDGE_STEPS", 20)
    tiny = {"static_dim": 4, "dynamic_dim": 5, "channels": (3, 4), "code_hidden": (6,)}
    monkeypatch.setattr(module, "OPTIONS", {**module.OPTIONS, **tiny})
    return module


def test_a_row_is_trained_once_and_printed(table, tmp_path, capsys, monkeypatch):
    swapped: list[Any] = []

    def judged(run, codes, *more):
        swapped.append(codes)
        return judged_swaps(run, codes, *more)

    judged_swaps = table.judged_swaps
    monkeypatch.setattr(table, "judged_swaps", judged)
    words = ["--rows", "drnet", "--steps", "3", "--out", str(tmp_path)]
    assert table.main(words) == 0
    first = capsys.readouterr().out
    assert "digits: drnet, seed 0, 3 steps, test clips" in first
    assert "<= 0.2 is the aim" in first
    assert "| digit | means |" in first
    assert "| place (R²) | draws |" in first
    assert "| digit | pictures |" in first
    assert "swaps: the content's" in first and "\n| draws | " in first
    path = tmp_path / "digits" / "drnet-0" / "row.json"
    row = json.loads(path.read_text())
    means, draws = (torch.as_tensor(codes.static) for codes in swapped)
    assert means.shape == draws.shape and (means != draws).any()
    known = {(p["about"], p["codes"], p["factor"]) for p in row["leakage"]}
    assert {("content", "dynamic", "red digit"), ("pose", "static", "green y")} <= known
    table.print_row({**row, "method": "skips"})
    assert "is the aim" not in capsys.readouterr().out
    path.write_text(json.dumps({**row, "training_seconds": 12345}))
    assert table.main(words) == 0
    assert "12345 s of training" in capsys.readouterr().out


def test_a_single_digit_and_points(table, tmp_path, capsys):
    words = ["--rows", "points", "skips", "--digits", "1", "--steps", "2"]
    assert table.main([*words, "--out", str(tmp_path)]) == 0
    points, skips = (
        capsys.readouterr()
        .out.split("one-digit: points, seed 0")[1]
        .split("one-digit: skips, seed 0")
    )
    for shown in (points, skips):
        assert "draws" not in shown
        for of in ("means", "linear", "pictures"):
            assert f"| digit | {of} |" in shown and f"| place (R²) | {of} |" in shown
    row = json.loads((tmp_path / "one-digit" / "points-0" / "row.json").read_text())
    assert {p["factor"] for p in row["leakage"]} >= {"red digit", "red x", "red y"}
    assert "green x" not in {p["factor"] for p in row["leakage"]}


def test_a_run_that_was_trained_otherwise_is_judged_as_rows_are(table, tmp_path, capsys):
    words = ["--rows", "drnet", "--steps", "3", "--out", str(tmp_path)]
    assert table.main(words) == 0
    mine = capsys.readouterr().out.split("\n| known")[1]
    assert table.main(["--judge", str(tmp_path / "digits" / "drnet-0")]) == 0
    shown = capsys.readouterr().out
    assert "### digits: drnet in drnet-0, seed 0, 3 steps, test clips" in shown
    assert "of training" not in shown
    assert shown.split("\n| known")[1] == mine  # the aims, too


def test_a_run_that_the_table_cannot_judge_is_refused(table, tmp_path):
    given = {"steps": 1, "progress": False, "say": lambda _: None}
    unbraid.train("vae", "mnist-small", tmp_path / "run", options={"hidden": (6,)}, **given)
    three = {**table.DIGITS, "digits": 3}
    for name, method, data_options in (
        ("grey", "drnet", {k: v for k, v in table.DIGITS.items() if k != "form"}),
        ("other", "static-dynamic", table.DIGITS),
        ("three", "drnet", three),
    ):
        options = {"static_dim": 3, "dynamic_dim": 2, "hidden": (6,), "nets": "mlp"}
        options |= {"likelihood": "normal"} if method == "static-dynamic" else {}
        unbraid.train(
            method,
            "moving-mnist",
            tmp_path / name,
            options=options,
            data_options=data_options,
            **given,
        )
    for name, said in (
        ("run", "run is a run of vae on mnist-small; expected drnet on"),
        ("grey", "grey is a run of drnet on moving-mnist; expected drnet on moving-mnist with"),
        ("other", "other is a run of static-dynamic on moving-mnist"),
        ("three", "three is of 3 digits; expected 1 or 2"),
    ):
        with pytest.raises(ValueError, match=said):
            table.main(["--judge", str(tmp_path / name)])


@pytest.mark.parametrize("kept", ["content", "pose"])
def test_a_swap_is_taken_for_what_it_shows(table, monkeypatch, kept):
    """A decoder that shows the digits of the content, and one that shows those of the pose."""
    swaps = importlib.import_module("benchmarks.drnet_swaps")
    generator = torch.Generator().manual_seed(0)
    digits = torch.randint(3, (400, 2), generator=generator)

    def decode(model, static, dynamic):
        shown = static if kept == "content" else dynamic[:, 0]
        return shown[:, None, :, None, None].expand(-1, 1, 2, 4, 4) / 10

    class Judge:
        """Tells a digit by how bright its frame is; never the class 2."""

        def accuracy(self, frames, classes, groups):
            (true,) = classes.values()
            told = (frames.mean((1, 2, 3)) * 10).round().long()
            right = ((told == true) & (true != 2)).double()
            assert len(groups) == len(true)
            return {swaps.DIGIT: SimpleNamespace(accuracy=right.mean(), standard_error=0.0)}

        def ceiling(self, heads):
            return SimpleNamespace(accuracy=1.0, standard_error=0.0)

    monkeypatch.setattr(swaps, "decode_frames", decode)
    codes = SimpleNamespace(
        static=digits.float(), dynamic=digits.float()[:, None], sequence_factors=digits
    )
    found = swaps.judged_swaps(SimpleNamespace(model=None), codes, Judge(), 0)
    assert found["own"]["share"] == pytest.approx((digits != 2).double().mean())
    other = "pose" if kept == "content" else "content"
    differ = digits != digits[swaps.partners(400, 0)]
    seen = digits if kept == "content" else digits[swaps.partners(400, 0)]
    assert found[kept]["share"] == pytest.approx((seen[differ] != 2).double().mean())
    assert found[other]["share"] == 0


def test_the_judge_of_swaps_learns_true_digits_and_is_kept(table, tmp_path, monkeypatch):
    swaps = importlib.import_module("benchmarks.drnet_swaps")
    data = unbraid.data.load("moving-mnist", options={**table.DIGITS, "digits": 1})
    kept = tmp_path / "judge.safetensors"
    judge = swaps.digit_judge(SimpleNamespace(data=data), 30, kept, progress=False)
    assert judge.classes == {swaps.DIGIT: 10} and judge.shape == (1, 24, 24)
    monkeypatch.setattr(swaps, "train_judge", None)
    again = swaps.digit_judge(SimpleNamespace(data=data), 30, kept, progress=False)
    assert again.ceiling() == judge.ceiling()


def test_a_stopped_training_is_not_judged(table, tmp_path, monkeypatch):
    stopped = SimpleNamespace(result=SimpleNamespace(stopped="signal"))
    monkeypatch.setattr(unbraid, "train", lambda *_, **__: stopped)
    with pytest.raises(KeyboardInterrupt, match="was stopped; the same command goes on with it"):
        table.main(["--rows", "drnet", "--steps", "3", "--out", str(tmp_path)])
    assert not list(tmp_path.rglob("row.json"))


def test_both_codes_are_of_the_same_single_frame(table, tmp_path):
    """Content and pose of one frame, and the digits and places of that frame."""
    run = unbraid.train(
        "drnet",
        "moving-mnist",
        tmp_path / "run",
        steps=1,
        options=table.OPTIONS,
        data_options=table.DIGITS,
        progress=False,
        say=lambda _: None,
    )
    found = table.known(run, run.data.test, 3, 7)
    shapes = [
        tuple(torch.as_tensor(values).shape)
        for values in (
            found.static,
            found.dynamic,
            found.sequence_factors,
            found.frame_factors,
        )
    ]
    assert shapes == [(7, 4), (7, 1, 5), (7, 2), (7, 1, 4)]
    content, pose, decoder = torch.ones(1, 4), -torch.ones(1, 5), cast("Any", run.model).decoder
    seen = table.in_pictures(run, found, content, pose)
    contents, poses = torch.as_tensor(found.static), torch.as_tensor(found.dynamic)[:, 0]
    for codes, pictures in (
        ((content.expand(7, -1), poses), torch.as_tensor(seen.dynamic)[:, 0]),
        ((contents, pose.expand(7, -1)), torch.as_tensor(seen.static)),
    ):
        with torch.no_grad():
            frames = decoder(torch.cat(codes, -1)).mean.clamp(0.0, 1.0)[:, :2]  # red and green
        torch.testing.assert_close(pictures, frames.flatten(1))
    drawn, again, other = (
        table.known(run, run.data.test, seed, 7, drawn=True) for seed in (3, 3, 4)
    )
    assert drawn.static.shape == (7, 4)
    assert (torch.as_tensor(drawn.dynamic) == torch.as_tensor(again.dynamic)).all()
    assert (torch.as_tensor(drawn.dynamic) != torch.as_tensor(other.dynamic)).any()
    spread = (torch.as_tensor(drawn.dynamic) - torch.as_tensor(found.dynamic)).std()
    assert 0.5 < spread < 2.0  # an untrained guide is near N(0, I)
