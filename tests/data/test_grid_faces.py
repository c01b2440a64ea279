# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# pyright: reportMissingImports=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid.data import DataError, load

REAL = Path(os.environ.get("UNBRAID_DATA", ""), "grid_faces", "grid10_64x64_rgb.npz")
needs_file = pytest.mark.skipif(
    not REAL.is_file(), reason="UNBRAID_DATA names no folder with grid_faces/grid10_64x64_rgb.npz"
)
NAMES = tuple("abcdefghij")


def parts(splits):
    return splits.train, splits.validation, splits.test


@pytest.fixture
def save(monkeypatch, tmp_path):
    """Save arrays as the file of faces; return noise, which it has unless told otherwise."""

    def put(**changes):
        videos = np.random.default_rng(0).integers(0, 256, (10, 75, 64, 64, 3)).astype(np.uint8)
        arrays = {"videos": videos, "names": np.array(NAMES), **changes}
        path = tmp_path / "grid_faces" / "grid10_64x64_rgb.npz"
        path.parent.mkdir()
        np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
        monkeypatch.setenv("UNBRAID_DATA", str(tmp_path))
        return videos

    return put


@needs_file
def test_the_faces_are_ten_people():
    splits = load("grid-faces")
    for part, size in zip(parts(splits), (30, 10, 10), strict=True):
        assert len(part) == size and part.images.shape[1:] == (15, 3, 64, 64)
        assert part.labels.bincount().tolist() == [size // 10] * 10
    assert len(set(splits.train.label_names)) == 10 and splits.train.kind == "colour"
    # Frames of one person are more alike than those of different people.
    mean = splits.train.images.double().mean(1).flatten(1)
    other = splits.test.images.double().mean(1).flatten(1)
    assert torch.equal(splits.train.labels[torch.cdist(other, mean).argmin(1)], splits.test.labels)


def test_the_last_stretch_of_every_video_tests(save):
    videos = np.moveaxis(save(), -1, -3)
    splits = load("grid-faces", seed=3)
    assert splits.train.label_names == NAMES
    for person in range(10):
        train, validation, test = (part.images[part.labels == person] for part in parts(splits))
        assert np.array_equal(train.flatten(0, 1).numpy(), videos[person, :45])
        assert np.array_equal(validation.flatten(0, 1).numpy(), videos[person, 45:60])
        assert np.array_equal(test.flatten(0, 1).numpy(), videos[person, 60:])


def test_the_length_says_how_many_stretches_there_are(save):
    videos = np.moveaxis(save(), -1, -3)
    splits = load("grid-faces", options={"length": 7})  # ten stretches, and five frames left over
    assert [len(part) for part in parts(splits)] == [60, 20, 20]
    assert np.array_equal(splits.test.images[3].numpy(), videos[1, 63:70])
    assert [len(part) for part in parts(load("grid-faces", options={"length": 25}))] == [10] * 3


def test_smaller_frames_are_means_over_areas(save):
    videos = np.moveaxis(save(), -1, -3).astype(float)
    test = load("grid-faces", options={"size": "32"}).test
    assert test.shape == (3, 32, 32)
    means = videos[:, 60:].reshape(10, 15, 3, 32, 2, 32, 2).mean((-3, -1))
    assert np.abs(test.images.numpy() - means).max() <= 0.5
    assert load("grid-faces", options={"size": 16}).test.shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 48}, "size is 48; expected one of 64, 32, 16"),
        ({"size": 0}, "size is 0; expected one of 64, 32, 16"),
        ({"length": 0}, "length is 0; expected an integer from 1 to 25"),
        ({"length": 26}, "length is 26; expected an integer from 1 to 25"),
    ],
)
def test_options_out_of_range_are_refused(save, options, message):
    save()
    with pytest.raises(DataError, match=message):
        load("grid-faces", options=options)


@pytest.mark.parametrize("folder", [None, "empty"])
def test_without_the_file_it_is_said_what_it_must_hold(monkeypatch, tmp_path, folder):
    monkeypatch.delenv("UNBRAID_DATA", raising=False)
    if folder:
        monkeypatch.setenv("UNBRAID_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        load("grid-faces")
    for part in (
        "grid_faces/grid10_64x64_rgb.npz is not in",
        "videos, uint8 (10, 75, 64, 64, 3) and names, text (10,)",
        "https://doi.org/10.5281/zenodo.3625687",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"videos": np.zeros((10, 75, 3, 64, 64), np.uint8)}, r"is uint8 \(10, 75, 3, 64, 64\);"),
        ({"videos": np.zeros((10, 75, 64, 64, 3))}, r"is float64 \(10, 75, 64, 64, 3\); expected"),
        ({"videos": None}, "videos in .* is missing; expected an .npz file of videos, uint8"),
        ({"names": np.arange(10)}, r"names in .* is int64 \(10,\); expected"),
        ({"names": np.array(NAMES[:9])}, r"names in .* is text \(9,\); expected"),
        ({"names": np.array(NAMES, object)}, "dtype of names in .* is object; expected numbers"),
    ],
)
def test_another_file_is_refused(save, changes, message):
    save(**changes)
    with pytest.raises(DataError, match=message):
        load("grid-faces")


def test_a_cut_off_file_is_refused(save, tmp_path):
    save()
    path = tmp_path / "grid_faces" / "grid10_64x64_rgb.npz"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataError, match="is cut off or damaged"):
        load("grid-faces")
