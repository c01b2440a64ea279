# pyright: reportMissingImports=false
import re
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unbraid.data import DataError, DataWarning, load
from unbraid.data.folder import read_folder
from unbraid.data.png import check_png

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 7, 11), np.uint8)
COLOUR = RNG.integers(0, 256, (9, 7, 11, 3), np.uint8)


def save(folder, images, suffix=".png", **options):
    folder.mkdir(parents=True, exist_ok=True)
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{k}{suffix}", **options)
    return folder


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".TIF"])
def test_grey_images_come_back(tmp_path, suffix):
    data = read_folder(save(tmp_path, GREY, suffix))
    assert data.labels is None and data.name == tmp_path.name
    assert np.array_equal(data.images[:, 0].numpy(), GREY)


def test_colour_images_come_back(tmp_path):
    data = read_folder(save(tmp_path, COLOUR))
    assert np.array_equal(data.images.numpy(), COLOUR.transpose(0, 3, 1, 2))


def test_subfolders_are_labels(tmp_path):
    save(tmp_path / "dogs ünd eels", GREY[4:])
    save(tmp_path / "cats" / "old", GREY[:4])
    data = read_folder(tmp_path)
    assert data.label_names == ("cats", "dogs ünd eels")
    assert data.labels.tolist() == [0] * 4 + [1] * 5
    assert np.array_equal(data.images[:, 0].numpy(), GREY)


def test_bits_are_black_and_white(tmp_path):
    masks = [image > 127 for image in GREY]
    assert read_folder(save(tmp_path, masks)).kind == "binary"


def test_palettes_become_colours(tmp_path):
    tmp_path.mkdir(exist_ok=True)
    image = Image.fromarray(COLOUR[0]).quantize(200)
    image.save(tmp_path / "0.png")
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(read_folder(tmp_path).images[0].numpy(), expected)


def test_hidden_and_other_files_are_left_out_and_counted(tmp_path):
    save(tmp_path, GREY)
    for name in (".DS_Store", "._0.png", "Thumbs.db", "notes.txt"):
        (tmp_path / name).write_text("no image")
    save(tmp_path / ".cache", GREY)
    with pytest.warns(DataWarning, match="4 files of .* are left out"):
        assert len(read_folder(tmp_path)) == 9


def test_a_link_to_its_own_folder_is_not_followed(tmp_path):
    save(tmp_path, GREY)
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert len(read_folder(tmp_path)) == 9


def refuse(folder, message):
    with pytest.raises(DataError, match=message):
        read_folder(folder)


def test_an_empty_folder_is_refused(tmp_path):
    refuse(tmp_path, "number of images in .* is 0; expected at least")


def test_one_image_is_refused_on_loading(tmp_path):
    with pytest.raises(DataError, match="is 1; expected at least 4"):
        load(save(tmp_path, GREY[:1]))


def test_mixed_sizes_are_named_with_both_files(tmp_path):
    save(tmp_path / "a", GREY)
    save(tmp_path / "b", [GREY[0].T])
    refuse(
        tmp_path, r"size of .*b/0.png is 7 x 11 .width x height.; expected 11 x 7, as of .*a/0.png"
    )


def test_mixed_modes_are_counted(tmp_path):
    """The first folder is in order, and not what is complained of."""
    save(tmp_path / "a", GREY[:3])
    save(tmp_path / "b" / "c", COLOUR[:2])
    few = (
        rf"images in {re.escape(str(tmp_path))} are 3 L \(such as a/0.png\), 2 RGB \(such as b/c/0"
    )
    refuse(tmp_path, few + r".png\); expected all grey .* Convert them to RGB or to L")


def test_transparency_is_refused(tmp_path):
    folder = save(tmp_path, np.zeros((2, 7, 11, 4), np.uint8))
    refuse(folder, r"are 2 RGBA \(such as 0.png\); expected all grey .*on a background. Convert")


def test_one_colour_that_is_transparent_keeps_its_value(tmp_path):
    data = read_folder(save(tmp_path, COLOUR, transparency=tuple(COLOUR[0, 0, 0].tolist())))
    assert np.array_equal(data.images.numpy(), COLOUR.transpose(0, 3, 1, 2))


def test_colours_of_16_bits_lose_the_lower_8(tmp_path):
    for k, image in enumerate(COLOUR):
        rows = (image.astype(">u2") << 8 | 0xFF).astype(">u2")
        lines = b"".join(b"\0" + row.tobytes() for row in rows)
        header = struct.pack(">2I5B", 11, 7, 16, 2, 0, 0, 0)
        parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
        chunks = [
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in parts
        ]
        (tmp_path / f"{k}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    data = read_folder(tmp_path)
    assert np.array_equal(data.images.numpy(), COLOUR.transpose(0, 3, 1, 2))


def test_grey_of_16_bits_is_refused(tmp_path):
    for k in range(4):
        Image.fromarray(np.full((7, 11), 40_000, np.uint16)).save(tmp_path / f"{k}.png")
    refuse(tmp_path, r"are 4 I;16 \(such as 0.png\); expected .* of 8 bits. Scale their values")


def test_images_beside_subfolders_are_refused(tmp_path):
    save(tmp_path, GREY[:2])
    save(tmp_path / "a", GREY)
    refuse(tmp_path, "number of images beside the subfolders of .* is 2; expected all")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".tif", ".webp"])
def test_cut_off_files_are_named(tmp_path, suffix):
    save(tmp_path, RNG.integers(0, 256, (3, 64, 48, 3), np.uint8), suffix)
    path = tmp_path / f"1{suffix}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    refuse(tmp_path, f"1{suffix} is (cut off or damaged|not an image)")


def test_text_that_is_called_png_is_named(tmp_path):
    save(tmp_path, GREY)
    (tmp_path / "5.png").write_text("hello")
    refuse(tmp_path, r"5.png is not an image .*; expected one")


def test_a_moving_gif_is_refused(tmp_path):
    frames = [Image.fromarray(image) for image in GREY[:3]]
    frames[0].save(tmp_path / "0.gif", save_all=True, append_images=frames[1:])
    refuse(tmp_path, "number of frames of .*0.gif is 3; expected 1")


def png(width, height, rows, depth=8, colour=0):
    def chunk(name, body):
        crc = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(bytes(rows * (1 + width * depth // 8)))
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_a_png_with_too_few_rows_is_refused(tmp_path):
    (tmp_path / "0.png").write_bytes(png(16, 64, rows=10))
    refuse(tmp_path, "0.png is cut off or damaged .*170 of 1088 bytes")


@pytest.mark.parametrize("side", [5000, 9500, 20000])
def test_an_image_bomb_is_refused_by_its_header(tmp_path, side):
    (tmp_path / "0.png").write_bytes(png(side, side, rows=1))
    refuse(
        tmp_path, "0.png is (too large|5000 x 5000|9500 x 9500).*expected at most 16777216 pixels"
    )


def test_a_folder_of_more_than_is_allowed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_MAX_GIB", "0.0000001")
    refuse(save(tmp_path, GREY), "declares is 693 bytes; expected at most 107")


@given(
    st.integers(1, 20), st.integers(1, 20), st.sampled_from(["1", "L", "RGB", "P", "RGBA", "I;16"])
)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_whole_png_files_of_any_kind_pass(tmp_path_factory, width, height, mode):
    path = tmp_path_factory.mktemp("png") / "x.png"
    Image.new(mode, (width, height)).save(path)
    check_png(path)


@given(st.integers(1, 20), st.integers(1, 20))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_every_pixel_of_an_interlaced_image_is_counted_once(width, height):
    from unbraid.data.png import _PASSES

    seen = np.zeros((height, width), int)
    for left, top, across, down in _PASSES:
        seen[top::down, left::across] += 1
    assert (seen == 1).all()
