# pyright: reportMissingImports=false, reportOptionalMemberAccess=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIndexIssue=false, reportOptionalSubscript=false
import zipfile

import numpy as np
import pytest

from unbraid.data import Batches, DataError, DataWarning, load

av = pytest.importorskip("av", reason="the extra video is not installed")

ACTIONS = ("boxing", "walking")
PEOPLE = (1, 2, 3, 4, 11, 19, 22, 25)
FRAMES, HEIGHT, WIDTH = 12, 32, 40
RANGES = "1-7, 8-11"  # of stretches of 3 frames: two, and one; the twelfth frame is left out


def film(person: int, action: str) -> np.ndarray:
    """Frames that tell person, action and moment, over noise."""
    seed = 100 * person + ACTIONS.index(action)
    return np.random.default_rng(seed).integers(0, 256, (FRAMES, HEIGHT, WIDTH)).astype(np.uint8)


def save(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "gray"
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for action in ACTIONS:
        for person in PEOPLE:
            path = folder / action / f"person{person:02d}_{action}_d2_uncomp.avi"
            save(path, film(person, action))
    return folder


@pytest.fixture(params=["archives", "folders"])
def kth(request, videos, tmp_path, monkeypatch):
    """The folder of the videos as UNBRAID_DATA has it."""
    folder = tmp_path / "kth"
    folder.mkdir()
    for action in ACTIONS:
        if request.param == "folders":
            (folder / action).symlink_to(videos / action)
            continue
        with zipfile.ZipFile(folder / f"{action}.zip", "w") as archive:
            for path in (videos / action).iterdir():
                archive.write(path, path.name)
    (folder / "00sequences.txt").write_text(
        "Sequences and frames\n\n"
        + "".join(
            f"person{p:02d}_{action}_d2\t\tframes\t{RANGES}\r\n"
            for action in ACTIONS
            for p in PEOPLE
        )
    )
    monkeypatch.setenv("UNBRAID_DATA", str(tmp_path))
    return folder


def read(**options):
    chosen = {"size": 16, "length": 3, "actions": "+".join(ACTIONS), **options}
    return load("kth", options=chosen)


def parts(splits):
    return splits.train, splits.validation, splits.test


def test_stretches_are_the_frames_of_their_ranges(kth):
    found = 0
    for part in parts(read()):
        assert part.label_names == ACTIONS
        assert part.factor_names == ("person", "scene")
        assert part.kind == "grey"
        for images, label, (person, scene) in zip(
            part.images, part.labels.tolist(), part.factors.tolist(), strict=True
        ):
            assert scene == 1
            # The square in the middle, at half its size: the mean of four pixels.
            square = film(person + 1, ACTIONS[label])[:, :, 4:36].astype(float)
            halved = square.reshape(FRAMES, 16, 2, 16, 2).mean((2, 4))
            distances = [
                np.abs(images[:, 0].numpy() - halved[start : start + 3]).max()
                for start in (0, 3, 7)
            ]
            assert min(distances) <= 1.0  # rounded along either axis
            found += 1
    assert found == 2 * len(PEOPLE) * 3


def test_larger_frames_are_interpolated(kth):
    images = read(size=64).train.images[0, 0, 0].double()
    steps = images.diff(dim=1)
    # Of a square of 32 pixels none but those at the edges would be repeated.
    assert (steps[:, 2:-2] == 0).double().mean() < 0.05


def test_no_person_is_in_two_parts(kth):
    train, validation, test = ({*(part.factors[:, 0] + 1).tolist()} for part in parts(read()))
    assert test == {22, 25}
    assert train | validation == {1, 2, 3, 4, 11, 19}
    assert not train & validation
    published = [{*(p.factors[:, 0] + 1).tolist()} for p in parts(read(people="schuldt"))]
    assert published == [{11}, {19, 25, 1, 4}, {22, 2, 3}]


def test_each_action_alone_keeps_its_label(kth):
    walking = read(actions="walking").train
    assert walking.label_names == ("walking",)
    assert walking.labels.unique().tolist() == [0]
    assert Batches(walking, 2, frames=2).batch(0)["x"].shape == (2, 2, 1, 16, 16)


def test_a_range_that_its_video_has_not_is_cut_short(kth):
    path = kth / "00sequences.txt"
    path.write_text(
        path.read_text().replace(
            "person25_walking_d2\t\tframes\t1-7, 8-11", "person25_walking_d2 frames 1-7, 8-15"
        )
    )
    with pytest.warns(DataWarning, match="person25_walking_d2 has 12 frames, and a range from 8"):
        test = read(actions="walking").test
    assert (test.factors[:, 0] == 24).sum() == 3


def test_of_a_video_that_is_cut_off_what_is_there_is_used(kth):
    """As the original person01_boxing_d4 is, within an archive that holds no other."""
    name = "person25_walking_d2_uncomp.avi"
    if (kth / "walking.zip").exists():
        with zipfile.ZipFile(kth / "walking.zip") as archive:
            whole = {member: archive.read(member) for member in archive.namelist()}
        whole[name] = _cut_off(whole[name])
        with zipfile.ZipFile(kth / "walking.zip", "w") as archive:
            for member, content in whole.items():
                archive.writestr(member, content)
    else:
        folder = (kth / "walking").resolve()
        (kth / "walking").unlink()
        (kth / "walking").mkdir()
        for path in folder.iterdir():
            content = path.read_bytes()
            (kth / "walking" / path.name).write_bytes(
                _cut_off(content) if path.name == name else content
            )
    with pytest.warns(DataWarning) as warned:
        test = read(actions="walking").test
    told = [str(each.message) for each in warned]
    assert told[0].startswith("person25_walking_d2 is cut off or damaged after 8 frames"), told
    stretches = test.images[test.factors[:, 0] == 24]
    assert len(stretches) == 2  # of 1 to 7; of 8 to 11 one frame is left


def _cut_off(content: bytes) -> bytes:
    """A film without what comes after half of its ninth frame."""
    at = content.index(b"movi")
    for _ in range(9):
        at = content.index(b"00dc", at + 1)
    return content[: at + 8 + HEIGHT * WIDTH // 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 48}, "size is 48; expected one of 128, 64, 32, 16"),
        ({"length": 1}, "length is 1; expected an integer of at least 2"),
        ({"length": 9}, "number of stretches of 9 frames in .* is 0"),
        ({"actions": "walking+flying"}, "'flying' is none; expected some of boxing"),
        ({"actions": "jogging"}, "neither jogging.zip nor a folder jogging"),
        ({"people": "all"}, "people is 'all'; expected one of denton, schuldt"),
    ],
)
def test_what_cannot_be_read_is_said(kth, options, message):
    with pytest.raises(DataError, match=message):
        read(**options)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "number of ranges in .* is 0"), ("person01_boxing_d1 frames 5-3\n", "is '5-3'")],
)
def test_a_broken_list_of_ranges_is_said(kth, text, message):
    (kth / "00sequences.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read()


def test_a_broken_archive_is_said(kth):
    (kth / "boxing.zip").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"boxing.zip is not a whole archive"):
        read()


def test_a_missing_folder_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("UNBRAID_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"kth/00sequences.txt is not in the folder"):
        load("kth")
