# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# pyright: reportMissingImports=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid.data import Batches, DataError, Turning, load

REAL = Path(os.environ.get("UNBRAID_DATA", ""), "coil20", "coil20_64x64.npz")
needs_file = pytest.mark.skipif(
    not REAL.is_file(), reason="UNBRAID_DATA names no folder with coil20/coil20_64x64.npz"
)
ANGLES = np.arange(0, 360, 5)


def parts(splits):
    return splits.train, splits.validation, splits.test


@pytest.fixture
def save(monkeypatch, tmp_path):
    """Save arrays as the file of turns; return noise, which it has unless told otherwise."""

    def put(**changes):
        images = np.random.default_rng(0).integers(0, 256, (20, 72, 64, 64)).astype(np.uint8)
        arrays = {"images": images, "angle_deg": ANGLES, **changes}
        path = tmp_path / "coil20" / "coil20_64x64.npz"
        path.parent.mkdir()
        np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
        monkeypatch.setenv("UNBRAID_DATA", str(tmp_path))
        return images

    return put


@needs_file
def test_neighbouring_frames_are_alike_all_around_the_turn():
    with np.load(REAL) as file:
        images = file["images"].astype(float)
    change = np.abs(images - np.roll(images, 1, axis=1)).mean((2, 3))
    half = np.abs(images - np.roll(images, 36, axis=1)).mean((2, 3))
    assert (change.mean(1) < half.mean(1)).all()
    splits = load("coil20")
    assert splits.train.shape == (1, 64, 64) and splits.train.kind == "grey"
    assert [len(part) for part in parts(splits)] == [80, 20, 20]


@pytest.mark.parametrize(("length", "per_object"), [(12, (4, 1, 1)), (7, (6, 2, 2))])
def test_every_object_is_in_every_part_and_no_frame_in_two(save, length, per_object):
    images, seen = save(), set()
    splits = load("coil20", seed=1, options={"length": length})
    for part, size in zip(parts(splits), per_object, strict=True):
        assert part.labels.bincount().tolist() == [size] * 20
        assert part.images.shape[1:] == (length, 1, 64, 64)
        assert part.frame_factor_names == ("angle",) and part.frame_factor_sizes == (0,)
        for clip, label, angles in zip(
            part.images, part.labels.tolist(), part.frame_factors[..., 0].tolist(), strict=True
        ):
            for image, angle in zip(clip, angles, strict=True):
                assert np.array_equal(image[0].numpy(), images[label, int(angle) // 5])
                seen.add((label, angle))
            assert angles == list(range(int(angles[0]), int(angles[0]) + 5 * length, 5))
    assert len(seen) == 20 * (72 // length) * length


def test_stretches_are_held_out_by_seed_for_every_object_on_its_own(save):
    save()
    one, again, other = (
        load("coil20", seed=seed).test.frame_factors[:, 0, 0] for seed in (0, 0, 1)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert len(one.unique()) > 2


def test_almost_every_angle_trains(save):
    save()
    for seed in range(5):
        assert len(load("coil20", seed=seed).train.frame_factors.unique()) == 72


def test_smaller_frames_are_means_over_areas(save):
    images = save().astype(float)
    train = load("coil20", options={"size": 16}).train
    means = images.reshape(20, 72, 16, 4, 16, 4).mean((3, 5))
    places = (train.frame_factors[..., 0] / 5).long()
    expected = means[train.labels[:, None].numpy(), places.numpy()]
    assert np.abs(train.images[:, :, 0].numpy() - expected).max() <= 0.5


def test_batches_of_frames_carry_their_angles(save):
    images = save()
    batch = Batches(load("coil20").train, 8, frames=5).batch(0)
    places = (batch["frame_factors"][..., 0] / 5).long()
    expected = images[batch["label"][:, None].numpy(), places.numpy()]
    assert np.array_equal(batch["x"][:, :, 0].mul(255).round().numpy(), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 128}, "size is 128; expected one of 64, 32, 16"),
        ({"length": 0}, "length is 0; expected an integer from 1 to 24"),
        ({"length": 72}, "length is 72; expected an integer from 1 to 24"),
    ],
)
def test_options_out_of_range_are_refused(save, options, message):
    save()
    with pytest.raises(DataError, match=message):
        load("coil20", options=options)


def test_without_the_file_it_is_said_what_it_must_hold(monkeypatch):
    monkeypatch.delenv("UNBRAID_DATA", raising=False)
    with pytest.raises(DataError) as caught:
        load("coil20")
    for part in (
        "coil20/coil20_64x64.npz is not in",
        "images, uint8 (20, 72, 64, 64) and angle_deg, int64 (72,)",
        "SLAM_coil-20_coil-100/coil-20/coil-20-proc.zip",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((20, 72, 128, 128), np.uint8)}, r"is uint8 \(20, 72, 128, 128\);"),
        ({"angle_deg": None}, r"angle_deg in .* is missing; expected an .npz file of images"),
        ({"angle_deg": ANGLES.astype(np.float32)}, r"angle_deg in .* is float32 \(72,\);"),
        ({"angle_deg": ANGLES[::-1]}, r"angle_deg\[0\] in .* is 355; expected 0. Sort the frames"),
        ({"angle_deg": ANGLES + (ANGLES == 355)}, r"angle_deg\[71\] in .* is 356; expected 355"),
    ],
)
def test_another_file_is_refused(save, changes, message):
    save(**changes)
    with pytest.raises(DataError, match=message):
        load("coil20")


def test_a_damaged_file_is_refused(save, tmp_path):
    save()
    path = tmp_path / "coil20" / "coil20_64x64.npz"
    content = bytearray(path.read_bytes())
    content[1_000_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is cut off or damaged \(Bad CRC"):
        load("coil20")


def test_whole_turns_hold_every_second_angle_out(save):
    """All objects train at odd multiples of 5 degrees, and are judged at the even ones."""
    images = save()
    splits = load("coil20", seed=3, options={"turns": True})
    assert [len(part) for part in parts(splits)] == [20, 4, 16]
    for part, first in zip(parts(splits), (5, 0, 0), strict=True):
        assert part.shape == (1, 64, 64) and part.images.shape[1] == 36
        assert part.frame_factors[..., 0].tolist() == [list(range(first, 360, 10))] * len(part)
        for turn, label in zip(part.images, part.labels, strict=True):
            assert np.array_equal(turn[:, 0], images[label, first // 5 :: 2])
        Batches(part, 2, turning=Turning((1, 35), (2,)))
    judged = torch.cat([splits.validation.labels, splits.test.labels])
    assert sorted(judged.tolist()) == list(range(20))
    assert splits.train.label_names == splits.test.label_names
    other = load("coil20", seed=4, options={"turns": True}).validation.labels
    assert not torch.equal(other, splits.validation.labels)
    small = load("coil20", options={"turns": True, "size": 16}).train
    assert small.shape == (1, 16, 16)
