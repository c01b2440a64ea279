# pyright: reportMissingImports=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false
import dataclasses
import struct
import sys
import wave

import numpy as np
import pytest
from PIL import Image

from unbraid.data import DataError, DataWarning, load
from unbraid.data.own_films import read_own_film, read_own_folder
from unbraid.data.sequence_options import SequenceOptions
from unbraid.data.video import open_video

av = pytest.importorskip("av", reason="the extra video is not installed")

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (7, 8, 10, 3), np.uint8)
GREY = RNG.integers(0, 256, (7, 8, 10), np.uint8)
# Codecs that keep every pixel, for colours and for grey.
LOSSLESS = {"mkv": ("ffv1", "bgr0", "gray"), "avi": ("rawvideo", "bgr24", "gray")}


def save(path, frames, *, codec=None, pixels=None, turn=0, flags=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = frames.ndim == 3
    exact = LOSSLESS.get(path.suffix[1:].lower(), ("ffv1", "bgr0", "gray"))
    header = {"movflags": flags} if flags else {}
    with av.open(str(path), "w", options=header) as container:
        stream = container.add_stream(codec or exact[0], rate=10)
        stream.bit_rate = 4_000_000
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels or exact[1 + grey]
        if turn:
            stream.set_display_rotation(turn)
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="gray" if grey else "rgb24")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def read(folder, **options):
    return read_own_folder(folder, SequenceOptions(**options))


@pytest.fixture(params=["mkv", "avi"])
def films(tmp_path, request):
    for k, frames in enumerate((COLOUR, COLOUR[:2], COLOUR[1:], COLOUR[::-1])):
        save(tmp_path / f"{k}.{request.param}", frames)
    return tmp_path


def last(folder):
    return max(folder.iterdir())


def test_films_come_back_to_the_pixel(films):
    data = read(films)
    assert data.images.shape == (4, 7, 3, 8, 10) and data.lengths.tolist() == [7, 2, 6, 7]
    assert np.array_equal(data.images[3].numpy(), COLOUR[::-1].transpose(0, 3, 1, 2))
    assert np.array_equal(data.images[2, :6].numpy(), COLOUR[1:].transpose(0, 3, 1, 2))
    assert not data.images[2, 6:].any()


@pytest.mark.parametrize("suffix", ["mkv", "avi"])
def test_grey_films_have_one_channel(tmp_path, suffix):
    for k in range(4):
        save(tmp_path / f"{k}.{suffix}", GREY[k:])
    data = read(tmp_path)
    assert data.shape == (1, 8, 10)
    assert np.array_equal(data.images[1, :6, 0].numpy(), GREY[1:])


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "mpeg4"), ("m4v", "mpeg4"), ("MOV", "mpeg4"), ("webm", "libvpx")]
)
def test_common_kinds_come_back_nearly(tmp_path, suffix, codec):
    rows, columns = np.mgrid[:32, :48]
    smooth = np.stack([np.stack([rows * 4 + k, columns * 3, rows + columns], 2) for k in range(6)])
    for k in range(4):
        path = tmp_path / f"{k}.{suffix}"
        save(path, smooth.astype(np.uint8), codec=codec, pixels="yuv420p")
    data = read(tmp_path)
    assert data.images.shape == (4, 6, 3, 32, 48)
    change = np.abs(data.images[0].numpy() - smooth.transpose(0, 3, 1, 2).astype(int))
    assert change.mean() < 4


def test_subfolders_are_labels_and_gifs_are_films_too(tmp_path):
    for k, name in enumerate(("walk", "jump", "walk")):
        save(tmp_path / name / f"{k}.avi", GREY[k : k + 3])
    first, *rest = (Image.fromarray(frame) for frame in GREY[:3])
    first.save(tmp_path / "jump" / "9.gif", save_all=True, append_images=rest)
    data = read(tmp_path)
    assert data.label_names == ("jump", "walk") and data.labels.tolist() == [0, 0, 1, 1]
    assert np.array_equal(data.images[:, :, 0].numpy(), [GREY[1:4], GREY[:3], GREY[:3], GREY[2:5]])


def test_a_single_film_is_cut_into_stretches(tmp_path):
    path = save(tmp_path / "walk.mkv", np.concatenate([COLOUR, COLOUR[::-1] // 2]))
    with pytest.warns(DataWarning) as caught:
        splits = load(path, options={"length": 3, "size": "4,5"})
    messages = [str(warning.message) for warning in caught]
    assert messages[0].startswith("2 frames at the ends of 1 of the 1 film are left out")
    assert "is 1; every one is trained on and tested on" in messages[1]
    assert splits.train.images.shape == (2, 3, 3, 4, 5)
    with pytest.raises(DataError, match=r"sequences in .*walk.mkv is 1; .* option length"):
        load(path)


def test_stretches_of_a_film_stay_in_one_part(films):
    with pytest.warns(DataWarning, match="2 frames at the ends of 2 of the 4"):
        data = read(films, length=2)
    assert data.groups.tolist() == [0, 0, 0, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.filterwarnings("ignore:1 of the 4 sequences in")
def test_every_nth_frame_is_kept(films):
    found = read(films, every=3).images
    assert np.array_equal(found[0].numpy(), COLOUR[::3].transpose(0, 3, 1, 2))


def test_films_are_made_grey(films):
    expected = np.stack([np.asarray(Image.fromarray(frame).convert("L")) for frame in COLOUR])
    assert np.array_equal(read(films, grey=True).images[0, :, 0].numpy(), expected)


@pytest.mark.skipif(
    not hasattr(av.VideoFrame, "rotation"), reason="this version of av does not say"
)
def test_a_film_is_turned_as_its_file_says(tmp_path):
    rows, columns = np.mgrid[:32, :48]
    ramp = np.stack([np.stack([rows * 7, columns * 5, 0 * rows], 2)] * 3).astype(np.uint8)
    path = save(tmp_path / "turned.mp4", ramp, turn=90, codec="mpeg4", pixels="yuv420p")
    film = open_video(path)
    assert film.size == (48, 32)
    shown = np.asarray(next(film.frames()))
    change = {k: np.abs(np.rot90(ramp[0], k) - shown.astype(int)).mean() for k in (1, 3)}
    with av.open(str(path)) as container:
        angle = next(container.decode(video=0)).rotation
    assert change[angle % 360 // 90] < 6 and max(change.values()) > 20


def refuse(folder, message, **options):
    with pytest.raises(DataError, match=message):
        read(folder, **options)


@pytest.mark.parametrize("share", [0.02, 0.4, 0.6, 0.75])
def test_cut_off_films_are_named(films, share):
    path = last(films)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refuse(films, r"3\.... is (cut off or damaged after \d frames?|not a video that can be read)")


@pytest.mark.parametrize("flags", ["", "faststart"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_off_mp4_is_named(tmp_path, flags, share):
    large = GREY.repeat(4, 1).repeat(4, 2)
    for k in range(4):
        save(tmp_path / f"{k}.mp4", large, codec="mpeg4", pixels="yuv420p", flags=flags)
    path = tmp_path / "3.mp4"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refuse(tmp_path, r"3.mp4 is (cut off or damaged after \d|not a video)|streams of .*3.mp4 are")


@pytest.mark.parametrize(("suffix", "flags"), [("mov", "faststart"), ("avi", "")])
def test_a_last_frame_that_a_decoder_would_make_up_is_named(tmp_path, suffix, flags):
    large = RNG.integers(0, 256, (7, 64, 96), np.uint8)
    for k in range(4):
        path = tmp_path / f"{k}.{suffix}"
        save(path, large, codec="mjpeg", pixels="yuvj420p", flags=flags)
    path = tmp_path / f"3.{suffix}"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 9 // 10])
    refuse(tmp_path, r"3\.... is cut off or damaged after 6 frames \(a piece is not whole\)")


def test_flipped_bytes_are_found(tmp_path):
    large = RNG.integers(0, 256, (9, 96, 128, 3), np.uint8)
    for k in range(4):
        save(tmp_path / f"{k}.mp4", large, codec="mpeg4", pixels="yuv420p")
    path = tmp_path / "2.mp4"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data)
    refuse(tmp_path, r"2.mp4 is cut off or damaged after \d frames?")


def test_text_that_is_called_mp4_is_named(films):
    (films / "5.mp4").write_text("hello" * 100)
    refuse(films, "5.mp4 is not a video that can be read .*; expected a whole file of mp4")


def test_a_playlist_that_is_called_mp4_opens_nothing_else(films):
    target = save(films.parent / "elsewhere" / "secret.mkv", COLOUR)
    (films / "5.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n")
    refuse(films, "5.mp4 is not a video that can be read")
    (films / "5.mp4").write_text(f"ffconcat version 1.0\nfile {target}\n")
    refuse(films, "5.mp4 is not a video that can be read")


def test_sound_alone_is_named(films):
    with av.open(str(films / "5.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8000
        for packet in (*stream.encode(sound), *stream.encode()):
            container.mux(packet)
    refuse(films, "streams of .*5.mkv are audio; expected a video that can be decoded")


def test_other_sound_files_are_left_out(films):
    with wave.open(str(films / "5.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
    with pytest.warns(DataWarning, match="1 file of .* is left out"):
        assert len(read(films)) == 4


def test_a_film_without_frames_is_named(films):
    with av.open(str(films / "5.avi"), "w") as container:
        stream = container.add_stream("rawvideo", rate=10)
        stream.height, stream.width, stream.pix_fmt = 8, 10, "bgr24"
        container.start_encoding()
    refuse(films, "number of frames of .*5.avi is 0; expected at least 2")


def test_mixed_sizes_are_named(films):
    save(films / "5.mkv", COLOUR[:3, :5])
    refuse(films, r"size of .*5.mkv is 10x5; expected 10x8, as of .*0\..*size=8,10")
    assert read(films, size=(4,)).shape == (3, 4, 4)


def test_images_beside_films_are_refused(films):
    Image.fromarray(GREY[0]).save(films / "cover.png")
    refuse(
        films, "number of images beside 4 films .videos and GIF files. in .* is 1; expected either"
    )


def test_what_films_declare_is_checked_before_they_are_read(films, monkeypatch):
    monkeypatch.setenv("UNBRAID_MAX_GIB", "0.000004")
    # Four films of at most seven frames of 240 bytes.
    refuse(films, "declares is 6720 bytes; expected at most 4294")


def test_reading_stops_where_a_film_declared_too_little(tmp_path, monkeypatch):
    for k in range(4):
        save(tmp_path / f"{k}.avi", COLOUR)
    path = tmp_path / "0.avi"
    data = bytearray(path.read_bytes())
    main, strl = data.index(b"avih") + 8 + 16, data.index(b"strh") + 8 + 32
    assert struct.unpack_from("<I", data, main) == struct.unpack_from("<I", data, strl) == (7,)
    for k in range(4):
        for place in (main, strl):
            struct.pack_into("<I", data, place, 1)
        (tmp_path / f"{k}.avi").write_bytes(data)
    monkeypatch.setenv("UNBRAID_MAX_GIB", "0.000002")
    refuse(
        tmp_path,
        r"is 12 at frame 2 of .*0.avi; expected at most 8. Set",
    )


@pytest.mark.parametrize("length", [None, 2])
@pytest.mark.filterwarnings("ignore:2 frames at the ends of 2")
def test_films_may_have_more_frames_than_they_declare(films, monkeypatch, length):
    expected = read(films, length=length)
    opened = open_video

    def declaring_less(path):
        return dataclasses.replace(opened(path), count=None if path.name[0] == "2" else 1)

    monkeypatch.setattr("unbraid.data.own_films.open_video", declaring_less)
    data = read(films, length=length)
    assert np.array_equal(data.images.numpy(), expected.images.numpy())
    assert (data.lengths is None) == (expected.lengths is None)


def test_films_may_have_fewer_frames_than_they_declare(films, monkeypatch):
    expected = read(films)
    opened = open_video

    def declaring_more(path):
        return dataclasses.replace(opened(path), count=11)

    monkeypatch.setattr("unbraid.data.own_films.open_video", declaring_more)
    data = read(films)
    assert np.array_equal(data.images.numpy(), expected.images.numpy())


def test_a_frame_that_is_too_large_is_refused(films, monkeypatch):
    monkeypatch.setattr("unbraid.data.video.MAX_PIXELS", 79)
    refuse(films, "size of .* is 10x8; expected at most 79 pixels")


def test_without_the_package_its_extra_is_named(films, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    refuse(films, r"videos need the package av, .* pip install 'unbraid\[video\]'")


def test_one_film_by_its_own(tmp_path):
    path = save(tmp_path / "a.b.avi", COLOUR[:4].repeat(2, 0))
    with pytest.warns(DataWarning, match="is 1; every one"):
        data = read_own_film(path, SequenceOptions(length=2))
    assert data.name == "a.b" and len(data) == 4
    assert np.array_equal(data.images[1, 0].numpy(), COLOUR[1].transpose(2, 0, 1))
