"""Runs on sequences from the command line: trained, judged, resumed, reported; and bad inputs."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file

import unbraid as library

CLIPS = np.random.default_rng(0).integers(0, 256, (30, 5, 8, 9), np.uint8)
LENGTHS = np.array([5, 3, 1] * 10)
SMALL = ["hidden=8", "static_dim=3", "dynamic_dim=2", "code_hidden=7", "frames=3"]
METHODS = ["static-dynamic", "neural-statistician", "fhvae"]


@pytest.fixture
def clips(place):
    np.savez("clips.npz", sequences=CLIPS)
    np.savez("ragged.npz", sequences=CLIPS, lengths=LENGTHS)
    return place


def words(method, data, *more, steps=4):
    start = ["train", method, "--data", data, "--out", "run", "--steps", str(steps)]
    own = ["--set"] if more and "=" in more[0] else []  # what counts before the options above
    return [*start, "--batch-size", "5", "--set", *SMALL, *own, *more]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", ["clips.npz", "ragged.npz"])
def test_sequences_are_trained_judged_and_reported(method, data, clips, unbraid):
    assert unbraid(*words(method, data)).code == 0
    outcome = unbraid("evaluate", "run", "--samples", "6", "--inner-samples", "4", "--json")
    assert outcome.code == 0, outcome
    judged = json.loads(outcome.out)
    assert judged["frames"] == 3
    assert judged["elbo"] <= judged["log_likelihood"]
    assert unbraid("report", "run").code == 0
    page = (clips / "run" / "report.html").read_text()
    assert "test sequences, 3 frames of each, the importance-sampled log-likelihood" in page
    assert "standard error over sequences" in page
    assert "per image" not in page
    for picture in ("swaps", "dynamics", "prior", "trajectory", "new_frames", "identities"):
        assert (clips / "run" / "figures" / f"{picture}.png").is_file(), picture


def test_the_report_of_layers_of_codes(clips, unbraid):
    assert unbraid(*words("neural-statistician", "ragged.npz", "layers=2")).code == 0
    assert unbraid("report", "run").code == 0
    for picture in ("swaps", "dynamics", "prior", "trajectory", "traversals-dynamic_2"):
        assert (clips / "run" / "figures" / f"{picture}.png").is_file(), picture


def test_companions_train_and_are_not_needed_afterwards(clips, unbraid):
    assert unbraid(*words("static-dynamic", "clips.npz", "companions=2")).code == 0
    assert unbraid("evaluate", "run", "--samples", "3", "--frames", "5").code == 0


def test_the_number_of_judged_frames_is_asked_for(clips, unbraid):
    unbraid(*words("static-dynamic", "clips.npz"))
    found = []
    for frames in (1, 5):
        outcome = unbraid("evaluate", "run", "--samples", "5", "--frames", frames, "--json")
        found.append(json.loads(outcome.out)["log_likelihood"])
    assert abs(found[1]) > 2 * abs(found[0])


def test_a_run_resumes_to_the_bit(clips, unbraid):
    path = clips / "run" / "checkpoints" / "ckpt-000006" / "weights.safetensors"
    found = []
    for parts in ([6], [3, 6]):
        for steps in parts:
            more = ["--schedule", "constant", "--force" if steps == parts[0] else "--resume"]
            assert unbraid(*words("static-dynamic", "ragged.npz", steps=steps), *more).code == 0
        found.append(load_file(path))
    assert all(found[0][name].equal(found[1][name]) for name in found[0])


def test_options_of_data_are_kept(clips, unbraid):
    more = ["--data-set", "size=24", "digit_size=12", "--data-set", "sequences=30"]
    assert unbraid(*words("static-dynamic", "moving-mnist"), *more).code == 0
    config = json.loads((clips / "run" / "config.json").read_text())
    assert config["data_options"] == {"size": 24, "digit_size": 12, "sequences": 30}
    assert "--data-set size=24" in config["command"]
    assert library.load("run").data.train.shape == (1, 24, 24)
    outcome = unbraid(*words("static-dynamic", "moving-mnist", steps=5), *more[:-2], "--resume")
    outcome.check_refused(4, "data_options is .* but the run was started with")


@pytest.mark.parametrize(
    "data, more, code, message",
    [
        ("digits.npz", [], 3, "data are images without sequence ids; expected sequences"),
        ("one.npz", [], 3, "data are sequences of one frame; expected at least 2"),
        ("clips.npz", ["frames=6"], 2, "frames is 6; expected 2 to 5, the frames of the longest"),
        ("clips.npz", ["frames=1"], 2, "frames is 1; expected an integer of at least 2"),
        ("clips.npz", ["companions=3"], 2, "companions is 3 beside frames 3; expected at most 5"),
        ("ragged.npz", ["companions=1"], 2, "companions is 1 beside frames 3; expected at most 1"),
        ("clips.npz", ["dynamic_dims=2"], 2, "option is 'dynamic_dims'.*Did you mean dynamic_dim"),
    ],
)
def test_bad_sequences_and_options(data, more, code, message, clips, unbraid):
    np.savez("one.npz", sequences=CLIPS[:, :1])
    unbraid(*words("static-dynamic", data, *more)).check_refused(code, message)
    assert not (clips / "run" / "config.json").exists()


@pytest.mark.parametrize(
    "more, message",
    [
        (["--data-set", "size"], "--data-set is 'size'; expected KEY=VALUE"),
        (["--data-set", "colour=3"], "option of clips.npz is 'colour'"),
        (["--data-set", "length=none", "every=two"], "every is 'two'; expected an integer"),
    ],
)
def test_bad_options_of_data(more, message, clips, unbraid):
    outcome = unbraid(*words("static-dynamic", "clips.npz"), *more)
    assert outcome.code in (2, 3)
    outcome.check_refused(outcome.code, message)


def test_images_take_no_frames(place, trained, unbraid):
    outcome = unbraid("evaluate", "run", "--frames", "3")
    outcome.check_refused(2, "frames is 3, but digits are images without sequence ids")


@pytest.mark.parametrize(
    "more, message",
    [
        (["--frames", "9"], "frames is 9; expected an integer from 1 to 5"),
        (["--frames", "0"], "--frames is 0; expected an integer of at least 1"),
        (["--inner-samples", "0"], "--inner-samples is 0"),
    ],
)
def test_bad_numbers_of_an_evaluation(more, message, clips, unbraid):
    unbraid(*words("static-dynamic", "clips.npz"))
    unbraid("evaluate", "run", *more).check_refused(2, message)


def test_methods_of_images_refuse_sequences(clips, unbraid):
    outcome = unbraid("train", "vae", "--data", "clips.npz", "--out", "run", "--steps", "3")
    outcome.check_refused(3, "data are sequences of 5 frames; expected images")
