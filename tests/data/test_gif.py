# pyright: reportMissingImports=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false
import struct

import numpy as np
import pytest
from PIL import Image

from unbraid.data import DataError, DataWarning, load
from unbraid.data.gif import read_layout
from unbraid.data.own_films import read_own_film, read_own_folder
from unbraid.data.sequence_options import SequenceOptions

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8, 10), np.uint8)
# Six colours at random places, so that palettes are exact.
COLOURS = RNG.integers(0, 256, (6, 3), np.uint8)
COLOUR = COLOURS[RNG.integers(0, 6, (5, 8, 10))]


def save(path, frames, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], **options)
    return path


def read(folder, **options):
    return read_own_folder(folder, SequenceOptions(**options))


@pytest.fixture
def films(tmp_path):
    for k, frames in enumerate((GREY, GREY[:2], GREY[1:], GREY[::-1])):
        save(tmp_path / f"{k}.gif", frames)
    return tmp_path


def test_grey_films_come_back(films):
    data = read(films)
    assert data.images.shape == (4, 6, 1, 8, 10) and data.lengths.tolist() == [6, 2, 5, 6]
    assert np.array_equal(data.images[3, :, 0].numpy(), GREY[::-1])
    assert np.array_equal(data.images[2, :5, 0].numpy(), GREY[1:])


def test_coloured_films_come_back(tmp_path):
    for k in range(4):
        save(tmp_path / f"{k}.GIF", COLOUR)
    data = read(tmp_path)
    assert data.lengths is None and data.shape == (3, 8, 10)
    assert np.array_equal(data.images[1].numpy(), COLOUR.transpose(0, 3, 1, 2))
    assert read(tmp_path, grey=True).shape == (1, 8, 10)


def test_subfolders_are_labels(tmp_path):
    for k, name in enumerate(("walk", "jump", "walk", "jump")):
        save(tmp_path / name / "more" / f"{k}.gif", GREY[k : k + 3])
    data = read(tmp_path)
    assert data.label_names == ("jump", "walk") and data.labels.tolist() == [0, 0, 1, 1]


def test_files_come_in_natural_order(tmp_path):
    for k in (2, 10, 1, 0):
        save(tmp_path / f"film{k}.gif", [GREY[0] // 2 + k, GREY[1]])
    assert read(tmp_path).images[:, 0, 0, 0, 0].tolist() == [
        GREY[0, 0, 0] // 2 + k for k in (0, 1, 2, 10)
    ]


def test_a_single_film_is_cut_into_stretches(tmp_path):
    path = save(tmp_path / "walk.gif", np.concatenate([GREY, GREY[::-1] // 2]))
    with pytest.warns(DataWarning, match="every one is trained on and tested on"):
        splits = load(path, options={"length": 3})
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [2, 1, 1]
    assert splits.train.name == "walk"
    with pytest.raises(DataError, match=r"sequences in .*walk.gif is 1; .* option length"):
        load(path)


def test_still_images_stay_images(tmp_path):
    for k in range(5):
        save(tmp_path / f"{k}.gif", GREY[k : k + 1])
    splits = load(tmp_path)
    assert not splits.train.is_sequence


def test_a_still_file_by_itself_is_no_film(tmp_path):
    save(tmp_path / "1.gif", GREY[:1])
    for options in ({}, {"length": 2}):
        with pytest.raises(DataError, match=r"frames of .* is 1; expected a GIF file that moves"):
            load(tmp_path / "1.gif", options=options)


def test_frames_that_no_length_allows_are_to_be_removed(films):
    save(films / "4.gif", GREY[:1])
    refuse(films, "number of frames of .*4.gif is 1; expected at least 2. Remove it", length=2)


def test_a_still_among_films_is_a_sequence_of_one_frame(films):
    save(films / "4.gif", GREY[:1])
    with pytest.warns(DataWarning, match="1 of the 5 sequences in .* has one frame only"):
        assert read(films).lengths.tolist() == [6, 2, 5, 6, 1]


def blocks(*frames, canvas=(8, 10), palette=b"", flags=0):
    """A GIF file of frames (left, top, pixels, palette or None, extension)."""
    data = b"GIF89a" + struct.pack("<HHBBB", canvas[1], canvas[0], flags, 0, 0) + palette
    for left, top, pixels, local, extension in frames:
        height, width = pixels.shape
        flag = 0x80 | 1 if local else 0
        data += extension + b"\x2c" + struct.pack("<HHHHB", left, top, width, height, flag)
        data += (local or b"") + packed(pixels)
    return data + b"\x3b"


def packed(pixels):
    """Two-bit pixels as LZW codes that never grow: the table is cleared before every other one."""
    codes: list[int] = []
    for value in pixels.ravel().tolist():
        codes += [4, value]
    number, width = 0, 3
    for place, code in enumerate([*codes, 5]):
        number |= code << (place * width)
    body = number.to_bytes((len(codes) + 1) * width // 8 + 1, "little")
    pieces = [body[k : k + 255] for k in range(0, len(body), 255)]
    return b"\x02" + b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
FIRST, SECOND = bytes([*RED, *GREEN, *BLUE, *WHITE]), bytes([*WHITE, *BLUE, *GREEN, *RED])


def control(disposal, transparent=None):
    flags = disposal << 2 | (transparent is not None)
    return b"\x21\xf9\x04" + struct.pack("<BHBB", flags, 5, transparent or 0, 0) + b"\0"


def shown(tmp_path, data):
    (tmp_path / "a.gif").write_bytes(data)
    film = read_own_film(tmp_path / "a.gif", SequenceOptions(length=2))
    return film.images.flatten(0, 1).permute(0, 2, 3, 1).numpy()


FULL = np.arange(80).reshape(8, 10) % 4
PATCH = np.array([[1, 2, 3], [3, 2, 1]])


@pytest.mark.filterwarnings("ignore:number of films in .* is 1")
def test_every_frame_has_its_own_palette_and_place(tmp_path):
    frames = [(0, 0, FULL, FIRST, control(1)), (4, 3, PATCH, SECOND, control(1))] * 4
    found = shown(tmp_path, blocks(*frames))
    first, second = (np.frombuffer(palette, np.uint8).reshape(4, 3) for palette in (FIRST, SECOND))
    expected = first[FULL]
    assert np.array_equal(found[0], expected)
    expected[3:5, 4:7] = second[PATCH]
    assert np.array_equal(found[1], expected) and np.array_equal(found[7], expected)


@pytest.mark.filterwarnings("ignore:number of films in .* is 1")
def test_a_frame_that_is_to_be_undone_is_undone(tmp_path):
    frames = [(0, 0, FULL, FIRST, control(1)), (4, 3, PATCH, FIRST, control(3))]
    last = [(0, 0, PATCH[:1, :1], FIRST, control(1))] * 6
    found = shown(tmp_path, blocks(*frames, *last))
    expected = np.frombuffer(FIRST, np.uint8).reshape(4, 3)[FULL]
    expected[0, 0] = GREEN
    assert np.array_equal(found[2], expected) and not np.array_equal(found[1][3:5], expected[3:5])


@pytest.mark.filterwarnings("ignore:number of films in .* is 1")
def test_what_is_transparent_shows_the_frame_before_or_black(tmp_path):
    frames = [(0, 0, FULL, FIRST, control(1, 3)), (4, 3, PATCH, SECOND, control(1, 3))] * 4
    found = shown(tmp_path, blocks(*frames))
    first, second = (np.frombuffer(palette, np.uint8).reshape(4, 3) for palette in (FIRST, SECOND))
    expected = first[FULL] * (FULL < 3)[..., None]
    assert np.array_equal(found[0], expected)
    patch = expected[3:5, 4:7]
    expected[3:5, 4:7] = np.where((PATCH == 3)[..., None], patch, second[PATCH])
    assert np.array_equal(found[1], expected)


def refuse(folder, message, **options):
    with pytest.raises(DataError, match=message):
        read(folder, **options)


@pytest.mark.parametrize("cut", range(2, 400, 7))
def test_wherever_a_file_is_cut_off_it_is_refused(films, cut):
    path = films / "3.gif"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    refuse(films, r"3.gif is cut off after [3-6] whole frames; expected a whole GIF file")


def test_a_file_that_is_cut_off_between_frames_is_refused(films):
    path = films / "3.gif"
    path.write_bytes(path.read_bytes()[:-1])
    refuse(films, "3.gif is cut off after 6 whole frames; expected a whole")


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body[:20] + b"\xff" * 10 + body[30:],
        lambda body: body[:-20],
        lambda body: packed(FULL[:4])[2:-1],
        lambda body: b"",
    ],
)
def test_damaged_codes_are_named(films, damage):
    whole, body = packed(FULL), packed(FULL)[2:-1]
    data = blocks((0, 0, FULL[::-1], FIRST, b""), (0, 0, FULL, FIRST, b""))
    damaged = damage(body)
    pieces = bytes([len(damaged)]) + damaged + b"\0" if damaged else b"\0"
    (films / "5.gif").write_bytes(data[: -len(whole) - 1] + b"\x02" + pieces + b"\x3b")
    refuse(films, r"frame 1 of .*5.gif is damaged .*; expected 2 whole frames")


def test_text_that_is_called_gif_is_named(films):
    (films / "5.gif").write_text("hello, hello, hello")
    refuse(films, "5.gif is not a GIF file .*; expected one. Remove it")


def test_a_file_without_frames_is_named(films):
    (films / "5.gif").write_bytes(blocks())
    refuse(films, "number of frames of .*5.gif is 0; expected at least 2")


def test_a_canvas_bomb_is_refused_by_its_header(films):
    data = blocks((0, 0, PATCH, FIRST, b""), (0, 0, PATCH, FIRST, b""), canvas=(60000, 60000))
    (films / "5.gif").write_bytes(data)
    refuse(films, "size of .*5.gif is 60000x60000; expected at most 16777216 pixels")


def test_a_frame_that_makes_the_canvas_a_bomb_is_refused_unseen(films):
    data = blocks((0, 0, FULL, FIRST, b""), (60000, 60000, PATCH, FIRST, b""))
    (films / "5.gif").write_bytes(data)
    refuse(films, "size of .*5.gif is 60003x60002; expected at most 16777216 pixels")


def test_a_frame_beyond_the_canvas_is_refused(films):
    (films / "5.gif").write_bytes(blocks((0, 0, FULL, FIRST, b""), (8, 0, PATCH, FIRST, b"")))
    refuse(films, "size of .*5.gif is 11x8; expected 10x8, as of its first frame")


def test_mixed_sizes_are_named(films):
    save(films / "5.gif", GREY[:3, :5])
    refuse(films, r"size of .*5.gif is 10x5; expected 10x8, as of .*0.gif. .*size=8,10")
    assert read(films, size=(4,)).shape == (1, 4, 4)


def test_many_frames_are_refused_before_they_are_read(films, monkeypatch):
    monkeypatch.setenv("UNBRAID_MAX_GIB", "0.000004")
    # Four films of at most six frames of 240 bytes.
    refuse(films, "declares is 5760 bytes; expected at most 4294")


def test_images_beside_films_are_refused(films, tmp_path):
    Image.fromarray(GREY[0]).save(films / "thumbnail.png")
    with pytest.raises(DataError, match=r"number of frames of .*gif is 6; expected 1, as of"):
        load(films)


def test_the_layout_of_a_file(tmp_path):
    path = save(tmp_path / "a.gif", COLOUR)
    with Image.open(path) as image:
        assert read_layout(path).frames == image.n_frames == 5
    assert read_layout(path).size == read_layout(path).extent == (8, 10)
