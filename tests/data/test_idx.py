# pyright: reportArgumentType=false, reportIndexIssue=false, reportMissingImports=false
import gzip
import struct

import numpy as np
import pytest

from unbraid.data import DataError, load
from unbraid.data.idx import read_idx

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 9, 11), np.uint8)
LABELS = np.arange(20, dtype=np.uint8) % 4


def encode(array):
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def write(folder, prefix, images=IMAGES, labels=LABELS, suffix=""):
    pack = gzip.compress if suffix else bytes
    (folder / f"{prefix}-images-idx3-ubyte{suffix}").write_bytes(pack(encode(images)))
    (folder / f"{prefix}-labels-idx1-ubyte{suffix}").write_bytes(pack(encode(labels)))
    return folder / prefix


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("by", ["prefix", "folder", "file"])
def test_one_pair_is_cut_into_three_parts(tmp_path, suffix, by):
    prefix = write(tmp_path, "mine", suffix=suffix)
    file = tmp_path / f"mine-images-idx3-ubyte{suffix}"
    splits = load({"prefix": prefix, "folder": tmp_path, "file": file}[by], seed=0)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [16, 2, 2]
    known = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    for image, label in zip(splits.train.images, splits.train.labels, strict=True):
        assert known[image.numpy().tobytes()] == label


def test_train_and_t10k_are_training_and_test_data(tmp_path):
    write(tmp_path, "train", suffix=".gz")
    write(tmp_path, "t10k", IMAGES[:5] ^ 255, LABELS[:5])
    splits = load(tmp_path)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [18, 2, 5]
    assert np.array_equal(splits.test.images[:, 0].numpy(), IMAGES[:5] ^ 255)


def test_images_may_have_no_labels(tmp_path):
    write(tmp_path, "mine")
    (tmp_path / "mine-labels-idx1-ubyte").unlink()
    assert load(tmp_path / "mine").train.labels is None


def test_several_prefixes_need_a_choice(tmp_path):
    write(tmp_path, "one")
    write(tmp_path, "two")
    with pytest.raises(DataError, match="are one, two; expected one prefix"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encode(LABELS), "magic number .* is 0x00000801; expected 0x00000803, .* swapped"),
        (encode(IMAGES)[:-1], r"number of bytes .* is 1979; expected 1980 for the shape \(20, 9"),
        (encode(IMAGES) + b"1", "number of bytes .* is more; expected 1980"),
        (b"", "magic number of .* is 0x; expected"),
        (encode(IMAGES)[:9], "header of .* is 9 bytes; expected 16"),
        (
            bytes((0, 0, 8, 3)) + struct.pack(">3I", 10**6, 10**4, 10**4),
            "declares is 100000000000000 bytes; expected at most",
        ),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / "x-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(path, axes=3)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: b"\x1f\x8b" + bytes(40), lambda data: b"text"]
)
def test_damaged_gzip_files_are_named(tmp_path, damage):
    path = tmp_path / "x-images-idx3-ubyte.gz"
    path.write_bytes(damage(gzip.compress(encode(IMAGES))))
    with pytest.raises(DataError, match=r"x-images-idx3-ubyte.gz is cut off or damaged .* at \d+"):
        read_idx(path, axes=3)


def test_a_gzip_bomb_is_not_unpacked_beyond_its_header(tmp_path):
    path = tmp_path / "x-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(encode(IMAGES) + bytes(10**8)))
    with pytest.raises(DataError, match="is more; expected 1980"):
        read_idx(path, axes=3)
