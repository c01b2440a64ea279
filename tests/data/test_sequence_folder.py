# pyright: reportMissingImports=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unbraid.data import DataError, DataWarning, describe, load
from unbraid.data.films import natural
from unbraid.data.own_films import read_own_folder
from unbraid.data.sequence_options import SequenceOptions

RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (12, 8, 10), np.uint8)
COLOUR = RNG.integers(0, 256, (12, 8, 10, 3), np.uint8)


def save(folder, images, name="frame{}.png"):
    folder.mkdir(parents=True, exist_ok=True)
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / name.format(k))
    return folder


def read(folder, **options):
    return read_own_folder(folder, SequenceOptions(sequences=True, **options))


@pytest.fixture
def clips(tmp_path):
    """Clips of 12, 3, 5 and 12 frames."""
    for name, images in zip(
        ("clip1", "clip2", "clip10", "clip11"),
        (FRAMES, FRAMES[:3], FRAMES[3:8], FRAMES[::-1]),
        strict=True,
    ):
        save(tmp_path / "mine" / name, images)
    return tmp_path / "mine"


@pytest.fixture
def walks(tmp_path):
    """Two clips of each of three people, of four frames."""
    for k, where in enumerate(("cy/a", "ann/b", "ann/a", "bob/x/1", "bob/x/2", "cy/b")):
        save(tmp_path / where, FRAMES[k : k + 4])
    return tmp_path


def test_folders_of_frames_are_ragged_sequences_in_natural_order(clips):
    data = read(clips)
    assert data.images.shape == (4, 12, 1, 8, 10) and data.lengths.tolist() == [12, 3, 5, 12]
    assert data.labels is None and data.groups is None and data.name == "mine"
    for row, frames in enumerate((FRAMES, FRAMES[:3], FRAMES[3:8], FRAMES[::-1])):
        assert np.array_equal(data.images[row, : len(frames), 0].numpy(), frames)
        assert not data.images[row, len(frames) :].any()


def test_they_are_described_by_their_lengths(clips):
    assert describe(read(clips)) == "mine: 4 sequences, 3 to 12 frames of 1x8x10, grey"


def test_numbers_are_sorted_as_numbers():
    names = ["f10.png", "f2.png", "f02.png", "10", "9b", "9a", "f.png", "f2x1", "g\u0661"]
    expected = ["9a", "9b", "10", "f02.png", "f2.png", "f2x1", "f10.png", "f.png", "g\u0661"]
    assert [str(path) for path in sorted(map(Path, names), key=natural)] == expected


def test_folders_that_differ_in_zeros_alone_stay_apart(tmp_path):
    for k, name in enumerate(("clip1", "clip01", "clip2", "clip3")):
        save(tmp_path / name, FRAMES[k : k + 3])
    found = read(tmp_path).images[:, :, 0].numpy()
    assert np.array_equal(found, np.stack([FRAMES[k : k + 3] for k in (1, 0, 2, 3)]))


def test_the_first_of_two_levels_is_the_label(walks):
    data = read(walks)
    assert data.label_names == ("ann", "bob", "cy")
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.lengths is None and data.groups is None
    expected = np.stack([FRAMES[k : k + 4] for k in (2, 1, 3, 4, 0, 5)])
    assert np.array_equal(data.images[:, :, 0].numpy(), expected)


def test_identities_stay_in_one_part(walks):
    splits = load(walks, seed=3, options={"sequences": True, "identities": True})
    parts = [set(part.groups.tolist()) for part in (splits.train, splits.validation, splits.test)]
    assert sorted(group for part in parts for group in part) == [0, 1, 2]


def test_options_may_be_text(clips):
    given = {"sequences": "true", "every": "2", "size": "4,5", "length": "none"}
    splits = load(clips, options=given)
    assert splits.train.shape == (1, 4, 5) and splits.train.images.shape[1] == 6


@pytest.mark.filterwarnings("ignore:. of the 3 test data")
def test_without_the_option_folders_are_labels(clips):
    splits = load(clips)
    assert not splits.train.is_sequence
    assert splits.train.label_names == ("clip1", "clip10", "clip11", "clip2")


def test_stretches_of_a_folder_stay_in_one_part(clips):
    with pytest.warns(DataWarning, match="2 frames at the ends of 1 of the 4 films are left out"):
        data = read(clips, length=3)
    assert data.images.shape == (10, 3, 1, 8, 10) and data.lengths is None
    assert data.groups.tolist() == [0] * 4 + [1] + [2] + [3] * 4
    assert np.array_equal(data.images[:4, :, 0].numpy(), FRAMES.reshape(4, 3, 8, 10))
    assert np.array_equal(data.images[5, :, 0].numpy(), FRAMES[3:6])


def test_stretches_carry_the_label_of_their_folder(walks):
    data = read(walks, length=2)
    assert data.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert data.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert read(walks, length=2, identities=True).groups.tolist() == data.labels.tolist()


def test_one_folder_of_frames_is_cut_into_stretches(tmp_path):
    with pytest.warns(DataWarning, match="is 1; every one is trained on and tested on"):
        data = read(save(tmp_path / "walk", FRAMES), length=3)
    assert data.images.shape[:2] == (4, 3) and data.groups is None and data.name == "walk"


@pytest.mark.filterwarnings("ignore:2 of the 4 sequences in")
def test_every_nth_frame_is_kept_from_the_first_on(clips):
    data = read(clips, every=5)
    assert data.lengths.tolist() == [3, 1, 1, 3]
    assert np.array_equal(data.images[0, :, 0].numpy(), FRAMES[::5])


def test_smaller_frames_are_means_over_areas(tmp_path):
    for k in range(4):
        save(tmp_path / f"{k}", COLOUR[k : k + 2] // 4 * 4)
    data = read(tmp_path, size=(4, 5))
    means = (COLOUR[:2] // 4 * 4).reshape(2, 4, 2, 5, 2, 3).mean((2, 4)).transpose(0, 3, 1, 2)
    assert data.shape == (3, 4, 5)
    assert np.abs(data.images[0].numpy() - means).max() <= 0.5 + 1e-6


def test_larger_frames_are_interpolated(tmp_path):
    ramp = np.tile(np.arange(0, 100, 10, dtype=np.uint8), (8, 1))
    for k in range(4):
        save(tmp_path / f"{k}", [ramp, ramp])
    wide = read(tmp_path, size=(16, 20)).images[0, 0, 0].numpy()
    # Pixel k is centred at k + 1/2, so doubling asks at quarters between the old centres.
    expected = np.interp((np.arange(20) + 0.5) / 2, np.arange(10) + 0.5, ramp[0])
    assert np.abs(wide - expected).max() <= 0.5


def test_mixed_sizes_are_brought_to_one(tmp_path):
    for k in range(4):
        save(tmp_path / f"{k}", [FRAMES[k], FRAMES[k, :6, :7]])
    assert read(tmp_path, size=(8,)).shape == (1, 8, 8)
    with pytest.raises(
        DataError, match=r"size of .*frame1.png is 7 x 6 .*; expected 10 x 8, as of"
    ):
        read(tmp_path)


def test_colours_become_grey(tmp_path):
    for k in range(4):
        save(tmp_path / f"{k}", [COLOUR[k], FRAMES[k]])
    data = read(tmp_path, grey=True)
    expected = np.asarray(Image.fromarray(COLOUR[2]).convert("L"))
    assert data.shape == (1, 8, 10) and np.array_equal(data.images[2, 0, 0].numpy(), expected)
    with pytest.raises(DataError, match=r"are 4 L .*, 4 RGB .*; expected all grey"):
        read(tmp_path)


def test_other_files_beside_the_frames_are_counted(clips):
    (clips / "clip1" / "sound.wav").write_bytes(b"RIFF")
    (clips / ".DS_Store").write_bytes(b"")
    with pytest.warns(DataWarning, match="2 files of .*mine are left out"):
        assert len(read(clips)) == 4


def test_single_frames_are_counted(clips):
    save(clips / "clip3", FRAMES[:1])
    with pytest.warns(DataWarning, match="1 of the 5 sequences in .*mine has one frame only"):
        assert read(clips).lengths.tolist() == [12, 3, 1, 5, 12]


def refuse(folder, message, **options):
    with pytest.raises(DataError, match=message):
        read(folder, **options)


def test_images_that_are_no_sequences_are_refused(tmp_path):
    for k in range(4):
        save(tmp_path / f"{k}", FRAMES[k : k + 1])
    refuse(tmp_path, "number of frames of every sequence in .* is 1; expected at least 2 in some")


def test_an_empty_folder_is_refused(tmp_path):
    refuse(tmp_path, "number of images in .* is 0; expected folders of frames, which are of png")


def test_frames_beside_a_folder_of_frames_are_refused(clips):
    save(clips / "clip1" / "deep", FRAMES[:2])
    refuse(clips, "number of frames beside the folder .*deep in .*clip1 is 12; expected 0")


def test_clips_beside_labels_are_refused(clips):
    save(clips / "walk" / "clip1", FRAMES[:2])
    refuse(clips, "number of films beside the subfolders of .*mine is 4 of 5; expected all")


def test_few_sequences_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("unbraid.data.own_films.read_image", None)
    save(tmp_path / "a", FRAMES)
    save(tmp_path / "b", FRAMES)
    refuse(tmp_path, "number of sequences in .* is 2; expected at least 4.* set the option length")


def test_few_stretches_are_refused(tmp_path):
    message = "number of sequences in .* is 3; expected at least 4.* choose a smaller length"
    refuse(save(tmp_path, FRAMES), message, length=4)


def test_a_clip_that_is_too_short_is_named(clips):
    refuse(clips, "number of frames of .*clip2 is 3; expected at least 4. Choose", length=4)


def test_identities_need_subfolders(clips):
    refuse(clips, "subfolders that name identities in .* is 0; expected at", identities=True)


def test_a_damaged_frame_is_named(clips):
    path = clips / "clip10" / "frame2.png"
    path.write_bytes(path.read_bytes()[:60])
    refuse(clips, "clip10/frame2.png is (cut off or damaged|not an image)")


def test_what_frames_declare_is_checked_before_they_are_read(clips, monkeypatch):
    monkeypatch.setenv("UNBRAID_MAX_GIB", "0.000002")
    monkeypatch.setattr("unbraid.data.own_films.read_image", None)
    # Four sequences, padded to 12 frames of 80 bytes; and ten stretches of three.
    refuse(clips, "mine declares is 3840 bytes; expected at most 2147")
    refuse(clips, "mine declares is 2400 bytes; expected at most 2147", length=3)
    with pytest.raises(TypeError, match="not callable"):  # half of them would be read
        read(clips, every=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 1}, "length is 1; expected at least 2"),
        ({"every": 0}, "every is 0; expected at least 1"),
        ({"every": -2}, "every is -2; expected at least 1"),
        ({"size": (0, 4)}, "size is 0,4; expected height,width or one number"),
        ({"size": (3, 4, 5)}, "size is 3,4,5; expected height,width or one number"),
        ({"sequence": True}, "option of .* is 'sequence'; expected one of .* mean sequences"),
    ],
)
def test_options_out_of_range_are_named(clips, options, message):
    with pytest.raises(DataError, match=message):
        load(clips, options={"sequences": True, **options})


def test_options_of_films_are_refused_for_images(clips, tmp_path):
    with pytest.raises(DataError, match="mine, a folder of images are length, grey; expected"):
        load(clips, options={"length": 3, "grey": True})
    np.savez(tmp_path / "mine.npz", images=FRAMES)
    with pytest.raises(DataError, match=r"options of .*mine.npz are every; expected none"):
        load(tmp_path / "mine.npz", options={"every": 3})
