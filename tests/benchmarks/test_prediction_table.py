"""The table of predictions, at a tiny size: what is seen in films, and rows that are kept."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import unbraid
from unbraid.analysis import psnr, ssim

STEPS = ["--steps", "3", "--codes-steps", "2"]


@pytest.fixture
def table(monkeypatch) -> Any:
    """The module; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    module = importlib.import_module("benchmarks.prediction_table")
    first = module.drnet_table
    small = {"size": 24, "digit_size": 12, "digits_from": "mnist-small", "sequences": 200}
    monkeypatch.setattr(first, "DIGITS", {**first.DIGITS, **small})
    tiny = {"static_dim": 4, "dynamic_dim": 5, "channels": (3, 4), "code_hidden": (6,)}
    monkeypatch.setattr(first, "OPTIONS", {**first.OPTIONS, **tiny})
    monkeypatch.setitem(module.CODES["ae-lstm"], "dynamic_dim", 9)
    monkeypatch.setattr(module, "AHEAD", {"n_past": 3, "n_future": 4, "hidden": 6})
    monkeypatch.setattr(module, "LENGTH", 9)
    asked = {
        "past": 3,
        "frames": 12,
        "clips": 6,
        "near_clips": 9,
        "horizons": (1, 4, 12),
        "early": 4,
    }
    plan = replace(module.PLAN, **asked, window=(5, 12), first=3, judge_frames=2, judge_steps=30)
    monkeypatch.setattr(module, "PLAN", plan)
    return module


@pytest.fixture
def truth(table, tmp_path) -> Any:
    return table.Truth(table.drnet_table.DIGITS, "test", table.PLAN, tmp_path)


def true_frames(truth: Any) -> torch.Tensor:
    """All frames of the clips."""
    return truth.clips.pixels(torch.arange(len(truth.clips))).float() / 255


def test_true_clips_begin_like_those_of_the_training(table, truth):
    test = unbraid.data.load("moving-mnist", seed=0, options=table.drnet_table.DIGITS).test
    own, others = truth.clips.pixels(torch.arange(6)), test.pixels(torch.arange(6))
    assert own.shape[1] == 15
    assert torch.equal(own, others[:, :15])


def test_what_is_seen_in_true_frames(truth):
    """A judge that knows red digits of even horizons alone; nearness is that of the truth."""
    frames, digits = true_frames(truth), truth.clips.factors
    known = {
        frames[clip, 2 + horizon, 0].numpy().tobytes(): int(digits[clip, 0])
        for clip in range(6)
        for horizon in (4, 12)
    }

    def predict(images):
        assert images.shape == (12, 1, 24, 24)
        told = [known.get(image.numpy().tobytes(), -1) for image in images]
        return {"digit": torch.tensor(told)}

    truth.__dict__["judge"] = SimpleNamespace(predict=predict)
    seen = truth.watched
    expected = torch.tensor([[False, False], [True, False], [True, False]]).expand(6, -1, -1)
    assert torch.equal(seen.right, expected)
    assert seen.track.shape == (6, 12, 2, 2)
    assert bool((seen.ssim == 1).all()) and seen.psnr.tolist() == pytest.approx([58.92] * 9, 1e-3)
    assert torch.equal(truth.seen, frames[:, :3])
    assert torch.equal(torch.cat(list(truth.film()), 1), frames[:, 3:])


def test_the_judge_is_trained_once_and_kept(truth, monkeypatch):
    first = truth.judge
    monkeypatch.setattr("benchmarks.prediction_films.train_judge", None)
    again = type(truth)(truth._digits, "test", truth.plan, truth._out).judge
    frames = true_frames(truth)[:, 0, :1]
    told = [judge.probabilities(frames)["digit"] for judge in (first, again)]
    assert torch.equal(*told)
    assert first.ceiling().count == 40  # 20 validation clips of two digits


def test_a_film_that_stands_fails_visibly(table, truth):
    scores = importlib.import_module("benchmarks.prediction_scores")
    frames = true_frames(truth)
    still = torch.cat(list(truth.standing()), 1)
    assert torch.equal(still, frames[:, 2:3].expand_as(still))
    watched = table.watch(truth.standing(), truth.near.standing(), truth)
    found = scores.scores(watched, truth)
    assert found["speed"]["mean"] == found["speed"]["deviation"] == found["bounces"]["mean"] == 0
    assert found["speed"]["truth"]["mean"] > 1 and found["speed"]["distance"] > 0.8
    assert found["bounces"]["distance"] > 0.5
    near = true_frames(truth.near)
    assert near.shape == (9, 6, 3, 24, 24)
    near = [torch.stack([q(near[:, 2], near[:, 3 + t]) for t in range(3)]) for q in (ssim, psnr)]
    assert found["ssim"]["mean"] == pytest.approx(float(near[0].mean()))
    assert found["psnr"]["mean"] == pytest.approx(float(near[1].clamp(max=58.92).mean()), rel=1e-4)
    own = scores.scores(truth.watched, truth)
    assert own["speed"]["distance"] == own["bounces"]["distance"] == 0
    with pytest.raises(ValueError, match="a film has 5 frames; expected 12"):
        table.watch([frames[:, :5]], truth.near.film(), truth)
    with pytest.raises(ValueError, match="a film has 2 frames; expected 3"):
        table.watch([frames], [true_frames(truth.near)[:, 3:5]], truth)


def test_motion_is_that_of_the_window(table, truth):
    """A film whose second digit goes twice as far at every step, and stands at times."""
    scores = importlib.import_module("benchmarks.prediction_scores")
    frames = torch.zeros(6, 12, 3, 24, 24)
    places = [0, 0, 0, 4, 4, 5, 5, 7, 8, 8, 9, 10]
    for t, x in enumerate(places):
        frames[:, t, 0, 5:8, x : x + 3] = 1
        frames[:, t, 1, 2 * x : 2 * x + 3, 5:8] = 1
    watched = table.watch([frames], truth.near.film(), truth)
    found = scores.scores(watched, truth)
    assert found["placed"] == 1
    steps = np.diff(places[4:])
    steps = np.concatenate([steps, 2 * steps])
    assert found["speed"]["mean"] == pytest.approx(steps.mean(), rel=1e-5)
    assert found["speed"]["deviation"] == pytest.approx(steps.std(), rel=1e-5)
    nothing = table.watch([0 * frames], truth.near.film(), truth)
    found = scores.scores(nothing, truth)
    assert found["placed"] == 0 and found["speed"]["mean"] is None
    assert found["speed"]["distance"] == 1
    json.dumps(found, allow_nan=False)


def test_what_is_kept_is_a_ratio_with_the_error_of_paired_clips(table):
    scores = importlib.import_module("benchmarks.prediction_scores")
    generator = torch.Generator().manual_seed(0)
    right = torch.rand(4000, 3, 2, generator=generator) < torch.tensor([0.95, 0.9, 0.6])[:, None]
    found = scores.kept(right, 1)
    early, late = (right[:, place].double().mean(1) for place in (1, 2))
    assert found["mean"] == pytest.approx(float(late.mean() / early.mean()))
    # The spread of the ratio over clips that are drawn anew; 400 draws tell it to a tenth (6 s.e.
    # would be 0.2).
    rows = torch.randint(4000, (400, 4000), generator=generator)
    again = late[rows].mean(1) / early[rows].mean(1)
    assert found["standard_error"] == pytest.approx(float(again.std()), rel=0.2)
    same = scores.kept(right[:, [0, 1, 1]], 1)
    assert same == {"mean": 1.0, "standard_error": 0.0}
    assert scores.kept(torch.zeros(4, 2, 2, dtype=torch.bool), 0)["mean"] is None


def test_the_table_trains_each_row_once_and_prints_it(table, tmp_path, capsys):
    words = [*STEPS, "--out", str(tmp_path)]
    assert table.main(words) == 0
    told = capsys.readouterr().out
    assert "### digits: standing: 6 test clips" in told
    assert "drnet, seed 0, 3 steps on codes of 2: 6 test clips" in told
    assert told.count(">= 0.9 is the aim") == 1
    rows = {}
    for name in ("drnet", "ae-lstm"):
        folder = tmp_path / "digits" / f"{name}-0"
        rows[name] = json.loads((folder / "row.json").read_text())
        run = unbraid.load(folder, "cpu")
        # As `unbraid predict` judges the same trajectory.
        predicted = run.predict(past=3, future=3, count=6)
        with np.load(folder / "values.npz") as values:
            own = {key: values[key] for key in values}
        assert predicted.ssim is not None
        np.testing.assert_allclose(own["ssim"][:6], predicted.ssim[0, :, :3].mean(1), rtol=1e-9)
        np.testing.assert_allclose(own["psnr"][:6], predicted.psnr[0, :, :3].mean(1), rtol=1e-9)
        assert own["right"].shape == (6, 3, 2) and own["track"].shape == (6, 12, 2, 2)
        rows[name]["ssim of clips"] = own["ssim"]
        codes = unbraid.load(tmp_path / "codes-digits" / f"{name}-0", "cpu")
        assert rows[name]["options"]["codes"] == str(codes.folder.resolve())
        sizes = (0, 9) if name == "ae-lstm" else (4, 5)
        assert (
            tuple(codes.config["options"][key] for key in ("static_dim", "dynamic_dim")) == sizes
        )
    gain = rows["drnet"]["ssim of clips"] - rows["ae-lstm"]["ssim of clips"]
    assert f"SSIM {gain.mean():+.4f} ± {gain.std(ddof=1) / 9**0.5:.4f}" in told
    assert "First 3 predicted frames of 9 clips: SSIM" in told
    path = tmp_path / "digits" / "drnet-0" / "row.json"
    row = json.loads(path.read_text())
    path.write_text(json.dumps({**row, "split": "test", "placed": 0.123}))
    assert table.main([*words, "--rows", "drnet"]) == 0
    assert "known in 12.3 % of these frames" in capsys.readouterr().out
    with pytest.raises(ValueError, match="codes_steps=2; expected 4"):
        table.main(["--steps", "3", "--codes-steps", "4", "--out", str(tmp_path)])
    with pytest.raises(ValueError, match="holds 3 steps judged on test; expected 5"):
        table.main(["--steps", "5", "--rows", "drnet", "--out", str(tmp_path)])
    table.AHEAD = {**table.AHEAD, "n_future": 5}  # the fixture sets it anew
    with pytest.raises(ValueError, match="drnet-0 has n_future=4; expected 5"):
        table.main([*words, "--rows", "drnet"])


def test_codes_of_the_table_of_drnet_are_taken(table, tmp_path, capsys):
    out, there = tmp_path / "out", tmp_path / "table"
    words = [*STEPS, "--rows", "drnet", "--out", str(out), "--drnet-table", str(there)]
    with pytest.raises(FileNotFoundError, match="drnet-0 holds no finished row; expected one of"):
        table.main(words)
    # As benchmarks.drnet_table keeps it.
    row = importlib.import_module("benchmarks.rows").Row("digits", "drnet", 0, 1)
    first = table.drnet_table
    run, _ = row.train(
        there,
        "drnet",
        "moving-mnist",
        options=first.OPTIONS,
        data_options=first.DIGITS,
        progress=False,
        **first.TRAIN,
    )
    row.keep(there, run, {})
    assert table.main(words) == 0
    assert "3 steps on codes of 1:" in capsys.readouterr().out
    found = json.loads((out / "digits" / "drnet-0" / "row.json").read_text())
    assert found["options"]["codes"] == str((there / "digits" / "drnet-0").resolve())
    assert not (out / "codes-digits").exists()


def test_a_single_digit_is_a_setting_of_its_own(table, tmp_path, capsys):
    words = [*STEPS, "--digits", "1", "--rows", "ae-lstm", "standing", "--out", str(tmp_path)]
    assert table.main(words) == 0
    told = capsys.readouterr().out
    assert "### one-digit: standing: 6 test clips" in told
    with np.load(tmp_path / "one-digit" / "ae-lstm-0" / "values.npz") as values:
        assert values["right"].shape == (6, 3, 1) and values["track"].shape == (6, 12, 1, 2)
    assert not (tmp_path / "digits").exists()


def test_a_stopped_training_is_not_judged(table, tmp_path, monkeypatch):
    stopped = SimpleNamespace(result=SimpleNamespace(stopped="signal"))
    monkeypatch.setattr(unbraid, "train", lambda *_, **__: stopped)
    with pytest.raises(KeyboardInterrupt, match="was stopped; the same command goes on with it"):
        table.main([*STEPS, "--rows", "drnet", "--out", str(tmp_path)])
    assert not list(tmp_path.rglob("row.json"))
