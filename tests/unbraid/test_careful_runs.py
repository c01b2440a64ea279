"""What a run refuses, so that neither its record nor what lies beside it is spoilt."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unbraid as face
from unbraid.config import TrainConfig


@pytest.fixture
def start(unbraid, train_words):
    outcome = unbraid(*train_words(steps=6))
    assert outcome.code == 0, outcome.err


def config():
    return json.loads(Path("run/config.json").read_text())


@pytest.mark.usefixtures("start")
def test_a_resumed_run_is_as_long_as_it_was_meant_to_be(unbraid, train_words):
    words = [str(word) for word in train_words(steps=6)]
    place = words.index("--steps")
    outcome = unbraid(*words[:place], *words[place + 2 :], "--resume")
    assert outcome.code == 0, outcome.err
    assert config()["steps"] == 6 and "6 (done)" in outcome.out


@pytest.mark.usefixtures("start")
def test_fewer_steps_than_were_made_are_refused(unbraid, train_words):
    refused = unbraid(*train_words("--resume", steps=4))
    refused.check_refused(
        4, "steps is 4, but the run in run has made 6; expected at least as many"
    )
    assert config()["steps"] == 6


@pytest.mark.usefixtures("start")
def test_other_data_are_named(unbraid, train_words):
    images = np.random.default_rng(9).integers(0, 256, (30, 8, 9), np.uint8)
    np.savez("others.npz", images=images)
    refused = unbraid(*train_words("--resume", data="others.npz", steps=9))
    refused.check_refused(4, "others.npz have other pixels than .*digits.npz, which the run was")


def test_a_folder_of_others_is_not_written_into(place, unbraid, train_words):
    Path("mine").mkdir()
    Path("mine/photo.png").write_bytes(b"photo")
    refused = unbraid(*train_words(out="mine"))
    refused.check_refused(2, "mine holds other files, such as photo.png; expected a folder of")
    assert [path.name for path in Path("mine").iterdir()] == ["photo.png"]
    assert unbraid(*train_words("--force", out="mine")).code == 0
    assert Path("mine/photo.png").read_bytes() == b"photo"


@pytest.mark.usefixtures("place")
def test_no_folder_is_no_folder(unbraid, train_words):
    unbraid(*train_words(out="")).check_refused(2, "out is empty; expected the path of a folder")
    assert not Path("config.json").exists()


@pytest.mark.usefixtures("place")
def test_options_without_a_value_or_of_a_wrong_kind(unbraid, train_words):
    unbraid(*train_words("--set")).check_refused(2, "--set is empty; expected KEY=VALUE. See unb")
    refused = unbraid(*train_words("--set", "latent_dim=abc"))
    refused.check_refused(2, "latent_dim is .*abc.* See unbraid methods vae")
    refused = unbraid(*train_words("--set", "latent_dim=3", "latent_dim=4"))
    refused.check_refused(2, "--set has latent_dim twice, '3' and '4'; expected it once")


def test_numbers_of_numpy_are_numbers():
    assert TrainConfig("vae", "mnist-small", learning_rate=np.float64(0.1)).learning_rate == 0.1
    numbers: Any = {"seed": np.int64(3), "steps": np.int32(5)}
    config = TrainConfig("vae", "mnist-small", **numbers)
    assert (config.seed, config.steps) == (3, 5)
    assert type(config.seed) is type(config.steps) is int  # a run's files hold no others
    with pytest.raises(face.methods.OptionError, match="seed is True; expected an integer"):
        TrainConfig("vae", "mnist-small", seed=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": np.zeros((9, 8, 8))}, "data are a ndarray; expected the name of a set"),
        ({"options": ["latent_dim=2"]}, "options are .* expected a mapping by name"),
        ({"epochs": "2"}, "epochs is '2'; expected a number"),
        ({"epochs": True}, "epochs is True; expected a number"),
        ({"learning_rate": np.float32(0.1)}, "learning_rate is .* expected a number, an int or"),
    ],
)
def test_in_python_too(given, message, tmp_path):
    words = {"data": "mnist-small", **given}
    with pytest.raises(face.methods.OptionError, match=message):
        face.train("vae", words.pop("data"), tmp_path / "run", **words)


@pytest.mark.usefixtures("start")
def test_a_damaged_evaluation_is_named_and_replaced(unbraid):
    Path("run/evaluation.json").write_text("{bad")
    refused = unbraid("report", "run")
    refused.check_refused(4, "run/evaluation.json is damaged .* Run unbraid evaluate run again")
    fast = ("--samples", 5, "--limit", 4)
    assert unbraid("evaluate", "run", *fast).code == 0
    assert "log_likelihood" in json.loads(Path("run/evaluation.json").read_text())
    assert "codes" in json.loads(Path("run/evaluation.json").read_text())
    told = json.loads(unbraid("evaluate", "run", *fast, "--no-codes", "--json").out)
    assert "codes" not in told


@pytest.mark.usefixtures("start")
def test_arrays_of_samples_have_a_file_of_their_own(unbraid):
    refused = unbraid("sample", "run", "--count", 2, "--out", "samples.txt")
    refused.check_refused(
        2, "out is 'samples.txt'; expected a file .png for the picture or .npz for the arrays"
    )
    assert not Path("run/pictures/samples.png").exists()
    assert unbraid("sample", "run", "--count", 2, "--out", "new/samples.npz").code == 0
    assert Path("new/samples.npz").exists()


@pytest.mark.usefixtures("start")
def test_a_comparison_is_written_as_its_file_is_named(unbraid, train_words):
    assert unbraid(*train_words(out="other", steps=3)).code == 0
    for folder in ("run", "other"):
        assert unbraid("evaluate", folder, "--samples", 5, "--limit", 3, "--no-codes").code == 0
    assert unbraid("compare", "run", "other", "--out", "table.csv").code == 0
    lines = Path("table.csv").read_text().splitlines()
    assert len(lines) == 3 and all(line.count(",") > 5 for line in lines)
