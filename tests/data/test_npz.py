# pyright: reportMissingImports=false, reportOptionalMemberAccess=false
import io
import struct
import warnings
import zipfile

import numpy as np
import pytest
import torch

from unbraid.data import DataError, DataWarning, load
from unbraid.data.user_arrays import read_npz

GREY = np.random.default_rng(0).integers(0, 256, (12, 9, 11), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (12, 9, 11, 3), np.uint8)
CLIPS = np.random.default_rng(2).integers(0, 256, (6, 4, 9, 11), np.uint8)


@pytest.fixture
def write(tmp_path):
    def save(**arrays):
        np.savez_compressed(tmp_path / "mine.npz", **arrays)
        return tmp_path / "mine.npz"

    return save


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
        (np.asfortranarray(GREY), GREY[:, None]),
    ],
)
def test_layouts_of_images(write, array, expected):
    data = read_npz(write(images=array))
    assert data.name == "mine" and np.array_equal(data.images.numpy(), expected)


@pytest.mark.parametrize("layout", [CLIPS, CLIPS[:, :, None], CLIPS[..., None]])
def test_layouts_of_sequences(write, layout):
    lengths = np.array([4, 3, 1, 4, 2, 4], np.int32)
    data = read_npz(write(sequences=layout, lengths=lengths))
    assert data.is_sequence and np.array_equal(data.images.numpy(), CLIPS[:, :, None])
    assert data.lengths.tolist() == lengths.tolist()


@pytest.mark.parametrize(
    "pixels", [GREY.astype(np.float32) / 255, GREY / 255, GREY.astype(np.int64), GREY]
)
def test_pixels_of_any_exact_kind_become_the_same_bytes(write, pixels):
    assert np.array_equal(read_npz(write(images=pixels)).images[:, 0].numpy(), GREY)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32, np.int32])
def test_zeros_and_ones_are_black_and_white(write, dtype):
    mask = GREY > 127
    data = read_npz(write(images=mask.astype(dtype)))
    assert data.kind == "binary" and np.array_equal(data.images[:, 0].numpy(), mask * 255)


def test_rounding_to_8_bits_is_said(write):
    fine = np.linspace(0, 1, 12 * 9 * 11).reshape(12, 9, 11)
    with pytest.warns(DataWarning, match=r"rounded to 8 bits; the largest change is 0\.002"):
        data = read_npz(write(images=fine))
    assert np.array_equal(data.images[:, 0].numpy(), np.rint(fine * 255))


def test_what_is_known_about_the_data_is_read(write):
    factors = np.stack([np.arange(12) % 3 * 5, np.arange(12)], axis=1)
    data = read_npz(
        write(
            images=GREY,
            labels=np.arange(12) % 4,
            factors=factors,
            factor_names=np.array(["angle", "place"]),
            groups=np.array(["ann", "bob", "cy"] * 4),
        )
    )
    assert data.labels.tolist() == [0, 1, 2, 3] * 3
    assert data.factors.tolist() == [[k % 3, k] for k in range(12)]
    assert data.factor_names == ("angle", "place") and data.factor_sizes == (3, 12)
    assert data.groups.tolist() == [0, 1, 2] * 4


def test_continuous_factors_stay_so(write):
    values = np.random.default_rng(0).normal(size=(12, 2))
    data = read_npz(write(images=GREY, factors=values))
    assert data.factors.dtype == torch.float32 and data.factor_sizes == (0, 0)
    assert np.array_equal(data.factors.numpy(), values.astype(np.float32))


def test_labels_may_be_words(write):
    data = read_npz(write(images=GREY, labels=np.array(["dog", "cat", "eel"] * 4)))
    assert data.label_names == ("cat", "dog", "eel") and data.labels[:3].tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("labels", "classes", "names"),
    [
        (np.array([-1, 2, -1] * 4, np.int16), [-1, 2, -1], ("0", "1", "2")),
        (np.array(["", "dog", "cat", "dog"] * 3), [-1, 1, 0, 1], ("cat", "dog")),
        (np.array([""] * 12), [-1], ()),
    ],
)
def test_labels_may_be_unknown(write, labels, classes, names):
    data = read_npz(write(images=GREY, labels=labels))
    assert data.labels[: len(classes)].tolist() == classes and data.label_names == names


def test_unknown_keys_are_said(write):
    with pytest.warns(DataWarning, match=r"keys lables of .*mine.npz are not used; known keys"):
        read_npz(write(images=GREY, lables=np.arange(12)))


def with_bad(value):
    images = GREY / 255
    images[7, 3, 4:6] = value
    return images


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": with_bad(np.nan)}, r"images\[7\] in .* has 2 NaN or infinite of 99 values"),
        ({"images": with_bad(-np.inf)}, r"images\[7\] in .* has 2 NaN or infinite of 99 values"),
        ({"images": GREY.astype(float)}, r"range of images .* is \[0, 255\]; .*Divide by 255"),
        ({"images": GREY / 127.5 - 1}, r"range of images .* is \[-1, 1\]; expected \[0, 1\]"),
        ({"images": with_bad(1e30)}, r"range of images .*1e\+30\]; .*Rescale them"),
        ({"images": GREY.astype(int) + 1}, r"\[1, 256\]; expected \[0, 255\]"),
        ({"images": GREY.astype(complex)}, "dtype of images .* is complex128; expected bool"),
        ({"images": GREY.astype("U3")}, "dtype of images .* is <U3; expected bool"),
        (
            {"images": GREY.reshape(12, 99)},
            r"is \(12, 99\); expected.*array.reshape\(N, H, W\)",
        ),
        ({"images": GREY[:, :3, :, None][..., [0, 0, 0]]}, "could be either of the last two"),
        ({"images": COLOUR[..., :2]}, r"\(12, 9, 11, 2\); .* is none of these. Give it exactly"),
        ({"images": COLOUR[..., [0, 1, 2, 2]]}, r"\(12, 9, 11, 4\); .* If a fourth channel says"),
        ({"sequences": GREY}, r"shape of sequences .*; expected \(S, T, H, W\).* call them"),
        ({"images": GREY[:0]}, "no axis of length 0"),
        ({"images": GREY[:, :0]}, "no axis of length 0"),
        ({"pictures": GREY}, "keys of .* are pictures; expected either images .*images=x"),
        (
            {"images": GREY, "sequences": CLIPS},
            "images or sequences. Leave one of them out",
        ),
        ({"images": GREY, "labels": np.ones(12)}, "labels in .* are float64.* Number classes"),
        ({"images": GREY, "labels": np.eye(12)}, "labels in .* are float64 .*argmax"),
        ({"images": GREY, "labels": np.ones((12, 1), int)}, r"shape \(12, 1\); .*labels\[:, 0\]"),
        ({"images": CLIPS}, "Give it exactly .* If these are sequences, call them sequences"),
        ({"images": GREY, "labels": np.arange(11)}, "number of labels of mine is 11; expected 12"),
        ({"images": GREY, "labels": np.arange(12) - 3}, r"labels\[0\] of mine is -3; expected"),
        ({"images": GREY, "labels": np.arange(12) * 50}, "largest of 12 labels .* is 550"),
        ({"images": GREY, "factors": np.arange(12)}, r"factors in .* of shape \(12,\); expected"),
        ({"images": GREY, "factors": np.full((12, 2), np.nan)}, r"factors\[0\] in .* has 2 NaN"),
        ({"images": GREY, "groups": np.ones(12)}, "groups in .* are float64"),
        ({"images": GREY, "lengths": np.ones(12, int)}, "lengths of mine are given for images"),
    ],
)
def test_bad_arrays_are_named(write, arrays, message):
    with pytest.raises(DataError, match=message):
        read_npz(write(**arrays))


def test_a_bad_row_is_named_however_far_down_it_is(write):
    images = np.zeros((700, 64, 65), np.float16)
    images[650, 1, 2] = np.inf
    with pytest.raises(DataError, match=r"images\[650\] in .* has 1 NaN or infinite of 4160"):
        read_npz(write(images=images))


def test_objects_are_refused_unread(write):
    arrays = {"images": np.array([GREY, "text"], dtype=object)}
    with pytest.raises(DataError, match=r"dtype of images in .* is object; .* pickle.* refused"):
        read_npz(write(**arrays))


@pytest.mark.parametrize("keep", [0, 40, 300, -30])
def test_cut_off_archives_are_named(write, keep):
    path = write(images=GREY)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"mine.npz is cut off or damaged .* at \d+ bytes"):
        read_npz(path)


def test_flipped_bytes_are_found(write):
    path = write(images=GREY)
    data = bytearray(path.read_bytes())
    data[500:510] = bytes(10)
    path.write_bytes(data)
    with pytest.raises(DataError, match="is cut off or damaged"):
        read_npz(path)


def header(shape, dtype="|u1"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zipped(path, body):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", body)
    return path


def test_a_header_that_claims_tebibytes_is_not_believed(tmp_path):
    path = zipped(tmp_path / "bomb.npz", header((10**6, 1000, 1000), "<f4") + bytes(64))
    with pytest.raises(DataError, match=r"is 64 bytes; expected 4000000000000 for the shape"):
        read_npz(path)


def test_negative_sides_are_refused(tmp_path):
    path = zipped(tmp_path / "odd.npz", header((-2, -3, 4)) + bytes(24))
    with pytest.raises(DataError, match=r"is 24 bytes; expected 24 for the shape \(-2, -3, 4\)"):
        read_npz(path)


def test_an_archive_that_unpacks_to_more_than_is_allowed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_MAX_GIB", "0.001")
    path = zipped(tmp_path / "bomb.npz", header((2000, 32, 32)) + bytes(2000 * 32 * 32))
    assert path.stat().st_size < 10_000
    with pytest.raises(
        DataError, match=r"declares is 2048.* bytes; expected at most 1073741. Set"
    ):
        read_npz(path)


@pytest.mark.parametrize("value", ["much", "-1", "nan"])
def test_a_limit_that_is_no_number_is_named(write, monkeypatch, value):
    monkeypatch.setenv("UNBRAID_MAX_GIB", value)
    with pytest.raises(ValueError, match=f"UNBRAID_MAX_GIB is '{value}'; expected a positive"):
        read_npz(write(images=GREY))


def test_a_damaged_header_is_named(tmp_path):
    path = zipped(tmp_path / "odd.npz", b"no array at all")
    with pytest.raises(DataError, match=r"header of images in .*odd.npz is damaged"):
        read_npz(path)


def test_loading_splits_by_group_and_stays_silent_on_sound_data(write):
    path = write(images=GREY, groups=np.arange(12) // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits = load(path, seed=1)
    parts = [set(part.groups.tolist()) for part in (splits.train, splits.validation, splits.test)]
    assert sorted(group for part in parts for group in part) == list(range(6))


def test_plain_arrays_in_memory_are_not_shared_with_the_file(write):
    path = write(images=GREY)
    read_npz(path).images.zero_()
    assert np.array_equal(np.load(io.BytesIO(path.read_bytes()))["images"], GREY)


WALK = np.array(["walk 2", "walk 10", "walk 2"] * 4)


@pytest.mark.parametrize("ids", [WALK, np.array([7, 3, 7] * 4, np.int32)])
def test_images_with_ids_are_sequences(write, ids):
    data = read_npz(write(images=COLOUR, sequence_ids=ids, labels=np.array([1, 0, 1] * 4)))
    expected = COLOUR.transpose(0, 3, 1, 2)
    assert data.images.shape == (2, 8, 3, 9, 11) and data.labels.tolist() == [1, 0]
    assert np.array_equal(data.images[0].numpy(), np.delete(expected, [1, 4, 7, 10], 0))
    assert np.array_equal(data.images[1, :4].numpy(), expected[1::3])
    assert data.lengths.tolist() == [8, 4] and not data.images[1, 4:].any()


def test_factors_of_frames_go_with_their_images(write):
    values = np.arange(24).reshape(12, 2) * 10
    names = np.array(["angle", "place"])
    data = read_npz(
        write(
            images=GREY,
            sequence_ids=WALK,
            frame_factors=values,
            frame_factor_names=names,
            factors=np.array([[2], [5], [2]] * 4),
        )
    )
    assert data.factors.tolist() == [[0], [1]] and data.factor_sizes == (2,)
    assert data.frame_factor_names == ("angle", "place") and data.frame_factor_sizes == (12, 12)
    assert data.frame_factors[1, :, 0].tolist() == [1, 4, 7, 10, 0, 0, 0, 0]


def test_factors_of_frames_of_padded_sequences(write):
    values = np.random.default_rng(3).normal(size=(6, 4, 2))
    values[2, 1:] = np.nan
    lengths = np.array([4, 4, 1, 4, 4, 4])
    data = read_npz(write(sequences=CLIPS, lengths=lengths, frame_factors=values))
    expected = np.nan_to_num(values).astype(np.float32)
    assert np.array_equal(data.frame_factors.numpy(), expected)
    assert data.frame_factor_sizes == (0, 0)


def test_classes_of_padding_are_not_counted(write):
    values = np.array([[[5], [9], [5], [9]]] * 6)
    values[2, 1:] = -1
    lengths = np.array([4, 4, 1, 4, 4, 4])
    data = read_npz(write(sequences=CLIPS, lengths=lengths, frame_factors=values))
    assert data.frame_factor_sizes == (2,)
    assert data.frame_factors[1:3, :, 0].tolist() == [[0, 1, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"sequences": CLIPS, "sequence_ids": np.arange(6)}, "sequence_ids without sequences"),
        (
            {"images": GREY, "sequence_ids": WALK, "lengths": np.ones(2, int)},
            "sequence_ids without lengths, which are counted",
        ),
        ({"images": GREY, "frame_factors": np.ones((12, 1))}, "expected frame_factors beside"),
        (
            {"images": GREY, "sequence_ids": WALK[:7]},
            "number of sequence_ids in .*npz is 7; expected 12",
        ),
        (
            {"images": GREY, "sequence_ids": np.linspace(0, 1, 12)},
            "sequence_ids in .*npz are float64 of shape",
        ),
        (
            {"images": GREY, "sequence_ids": WALK, "labels": np.arange(12)},
            "labels of mine in the sequence walk 2 are 0 and 2; expected one",
        ),
        (
            {
                "images": GREY,
                "sequence_ids": WALK,
                "factors": np.arange(12)[:, None],
                "frame_factors": np.ones((12, 1)),
            },
            "factors in .*npz that change within a sequence are factor 0; expected none beside",
        ),
        (
            {"images": GREY, "sequence_ids": WALK, "frame_factors": np.ones((2, 8, 1))},
            r"shape of frame_factors in .*npz is \(2, 8, 1\); expected \(12, G\)",
        ),
        (
            {"sequences": CLIPS, "frame_factors": np.ones((6, 3, 1))},
            r"shape of frame_factors in .*npz is \(6, 3, 1\); expected \(6, 4, G\)",
        ),
        (
            {"sequences": CLIPS, "frame_factors": np.full((6, 4, 1), np.inf)},
            r"frame_factors\[0\] in .*npz has 1 NaN or infinite",
        ),
        (
            {"sequences": CLIPS, "frame_factors": np.full((6, 4, 1), "left")},
            "frame_factors in .*npz are <U4 of shape",
        ),
    ],
)
def test_bad_keys_of_sequences_are_named(write, arrays, message):
    with pytest.raises(DataError, match=message):
        read_npz(write(**arrays))


def test_ragged_objects_are_refused_with_two_ways_out(write):
    ragged = np.empty(2, object)
    ragged[:] = [CLIPS[0, :3], CLIPS[0, :2]]
    with pytest.raises(DataError, match=r"refused. Pad all .* as lengths, or .* sequence_ids"):
        read_npz(write(sequences=ragged))
