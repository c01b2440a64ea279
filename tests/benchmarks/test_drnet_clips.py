"""DrNet on three sets of clips, at a tiny size: what probes are given, rows that are kept."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import unbraid
from unbraid.data import Dataset

TINY = {"static_dim": 4, "dynamic_dim": 5, "channels": (3, 4), "code_hidden": (6,)}
CLIPS = 60


@pytest.fixture
def table(monkeypatch, tmp_path) -> Any:
    """The module, whose turned objects are clips of noise, of five frames each."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    module = importlib.import_module("benchmarks.drnet_clips")
    noise = np.random.default_rng(0)
    np.savez(
        tmp_path / "clips.npz",
        sequences=noise.integers(0, 256, (CLIPS, 5, 8, 8, 3), dtype=np.uint8),
        labels=np.arange(CLIPS) % 2,
        frame_factors=(noise.integers(0, 72, (CLIPS, 5, 1)) * 5).astype(np.float32),
        frame_factor_names=np.array(["angle"]),
    )
    options = {**module.SETTINGS["coil20"].options, **TINY}
    train = {"batch_size": 8}
    setting = module.Setting(
        str(tmp_path / "clips.npz"), {}, options, train, steps=3, few_clips=True
    )
    monkeypatch.setitem(module.SETTINGS, "coil20", setting)
    return module


@pytest.fixture
def run(table, tmp_path) -> unbraid.Run:
    setting = table.SETTINGS["coil20"]
    return unbraid.train(
        "drnet",
        setting.data,
        tmp_path / "run",
        steps=1,
        options=setting.options,
        batch_size=8,
        progress=False,
        say=lambda _: None,
    )


def test_a_row_is_trained_once_and_printed(table, tmp_path, capsys):
    words = ["--settings", "coil20", "--rows", "drnet", "--out", str(tmp_path / "out")]
    assert table.main(words) == 0
    first = capsys.readouterr().out
    assert "coil20: drnet, seed 0, 3 steps, test frames" in first
    assert first.count(">= 0.95 is the aim") == 1
    path = tmp_path / "out" / "coil20" / "drnet-0" / "row.json"
    row = json.loads(path.read_text())
    known = {(p["about"], p["codes"], p["factor"]) for p in row["leakage"]["mlp"]}
    assert {("content", "dynamic", "identity"), ("pose", "static", "sine")} <= known
    assert row["leakage"].keys() == {"mlp", "knn", "mlp of draws", "knn of draws"}
    assert "| mlp of draws: content: identity |" in first
    assert set(row["errors"]) == {"own", "other pose", "other content"}
    assert (path.parent / "swaps.png").read_bytes().startswith(b"\x89PNG")
    table.print_row({**row, "method": "no-adversary"})
    assert "is the aim" not in capsys.readouterr().out
    path.write_text(json.dumps({**row, "training_seconds": 12345}))
    assert table.main(words) == 0
    assert "12345 s of training" in capsys.readouterr().out
    with pytest.raises(ValueError, match="holds 3 steps judged on test; expected 4 on test"):
        table.main([*words, "--steps", "4"])


def test_points_have_no_draws(table, tmp_path):
    words = ["--settings", "coil20", "--rows", "published", "--out", str(tmp_path / "out")]
    assert table.main(words) == 0
    row = json.loads((tmp_path / "out" / "coil20" / "published-0" / "row.json").read_text())
    assert row["leakage"].keys() == {"mlp", "knn"}


def test_draws_are_of_the_guide_by_the_seed(table, run):
    """Around the means, as far as the Normals reach, and again the same for the same seed."""
    data = run.data.train
    means = table.encode(run, data, None, seed=3)
    drawn, again, other = (table.encode(run, data, None, seed, drawn=True) for seed in (3, 3, 4))
    with torch.no_grad():
        frames = means.x.flatten(0, 1).unsqueeze(1).to(run.device)
        guide: Any = run.guide
        pose, content = guide.pose_encoder(frames), guide.content_encoder(frames, None)
    for found, normal, at in (
        (drawn.dynamic, pose, means.dynamic),
        (drawn.static, content, means.static),
    ):
        scale = normal.stddev.cpu().flatten(1).unflatten(0, found.shape[:2])
        standard = (found - at) / scale  # some thousand draws: five standard errors of each moment
        assert abs(float(standard.mean())) < 5 / standard.numel() ** 0.5
        assert abs(float(standard.var()) - 1) < 5 * (2 / standard.numel()) ** 0.5
    assert torch.equal(drawn.dynamic, again.dynamic) and torch.equal(drawn.x, again.x)
    assert not torch.equal(drawn.dynamic, other.dynamic)


def test_a_stopped_training_is_not_judged(table, tmp_path, monkeypatch):
    stopped = SimpleNamespace(result=SimpleNamespace(stopped="signal"))
    monkeypatch.setattr(unbraid, "train", lambda *_, **__: stopped)
    with pytest.raises(KeyboardInterrupt, match="was stopped; the same command goes on with it"):
        table.main(["--settings", "coil20", "--rows", "drnet", "--out", str(tmp_path / "out")])
    assert not list(tmp_path.rglob("row.json"))


@pytest.mark.parametrize("frames", [None, 2])
def test_codes_are_of_single_frames_beside_what_is_known_of_them(frames, table, run):
    """Against the two encoders themselves, frame by frame, and the data's own records."""
    data = run.data.train
    found = table.encode(run, data, frames, seed=3)
    count = 5 if frames is None else frames
    for clip, place in ((0, 0), (3, count - 1)):
        frame = found.x[clip, place][None, None].to(run.device)
        with torch.no_grad():
            content = run.guide.content_encoder(frame, None).mean[0, 0]
            pose = run.guide.pose_encoder(frame).mean[0, 0]
        torch.testing.assert_close(found.static[clip, place], content.cpu())
        torch.testing.assert_close(found.dynamic[clip, place], pose.cpu())
        (angle,) = _angles_of(data, clip, found.x[clip, place])
        expected = torch.stack([torch.deg2rad(angle).cos(), torch.deg2rad(angle).sin()])
        torch.testing.assert_close(found.pose[clip, place], expected)
    assert found.content.flatten().tolist() == data.labels.tolist()
    assert found.names == (("identity",), ("cosine", "sine"))


def _angles_of(data: Dataset, clip: int, frame: Tensor) -> list[Tensor]:
    """The angle that the data know of the frame of a clip that looks like this one."""
    same = (data.pixels(torch.tensor([clip]))[0] / 255 == frame).flatten(1).all(1)
    angles = data.annotations()["frame_factors"][clip, :, 0]
    return list(angles[same])


def test_every_frame_is_a_clip_and_its_clip_a_group(table):
    shown = table.Frames(
        torch.zeros(2, 3, 1, 4, 4),
        torch.arange(6.0).view(2, 3, 1),
        10 + torch.arange(6.0).view(2, 3, 1),
        torch.tensor([[7], [8]]),
        20 + torch.arange(6.0).view(2, 3, 1),
        (("who",), ("what",)),
    )
    known = shown.known(grouped=True)
    assert known.static.tolist() == [[n] for n in range(6)]
    assert known.dynamic.tolist() == [[[10 + n]] for n in range(6)]
    assert known.sequence_factors.tolist() == [[7]] * 3 + [[8]] * 3
    assert known.frame_factors.tolist() == [[[20 + n]] for n in range(6)]
    assert known.groups.tolist() == [0, 0, 0, 1, 1, 1]
    assert shown.known(grouped=False).groups is None


def test_errors_are_of_the_right_codes(table, monkeypatch):
    """A decoder that writes content + pose, of clips whose frames are 10 x clip + place."""
    x = (torch.tensor([[0.0], [10.0], [20.0]]) + torch.arange(4.0)).view(3, 4, 1, 1, 1)
    monkeypatch.setattr(
        table,
        "decode_frames",
        lambda _, static, dynamic: (static.unsqueeze(-2) + dynamic)[..., None, None],
    )
    clip = torch.tensor([0.0, 10.0, 20.0]).view(3, 1, 1).expand(3, 4, 1)
    place = torch.arange(4.0).view(1, 4, 1).expand(3, 4, 1)
    shown = table.Frames(x, clip, place, torch.zeros(3, 1), None, ((), ()))
    found = table.frame_errors(SimpleNamespace(model=None), shown)
    assert found["own"] == 0
    assert found["other pose"] == 4  # the pose two places on
    assert found["other content"] == pytest.approx((10**2 + 10**2 + 20**2) / 3)
    # The content of the frame itself would be right about it; it is that of the frame before.
    own = 0.1 * place
    x, content = x + own[..., None, None], clip + own
    shown = table.Frames(x, content, place, torch.zeros(3, 1), None, ((), ()))
    found = table.frame_errors(SimpleNamespace(model=None), shown)
    assert found["own"] == pytest.approx((3 * 0.1**2 + 0.3**2) / 4, rel=1e-4)


def test_an_angle_is_told_by_frames_of_the_same_object(table):
    """Turns of two objects that begin opposite each other, asked about in the other order."""

    def turns(first_angle: float, objects: list[int]) -> Any:
        angles = torch.deg2rad(first_angle + 10 * torch.arange(36.0)).expand(2, 36)
        begun = angles + torch.pi * torch.tensor(objects).unsqueeze(1)
        pose = torch.stack([angles.cos(), angles.sin()], -1)
        dynamic = torch.stack([begun.cos(), begun.sin()], -1)
        x, static = torch.zeros(2, 36, 1, 2, 2), torch.zeros(2, 36, 3)
        content = torch.tensor(objects).unsqueeze(1)
        return table.Frames(x, static, dynamic, content, pose, (("who",), ("cosine", "sine")))

    found = table.told_by_object(turns(5, [0, 1]), turns(0, [1, 0]))
    assert found["dynamic"]["score"] > 0.99  # -0.99 or so by the other object
    assert found["dynamic"]["standard_error"] < 0.001
    assert found["static"]["score"] < 0
    assert found["x"]["score"] < 0


def test_every_setting_trains_a_pair(table):
    """Options are those that the method has; whether it trains is for the rows to say."""
    from unbraid.methods import DataSpec, load_method, read_options

    method = load_method("drnet")
    for setting in table.SETTINGS.values():
        for own in table.ROWS.values():
            options = read_options(method.options, {**setting.options, **own})
            assert method.build(options, DataSpec((3, 32, 32), "colour", 9, sequence_length=9))
