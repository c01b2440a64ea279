"""Run folders that cannot be written or read, and pictures that are drawn on request."""

import errno
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unbraid.inference import CheckpointError, Checkpoints

atomic = import_module("unbraid.inference.atomic")


@pytest.fixture
def read_only(trained, monkeypatch):
    """A run whose folder takes no file."""

    def refuse(path, data):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(atomic, "write_synced", refuse)
    return trained


@pytest.mark.parametrize(
    ("words", "work"),
    [
        (("evaluate", "run"), "run.log_likelihood"),
        (("evaluate", "run", "--estimator", "annealed"), "run.annealed_log_likelihood"),
        (("evaluate", "run", "--estimator", "none"), "code_scores.score_codes"),
        (("calibrate", "run"), "calibrating.simulation_based_calibration"),
        (("complete", "run"), "run.Run.complete"),
        (("sample", "run"), "sampling.prior_samples"),
        (("report", "run"), "reporting.kl_per_dimension"),
    ],
)
@pytest.mark.usefixtures("read_only")
def test_a_read_only_folder_is_told_before_any_work(words, work, unbraid, monkeypatch):
    def fail(*arguments, **settings):
        raise AssertionError("worked before it looked")

    monkeypatch.setattr(f"unbraid.{work}", fail)
    outcome = unbraid(*words)
    outcome.check_refused(
        6, "run is not writable; expected a folder to write to. Make it writable"
    )


def test_errors_of_writing_name_the_file_that_was_to_be_written(tmp_path, monkeypatch):
    def refuse(path, data):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(atomic, "write_synced", refuse)
    with pytest.raises(PermissionError) as caught:
        atomic.write_atomically(tmp_path / "numbers.json", "{}")
    assert caught.value.filename == str(tmp_path / "numbers.json")


def test_damaged_records_are_not_told_as_missing_checkpoints(trained, unbraid, train_words):
    for path in trained.glob("checkpoints/*/meta.json"):
        path.write_text("{")
    assert len(Checkpoints(trained / "checkpoints").damaged()) == 2
    for words in (("evaluate", "run"), train_words("--resume", steps=6)):
        outcome = unbraid(*words)
        outcome.check_refused(4, "run has 2 checkpoints and none that can be read, .*ckpt-000004")
        assert "--force" not in outcome.err and "Put back a copy" in outcome.err


def test_a_checkpoint_with_a_damaged_record_is_still_passed_over(trained, unbraid):
    (trained / "checkpoints/ckpt-000004/meta.json").write_text("{")
    assert Checkpoints(trained / "checkpoints").steps() == [2]
    assert unbraid("evaluate", "run", "--samples", 2, "--no-codes").code == 0
    with pytest.raises(CheckpointError):
        Checkpoints(trained / "nowhere").load_modules({})


@pytest.mark.usefixtures("trained")
def test_a_report_leaves_pictures_that_were_asked_for(unbraid):
    outcome = unbraid("sample", "run", "--count", 3, "--seed", 8, "--out", "mine.png", "all.npz")
    assert outcome.out.splitlines() == ["run/pictures/samples.png", "mine.png", "all.npz"]
    asked = Path("run/pictures/samples.png").read_bytes()
    assert Path("mine.png").read_bytes() == asked
    assert unbraid("report", "run").code == 0
    assert Path("run/pictures/samples.png").read_bytes() == asked
    assert Path("run/figures/samples.png").read_bytes() != asked


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "site is 'x', which the model does not draw; it draws z, label"),
        (("reconstruction=1", "likelihood=bernoulli-grey"), "'z' is masked out"),
    ],
)
def test_models_without_images_or_a_prior_have_no_samples(
    options, why, place, unbraid, train_words
):
    labels, colours = np.arange(30) % 2, np.arange(30) // 2 % 2
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 9), np.uint8)
    np.savez("d.npz", images=images, labels=labels, factors=colours[:, None],
             factor_names=np.array(["colour"]))  # fmt: skip
    words = train_words(*(("--set", *options) if options else ()), data="d.npz", method="fair")
    trained = unbraid(*words)
    assert trained.code == 0, trained.err
    assert trained.out.splitlines()[-2:] == [
        "next: unbraid evaluate run --estimator none",
        "next: unbraid report run",
    ]
    unbraid("sample", "run").check_refused(2, f"fair has no samples: .*{why}")
    assert unbraid("evaluate", "run", "--estimator", "none").code == 0
    refused = unbraid("evaluate", "run")
    refused.check_refused(2, "--estimator none scores the codes alone")
    assert "--estimator annealed" not in refused.err
    assert unbraid("report", "run").code == 0
    assert not Path("run/figures/samples.png").exists()


def test_points_with_a_prior_may_be_annealed(place, unbraid, train_words):
    trained = unbraid(*train_words("--set", "encoder=deterministic", method="aae"))
    assert "next: unbraid evaluate run --estimator none" in trained.out
    refused = unbraid("evaluate", "run")
    refused.check_refused(2, "--estimator annealed needs no guide, --estimator none scores")


def test_folders_of_others_are_not_taken_for_those_of_a_run(place, unbraid, train_words):
    """A folder `pictures` with the user's images, where there has been no run."""
    pictures = place / "run" / "pictures"
    pictures.mkdir(parents=True)
    for i in range(4):
        Image.fromarray(np.full((8, 9), 60 * i, np.uint8)).save(pictures / f"{i}.png")
    (place / "run" / "metrics.jsonl").write_text("mine")
    unbraid(*train_words()).check_refused(2, "run holds other files, such as metrics.jsonl")
    inside = train_words("--force", data="run/pictures")
    unbraid(*inside).check_refused(2, "data run/pictures lie in .*pictures, which a run in run")
    assert unbraid(*train_words("--force")).code == 0
    assert len(list(pictures.iterdir())) == 4
    assert unbraid(*train_words("--force")).code == 0
    assert not pictures.exists()


@pytest.mark.usefixtures("trained")
def test_errors_of_data_are_not_told_as_missing_samples(unbraid, train_words):
    labels = np.arange(30) % 2
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 9), np.uint8)
    np.savez("d.npz", images=images, labels=labels)
    assert unbraid(*train_words(data="d.npz", method="cvae", out="given")).code == 0
    Path("d.npz").unlink()
    refused = unbraid("sample", "given")
    refused.check_refused(3, "data of the run in given were")
    assert "no samples" not in refused.err


def test_a_record_that_goes_while_others_are_read_is_passed_over(trained, monkeypatch):
    """A run that is still training rotates its checkpoints away under whoever reads them."""
    module = import_module("unbraid.inference.checkpoint")
    read, seen = module.read_record, []

    def read_once(path):
        if path.name in seen:
            raise module.DamagedError(f"{path.name} is missing")
        seen.append(path.name)
        return read(path)

    monkeypatch.setattr(module, "read_record", read_once)
    assert Checkpoints(trained / "checkpoints").steps() == [2, 4]
