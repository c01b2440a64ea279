# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# pyright: reportMissingImports=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat

from unbraid.data import DataError, load
from unbraid.data import frey as module
from unbraid.data.download import Remote

REAL = Path(os.environ.get("UNBRAID_DATA", ""), "frey_face", "frey_rawface.mat")
needs_file = pytest.mark.skipif(
    not REAL.is_file(), reason="UNBRAID_DATA names no folder with frey_face/frey_rawface.mat"
)


@needs_file
def test_the_sequences_are_the_video_between_34_cuts():
    video = loadmat(REAL)["ff"].T.reshape(1965, 28, 20)
    splits = load("frey-faces")
    found = {}
    for part in (splits.train, splits.validation, splits.test):
        assert part.shape == (1, 28, 20) and part.images.shape[1] == 246
        for images, length in zip(part.images.numpy(), part.lengths.tolist(), strict=True):
            assert not images[length:].any(), "padding is not black"
            found[images[:length].tobytes()] = length
    starts, place = [], 0
    while place < 1965:
        rest = video[place:].tobytes()
        sequence = next(piece for piece in found if rest.startswith(piece))
        place += found.pop(sequence)
        starts.append(place)
    assert not found and len(starts) == 35 and place == 1965
    changes = [np.abs(video[t] - video[t - 1].astype(float)).mean() for t in range(1, 1965)]
    assert starts[:-1] == [t for t, change in enumerate(changes, start=1) if change > 25]


@needs_file
@pytest.mark.parametrize("seed", range(8))
def test_held_out_parts_have_a_tenth_of_the_frames(seed):
    splits = load("frey-faces", seed=seed)
    for part in (splits.validation, splits.test):
        frames, longest = int(part.lengths.sum()), int(part.lengths.max())
        assert 196.5 <= frames < 196.5 + longest
    assert splits.train.lengths.sum() > 1000
    again, other = load("frey-faces", seed=seed), load("frey-faces", seed=seed + 1)
    assert torch.equal(splits.test.images, again.test.images)
    assert not torch.equal(splits.test.lengths, other.test.lengths)


@needs_file
def test_short_sequences_can_be_left_out():
    splits = load("frey-faces", options={"shortest": "20"})
    lengths = [part.lengths for part in (splits.train, splits.validation, splits.test)]
    assert torch.cat(lengths).min() >= 20 and len(torch.cat(lengths)) == 18
    most = load("frey-faces", options={"shortest": 85})
    assert min(len(part) for part in (most.train, most.validation, most.test)) >= 1


@needs_file
@pytest.mark.parametrize("shortest", [0, 86, 1965])
def test_lengths_that_leave_too_few_are_refused(shortest):
    with pytest.raises(
        DataError, match=f"shortest is {shortest}; expected an integer from 1 to 85"
    ):
        load("frey-faces", options={"shortest": shortest})


def test_cuts_are_where_the_mean_change_exceeds_25():
    frames = torch.full((7, 4, 5), 100, dtype=torch.uint8)
    frames[2:] += 25  # not above
    frames[4:] -= 26
    frames[6, :2] += 51  # half the pixels: 25.5 in the mean
    assert module.find_cuts(frames) == [4, 6]


def test_a_video_without_motion_has_no_cuts():
    assert module.find_cuts(torch.zeros(5, 4, 5, dtype=torch.uint8)) == []


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Give out the content of a file as the published one."""

    def put(content):
        path = tmp_path / "data" / "frey_face" / "frey_rawface.mat"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        monkeypatch.setenv("UNBRAID_DATA", str(tmp_path / "data"))
        checksum = f"md5:{hashlib.md5(content).hexdigest()}"
        remote = Remote("frey_face/frey_rawface.mat", "http://localhost/file.mat", checksum)
        monkeypatch.setattr(module, "_FILE", remote)

    return put


def matlab(tmp_path, **content):
    savemat(tmp_path / "saved.mat", content)
    return (tmp_path / "saved.mat").read_bytes()


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_frames_are_columns_as_scipy_writes_them(publish, tmp_path):
    array = noise(560, 1965)
    publish(matlab(tmp_path, ff=array))
    frames = module._read(tmp_path / "data" / "frey_face" / "frey_rawface.mat")
    assert np.array_equal(frames.numpy(), array.T.reshape(1965, 28, 20))
    assert frames[3, 2, 5] == array[2 * 20 + 5, 3]


@pytest.mark.parametrize(
    "content",
    [
        {"ff": noise(1965, 560)},
        {"ff": noise(560, 1964)},
        {"ff": noise(560, 1965).astype(np.int8)},
        {"ff": noise(560, 1965).astype(np.float32)},
        {"gg": noise(560, 1965)},
        {"ff": noise(560, 1965), "more": np.zeros(3)},
        {"ff": np.array([{"a": 1}], dtype=object)},
        {},
    ],
)
def test_another_matlab_file_is_refused(publish, tmp_path, content):
    publish(matlab(tmp_path, **content))
    with pytest.raises(DataError, match=r"is another or damaged; expected a MATLAB 5 file of"):
        load("frey-faces")


@pytest.mark.parametrize("size", [0, 3, 127, 183, 184, 1_100_583])
def test_a_cut_off_file_is_refused(publish, tmp_path, size):
    publish(matlab(tmp_path, ff=noise(560, 1965))[:size])
    with pytest.raises(DataError, match=f"of {size} bytes is another or damaged"):
        load("frey-faces")


@pytest.mark.parametrize("place", [0, *range(128, 184, 4)])
def test_a_damaged_header_is_refused(publish, tmp_path, place):
    content = bytearray(matlab(tmp_path, ff=noise(560, 1965)))
    content[place] ^= 0x40
    publish(bytes(content))
    with pytest.raises(DataError, match="is another or damaged"):
        load("frey-faces")


def test_the_wrong_file_is_refused_by_its_checksum(monkeypatch, tmp_path):
    path = tmp_path / "frey_face" / "frey_rawface.mat"
    path.parent.mkdir()
    path.write_bytes(matlab(tmp_path, ff=noise(560, 1965)))
    monkeypatch.setenv("UNBRAID_DATA", str(tmp_path))
    with pytest.raises(DataError, match="expected md5:5aeb024d42b8a6091f30e5eb18c8a48d"):
        load("frey-faces")
