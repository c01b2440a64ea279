"""`unbraid data PATH` says how factors were understood, and lists the options that suit a path."""

import json
import struct

import numpy as np
import pytest
from PIL import Image

from unbraid.data import DataError, load, options_of

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (48, 8, 9), np.uint8)
CLASS = np.arange(48) // 12
VALUES = {"groups": "label", "group_size": "2", "sequences": "true", "identities": "true"}
VALUES |= {"length": "2", "every": "2", "size": "4", "grey": "true"}
OF_GROUPS, OF_FILMS = ["groups", "group_size"], ["length", "every", "size", "grey"]


def save_npz(place, **known):
    np.savez(place / "mine.npz", **known)
    return "mine.npz"


def save_idx(place, labels):
    head = struct.pack(">4I", 0x803, 48, 8, 9)
    (place / "mine-images-idx3-ubyte").write_bytes(head + GREY.tobytes())
    if labels:
        body = CLASS.astype(np.uint8).tobytes()
        (place / "mine-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 48) + body)
    return "mine"


def save_images(place, depth):
    for k, image in enumerate(GREY):
        path = (
            place / "mine" / "/".join([f"part {k // 12}", f"film {k // 6}"][:depth]) / f"{k}.png"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return "mine"


def save_films(place, labels):
    for k in range(6):
        path = place / "mine" / (f"part {k // 2}" if labels else "") / f"{k}.gif"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = [Image.fromarray(image) for image in GREY[k : k + 6]]
        frames[0].save(path, save_all=True, append_images=frames[1:])
    return "mine"


def save_film(place):
    frames = [Image.fromarray(image) for image in GREY]
    frames[0].save(place / "mine.gif", save_all=True, append_images=frames[1:])
    return "mine.gif"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("save", "given", "listed"),
    [
        (lambda place: save_npz(place, images=GREY), [], []),
        (lambda place: save_npz(place, images=GREY, labels=CLASS), [], OF_GROUPS),
        (
            lambda place: save_npz(place, images=GREY, labels=CLASS),
            ["groups=label", "group_size=2"],
            OF_GROUPS,
        ),
        (lambda place: save_npz(place, images=GREY, labels=CLASS - 1), [], []),
        (lambda place: save_npz(place, sequences=GREY.reshape(6, 8, 8, 9)), [], []),
        (lambda place: save_idx(place, labels=False), [], []),
        (lambda place: save_idx(place, labels=True), [], OF_GROUPS),
        (lambda place: save_images(place, 0), [], ["sequences"]),
        (lambda place: save_images(place, 1), [], ["sequences", *OF_GROUPS]),
        (lambda place: save_images(place, 1), ["sequences=true"], ["sequences", *OF_FILMS]),
        (
            lambda place: save_images(place, 2),
            ["sequences=true"],
            ["sequences", "identities", *OF_FILMS],
        ),
        (lambda place: save_films(place, labels=False), [], OF_FILMS),
        (lambda place: save_films(place, labels=True), [], ["identities", *OF_FILMS]),
        (save_film, ["length=2"], OF_FILMS),
    ],
)
def test_options_are_those_that_the_path_accepts(save, given, listed, unbraid, place):
    path = save(place)
    more = ["--data-set", *given] if given else []
    found = json.loads(unbraid("data", path, *more, "--json").out)["options"]
    assert [option["name"] for option in found] == listed
    chosen = dict(word.split("=") for word in given)
    for name in options_of(path):
        beside = {"length": "2"} if name == "sequences" else {}
        beside = {"groups": "label", "group_size": "2"} if name in OF_GROUPS else beside
        options = {**chosen, **beside, name: VALUES[name]}
        if name in listed:
            load(path, options=options)
        elif name != "sequences":  # which films do not mind
            with pytest.raises(DataError):
                load(path, options=options)


def test_options_of_a_path_without_any_are_not_printed(unbraid, place):
    assert "--data-set" not in unbraid("data", save_npz(place, images=GREY)).out


def test_factors_are_classes_or_continuous_by_their_dtype(unbraid, place):
    factors = np.stack([CLASS, np.arange(48) % 2, np.zeros(48)], 1)
    names = np.array(["shape", "side", "still"])
    for kind, values, words in [
        (int, [4, 2, 1], ["4 classes", "2 classes", "1 class"]),
        (
            np.float32,
            [[0.0, 3.0], [0.0, 1.0], [0.0, 0.0]],
            ["continuous, 0 to 3", "continuous, 0 to 1", "continuous, 0 to 0"],
        ),
    ]:
        save_npz(place, images=GREY, factors=factors.astype(kind), factor_names=names)
        found = json.loads(unbraid("data", "mine.npz", "--json").out)["factors"]
        key, sort = ("classes", "classes") if kind is int else ("range", "continuous")
        assert found == [
            {"name": name, "of": "images", "kind": sort, key: value}
            for name, value in zip(names, values, strict=True)
        ]
        printed = unbraid("data", "mine.npz").out.splitlines()
        for name, said in zip(names, words, strict=True):
            assert any(line.split(maxsplit=2) == [name, "images", said] for line in printed)
        assert "integers are read as classes, floats as continuous" in printed


def test_ranges_are_of_true_frames_of_all_parts(unbraid, place):
    angles = np.arange(24, dtype=np.float32).reshape(6, 4, 1)
    lengths = np.array([4, 3, 2, 4, 1, 2])
    sequences = GREY[:24].reshape(6, 4, 8, 9)
    angles[np.arange(4) >= lengths[:, None]] = -99
    who = np.array([[5], [7], [5], [7], [9], [5]])
    save_npz(place, sequences=sequences, lengths=lengths, frame_factors=angles, factors=who)
    found = json.loads(unbraid("data", "mine.npz", "--json").out)["factors"]
    assert found == [
        {"name": "factor 0", "of": "sequences", "kind": "classes", "classes": 3},
        {"name": "frame factor 0", "of": "frames", "kind": "continuous", "range": [0.0, 21.0]},
    ]


def test_data_without_factors_have_none(unbraid, place):
    path = save_npz(place, images=GREY)
    assert json.loads(unbraid("data", path, "--json").out)["factors"] == []
    assert "continuous" not in unbraid("data", path).out
