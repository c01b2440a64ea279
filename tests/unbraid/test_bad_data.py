# pyright: reportMissingImports=false
"""Data that cannot be used are refused in one line; odd ones are used, and that is said."""

import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (30, 8, 9), np.uint8)
UNIT = GREY / 255
BAD_DATA = 3


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def archive(**arrays):
    """Make an `.npz` file of arrays, and return its name."""

    def make():
        np.savez("mine.npz", **arrays)
        return "mine.npz"

    return make


def images(array, **others):
    return archive(images=array, **others)


def file(name, content):
    """Make one file, and return its name."""

    def make():
        Path(name).write_bytes(content)
        return name

    return make


def moving_gif(frames):
    buffer = io.BytesIO()
    first, *others = map(Image.fromarray, frames)
    first.save(buffer, "GIF", save_all=True, append_images=others)
    return buffer.getvalue()


def folder(*pictures, suffix="png", **others):
    """Make a folder of picture files, with other files besides, and return its name."""

    def make():
        Path("pictures").mkdir()
        for k, picture in enumerate(pictures):
            Image.fromarray(picture).save(f"pictures/{k}.{suffix}")
        for name, content in others.items():
            Path("pictures", name.replace("_", ".")).write_bytes(content)
        return "pictures"

    return make


def idx(array=GREY, labels=None, pack: Callable = bytes, suffix=""):
    """Make idx files of images, cut or packed by `pack`, and return their prefix."""

    def encode(values):
        return (
            bytes((0, 0, 8, values.ndim))
            + struct.pack(f">{values.ndim}I", *values.shape)
            + values.tobytes()
        )

    def make():
        Path(f"some-images-idx3-ubyte{suffix}").write_bytes(pack(encode(array)))
        if labels is not None:
            Path("some-labels-idx1-ubyte").write_bytes(encode(labels))
        return "some"

    return make


def npz_bytes(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy_in_npz(header, body=b"", name="mine.npz"):
    """Make an archive whose array declares what `header` says, and return its name."""

    def make():
        member = io.BytesIO()
        np.lib.format.write_array_header_1_0(member, header)
        with zipfile.ZipFile(name, "w") as target:
            target.writestr("images.npy", member.getvalue() + body)
        return name

    return make


def picture_bytes(picture, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()


def png_with_height(picture, height):
    """A PNG whose header, checksum included, claims another height than its pixels have."""
    content = bytearray(picture_bytes(picture))
    content[20:24] = struct.pack(">I", height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


class Row(NamedTuple):
    name: str
    data: Callable[[], str]
    message: str
    more: tuple[str, ...] = ()


REFUSED_DATA = [
    Row(
        "row-01-nan-in-images",
        images(changed(UNIT, (17, 3, 4), np.nan)),
        r"images\[17\] in mine.npz has 1 NaN or infinite of 72 values; expected finite.* Leave",
    ),
    Row(
        "row-02-infinity-in-images",
        images(changed(UNIT, (5, 3, slice(4)), np.inf)),
        r"images\[5\] in mine.npz has 4 NaN or infinite of 72 values; expected finite.* Leave",
    ),
    Row(
        "row-04-floats-0-255",
        images(changed(GREY.astype(float), (0, 0, 0), 255)),
        r"range of images in mine.npz is \[0, 255\]; expected \[0, 1\].* Divide by 255",
    ),
    Row(
        "row-05-grey-with-bernoulli",
        images(GREY),
        r"grey values.*bernoulli expects 0 or 1.*continuous-bernoulli.*--binarise",
        more=("--set", "likelihood=bernoulli"),
    ),
    Row(
        "row-06-range-minus-one-to-one",
        images(changed(UNIT * 2 - 1, (0, 0, slice(2)), (-1, 1))),
        r"range of images in mine.npz is \[-1, 1\]; expected \[0, 1\].* Rescale",
    ),
    Row(
        "row-08-complex", images(UNIT + 1j), r"dtype of images.* is complex128; expected bool, ui"
    ),
    Row("row-08-text", images(GREY.astype("U3")), r"dtype of images.* is <U3; expected bool, ui"),
    Row(
        "row-12-huge", images(changed(UNIT, (0, 0, 0), 1e30)), r"range.*1e\+30\]; expected \[0, 1"
    ),
    Row("row-13-no-images", images(GREY[:0]), r"\(0, 1, 8, 9\); expected no axis of length 0"),
    Row(
        "row-13-empty-folder", folder(), r"number of images in pictures is 0; expected at least 4"
    ),
    Row("row-14-one-image", images(GREY[:1]), r"number of images in mine is 1; expected at least"),
    Row(
        "row-18-mixed-sizes",
        folder(*GREY[:5], GREY[5].T),
        r"size of pictures/5.png is 8 x 9 .*; expected 9 x 8, as of pictures/0.png.* one size",
    ),
    Row(
        "row-19-mixed-channels",
        folder(*GREY[:4], np.stack([GREY[4]] * 3, 2)),
        r"modes of the images in pictures are 4 L .such as 0.png., 1 RGB .such as 4.+; .* Convert",
    ),
    Row(
        "row-20-ambiguous-layout",
        images(RNG.integers(0, 256, (20, 3, 8, 3), np.uint8)),
        r"shape of images.* is \(20, 3, 8, 3\); expected.*could be either.*Give it exactly one",
    ),
    Row(
        "row-22-too-small-for-convolutions",
        images(GREY[:, :7]),
        r"mine.npz do not suit vae: images are 7 x 9 .*; expected .* of at least 8. Set",
        more=("--set", "nets=conv"),
    ),
    Row(
        "row-24-two-axes", images(GREY[0]), r"shape of images.* is \(8, 9\); expected \(N, H, W\)"
    ),
    Row("row-24-six-axes", images(GREY[None, None, None]), r"shape .*; expected \(N, H, W\)"),
    Row("row-25-no-pixels", images(GREY[:, :0]), r"\(30, 1, 0, 9\); expected no axis of length 0"),
    Row("row-25-no-channels", images(GREY[:, :0, None]), r"shape of images.*expected"),
    Row(
        "row-26-label-too-large",
        images(GREY, labels=changed(np.arange(30) % 4, 3, 99)),
        r"largest of 30 labels in mine.npz is 99; expected classes counted from 0",
    ),
    Row(
        "row-27-negative-label",
        images(GREY, labels=changed(np.arange(30) % 4, 3, -2)),
        r"labels\[3\] of mine is -2; expected at least 0",
    ),
    Row(
        "row-28-labels-too-few",
        images(GREY, labels=np.arange(29) % 4),
        r"29.*expected.*30",
    ),
    Row(
        "row-29-float-labels",
        images(GREY, labels=np.full(30, 1.0000001)),
        r"labels in mine.npz are float64 of shape \(30,\); expected a vector of integers",
    ),
    Row(
        "row-31-keys-missing",
        archive(pixels=GREY, y=np.arange(30)),
        r"keys of mine.npz are pixels, y; expected either images or sequences",
    ),
    Row(
        "row-33-sequences-for-an-image-method",
        archive(sequences=RNG.integers(0, 256, (20, 5, 8, 9), np.uint8)),
        r"do not suit vae: data are sequences of 5 frames; expected images. Save the frames",
    ),
    Row(
        "row-34-more-frames-than-there-are",
        archive(sequences=np.stack([GREY[:4]] * 6), lengths=np.array([4, 9, 1, 2, 3, 4])),
        r"lengths\[1\] of mine is 9; expected 1 to 4 frames",
    ),
    Row(
        "row-36-ragged-sequences",
        archive(sequences=np.array([GREY[:3], GREY[:4]], dtype=object)),
        r"dtype of sequences in mine.npz is object.*refused. Pad all to one number of frames and",
    ),
    Row(
        "row-37-moving-gif",
        folder(*GREY[:4], x_gif=moving_gif(GREY[:7])),
        r"number of frames of pictures/x.gif is 7; expected 1, as of the other images. Keep mov",
    ),
    Row(
        "row-38-damaged-video",
        file("mine.mp4", b"video"),
        r"mine.mp4 is not a video that can be read \(.*\); expected a whole file of mp4, .*Fetch",
    ),
    Row(
        "row-38-folder-of-damaged-videos",
        folder(x_mp4=b"video"),
        r"pictures/x.mp4 is not a video that can be read \(.*\); expected a whole file of mp4,",
    ),
    Row(
        "row-54-tar-file",
        file("mine.tar", b"../x"),
        r"data are 'mine.tar'; expected an .npz file, idx files or a folder",
    ),
    Row("row-59-name-outside", lambda: "../../mnist", r"data are '../../mnist', where th"),
    Row("row-59-name-of-a-drive", lambda: "C:", r"data are 'C:'; expected one of"),
    Row(
        "row-41-truncated-npz",
        file("mine.npz", npz_bytes(images=GREY)[:1500]),
        r"mine.npz is cut off or damaged \(.*\) at 1500 bytes; expected a whole .npz.* Fetch",
    ),
    Row(
        "row-42-empty-npz",
        file("mine.npz", b""),
        r"mine.npz is cut off or damaged \(.*\) at 0 bytes; expected a whole .npz.* Fetch",
    ),
    Row(
        "row-43-truncated-npy",
        npy_in_npz({"descr": "|u1", "fortran_order": False, "shape": (30, 8, 9)}, bytes(100)),
        r"size of images in mine.npz is 100 bytes; expected 2160 for the shape .* Save it",
    ),
    Row(
        "row-44-truncated-gzip",
        idx(pack=lambda content: gzip.compress(content)[:-9], suffix=".gz"),
        r"some-images-idx3-ubyte.gz .* at \d+ bytes; expected a whole gzip file. Fetch it again",
    ),
    Row(
        "row-45-idx-body-too-short",
        idx(pack=lambda content: content[:-60]),
        r"after the header of some-images-idx3-ubyte is 2100; expected 2160 .* Fetch it again",
    ),
    Row(
        "row-46-images-and-labels-swapped",
        idx(GREY[:, 0, 0], np.arange(30, dtype=np.uint8)),
        r"magic number of some-images-idx3-ubyte is 0x00000801; expected 0x00000803.* swapped",
    ),
    Row(
        "row-47-truncated-png",
        folder(*GREY[:4], x_png=picture_bytes(GREY[4])[:-30]),
        r"pictures/x.png is cut off or damaged \(.*\); expected a whole image. Remove it",
    ),
    Row(
        "row-48-too-few-rows-in-png",
        folder(*RNG.integers(0, 256, (4, 8, 9), np.uint8), x_png=png_with_height(GREY[4][:5], 8)),
        r"pictures/x.png is cut off or damaged \(.*\); expected a whole image. Remove it",
    ),
    Row(
        "row-49-text-named-png",
        folder(*GREY[:4], x_png=b"not a picture"),
        r"pictures/x.png is not an image \(.*\); expected one. Remove it",
    ),
    Row(
        "row-50-gif-cut-in-a-frame",
        folder(x_gif=picture_bytes(GREY[4], "GIF")[:-30]),
        r"pictures/x.gif is cut off or damaged \(.*\); expected a whole image. Remove it",
    ),
    Row(
        "row-51-image-bomb",
        folder(x_png=png_with_height(GREY[4], 2**31 - 1)),
        r"pictures/x.png.*; expected at most 16777216 pixels. Scale it down",
    ),
    Row(
        "row-52-npy-claims-terabytes",
        npy_in_npz({"descr": "|u1", "fortran_order": False, "shape": (2**42, 1)}, bytes(100)),
        r"size of images in mine.npz is 100 bytes; expected 4398046511104",
    ),
    Row(
        "row-53-objects",
        npy_in_npz({"descr": "|O", "fortran_order": False, "shape": (30,)}, bytes(100)),
        r"dtype of images in mine.npz is object; expected numbers.* needs pickle.* refused",
    ),
    Row(
        "row-76-no-such-data", lambda: "mnist-smal", r"expected one of .*Did you mean mnist-small"
    ),
]


@pytest.mark.parametrize("row", REFUSED_DATA, ids=lambda row: row.name)
def test_unusable_data_are_refused(row, unbraid, train_words):
    outcome = unbraid(*train_words(*row.more, data=row.data()))
    outcome.check_refused(BAD_DATA, row.message)
    assert not Path("run").exists()


ACCEPTED = [
    Row("row-07-uint8", images(GREY), r"mine: 24 images, 1x8x9, grey"),
    Row(
        "row-09-all-the-same", images(GREY[:1].repeat(30, 0)), r"all training data of mine are the"
    ),
    Row(
        "row-09-one-colour", images(changed(GREY, 3, 77)), r"1 of the data of mine have one colour"
    ),
    Row(
        "row-11-duplicates-across-splits",
        images(np.concatenate([GREY[:15], GREY[:15]])),
        r"\d of the 3 test data of mine are also training data",
    ),
    Row(
        "row-15-fewer-images-than-a-batch",
        images(GREY),
        r"batch_size is reduced from 100 to 24",
        more=("--batch-size", "100"),
    ),
    Row("row-30-factor-with-one-value", images(GREY, factors=np.zeros((30, 1), int)), "1 factor "),
    Row(
        "row-57-hidden-files",
        folder(*GREY, Thumbs_db=b"", _DS_Store=b""),
        r"2 files of pictures are left out: hidden, or no images or videos",
    ),
]


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: row.name)
def test_odd_data_are_used_and_said(row, unbraid, train_words):
    outcome = unbraid(*train_words(*row.more, data=row.data(), steps=2))
    assert outcome.code == 0, outcome.err
    assert re.search(row.message, outcome.err), outcome.err
