# pyright: reportOptionalMemberAccess=false
"""A run notices that other things are known of its data than when it was trained."""

import json
import re
import struct

import numpy as np
import pytest

import unbraid as library
from unbraid.config import ConfigError
from unbraid.data import DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (30, 8, 9), np.uint8)
CLIPS = RNG.integers(0, 256, (20, 4, 8, 9), np.uint8)
IMAGES = {
    "images": GREY,
    "labels": np.arange(30) % 3,
    "factors": RNG.random((30, 2), np.float32),
    "factor_names": np.array(["width", "height"]),
}
SEQUENCES = {
    "sequences": CLIPS,
    "lengths": np.array([4, 3] * 10),
    "frame_factors": RNG.integers(0, 3, (20, 4, 1)),
}
CHANGES = [
    ("labels", IMAGES, {"labels": (np.arange(30) + 1) % 3}),
    ("labels", IMAGES, {"labels": np.array(["a", "b", "c"] * 10)}),
    ("factors", IMAGES, {"factors": IMAGES["factors"] * np.float32(1.01)}),
    ("factors", IMAGES, {"factors": IMAGES["factors"][:, ::-1].copy()}),
    ("factors", IMAGES, {"factor_names": np.array(["height", "width"])}),
    ("lengths", SEQUENCES, {"lengths": np.array([3, 4] * 10)}),
    ("factors of frames", SEQUENCES, {"frame_factors": 2 - SEQUENCES["frame_factors"]}),
]
BAD_DATA, MISMATCH = 3, 4


def words(known, *more):
    method, options = "vae", ["hidden=8", "latent_dim=2"]
    if "sequences" in known:
        method, options = "static-dynamic", ["hidden=8", "code_hidden=7", "frames=2"]
    start = ["train", method, "--data", "mine.npz", "--out", "run", "--batch-size", "5"]
    return [*start, *more, "--set", *options]


@pytest.fixture
def train(unbraid, place):
    """Train on data of which so much is known, and hand back the recorded configuration."""

    def run(known):
        np.savez("mine.npz", **known)
        outcome = unbraid(*words(known, "--steps", "2"))
        assert outcome.code == 0, outcome.err
        return json.loads((place / "run" / "config.json").read_text())

    return run


@pytest.mark.parametrize(("told", "known", "change"), CHANGES)
def test_what_has_changed_is_named(told, known, change, train, unbraid, place):
    train(known)
    np.savez("mine.npz", **{**known, **change})
    before = (place / "run" / "config.json").read_bytes()
    changed = rf"{told} of data \S*mine.npz are others than when the run was trained, though the p"
    resumed = unbraid(*words(known, "--steps", "4", "--resume"))
    resumed.check_refused(MISMATCH, changed + r".*Resume with its own data, or train into another")
    judged = unbraid("evaluate", "run", "--samples", "3")
    judged.check_refused(MISMATCH, changed + ".*Bring back the data of that time")
    assert (place / "run" / "config.json").read_bytes() == before


@pytest.mark.parametrize("known", [IMAGES, SEQUENCES])
def test_what_is_as_it_was_passes(known, train, unbraid):
    train(known)
    assert unbraid(*words(known, "--steps", "4", "--resume")).code == 0
    assert unbraid("evaluate", "run", "--samples", "3").code == 0


def test_other_data_are_refused_however_often_they_are_asked_for(train, place):
    train(IMAGES)
    np.savez("mine.npz", **{**IMAGES, "labels": np.zeros(30, int)})
    run = library.load("run")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"labels of data .* are others"):
            _ = run.data


def test_what_is_gone_is_told(train, unbraid):
    train(IMAGES)
    np.savez("mine.npz", images=GREY, labels=IMAGES["labels"])
    judged = unbraid("evaluate", "run", "--samples", "3")
    judged.check_refused(MISMATCH, "factors of data .* are gone, unlike when the run was trained")


def test_labels_and_factors_may_be_added_to_judge_codes(train, unbraid, place):
    assert train({"images": GREY})["annotation_fingerprints"] == {}
    np.savez("mine.npz", **IMAGES)
    outcome = unbraid("evaluate", "run", "--samples", "3", "--json")
    assert outcome.code == 0, outcome.err
    assert unbraid(*words(IMAGES, "--steps", "4", "--resume")).code == 0
    config = json.loads((place / "run" / "config.json").read_text())
    assert list(config["annotation_fingerprints"]) == ["labels", "factors"]


def test_new_lengths_are_refused(train, unbraid):
    whole = {"sequences": CLIPS}
    train(whole)
    np.savez("mine.npz", **SEQUENCES)
    judged = unbraid("evaluate", "run", "--samples", "3")
    judged.check_refused(MISMATCH, "lengths of data .* are new, unlike when the run was trained")


def test_a_run_of_a_version_without_the_record_is_loaded_and_resumed(train, unbraid, place):
    config = train(IMAGES)
    recorded = config.pop("annotation_fingerprints")
    assert list(recorded) == ["labels", "factors"]
    assert all(re.fullmatch("[0-9a-f]{16}", value) for value in recorded.values())
    (place / "run" / "config.json").write_text(json.dumps(config))
    changed = {**IMAGES, "labels": np.zeros(30, int)}
    np.savez("mine.npz", **changed)
    assert unbraid("evaluate", "run", "--samples", "3").code == 0
    assert library.load("run").data.train.labels.sum() == 0
    assert unbraid(*words(IMAGES, "--steps", "4", "--resume")).code == 0
    config = json.loads((place / "run" / "config.json").read_text())
    assert list(config["annotation_fingerprints"]) == ["labels", "factors"]


def test_other_pixels_are_told_before_what_is_known_and_the_likelihood(train, unbraid):
    train(IMAGES)
    binary = {"images": GREY > 127, "labels": np.zeros(30, int)}
    np.savez("mine.npz", **binary)
    resumed = unbraid(*words(IMAGES, "--steps", "4", "--resume"))
    resumed.check_refused(MISMATCH, "mine.npz have other pixels than .*, or are split otherwise")


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_data_that_are_gone_can_be_told_where_they_are(command, train, unbraid, place):
    config = train(IMAGES)
    (place / "mine.npz").rename(place / "moved.npz")
    told = r"run in run were .*mine.npz, where there is nothing; .* now as data in run.config.json"
    unbraid(command, "run").check_refused(BAD_DATA, told)
    config["data"] = str(place / "moved.npz")
    (place / "run" / "config.json").write_text(json.dumps(config))
    more = ["--samples", "3"] if command == "evaluate" else []
    assert unbraid(command, "run", *more).code == 0


def test_a_prefix_of_idx_files_is_found_from_anywhere(unbraid, place, monkeypatch):
    head = struct.pack(">4I", 0x803, 30, 8, 9)
    path = place / "mine-images-idx3-ubyte"
    path.write_bytes(head + GREY.tobytes())
    command = [word.replace("mine.npz", "mine") for word in words(IMAGES, "--steps", "2")]
    assert unbraid(*command).code == 0
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert len(library.load(place / "run").data.train) == 24
    path.unlink()
    with pytest.raises(DataError, match=r"were .*mine, where there is nothing; expected them"):
        _ = library.load(place / "run").data
