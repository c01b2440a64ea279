"""Completions of a run: in Python and on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unbraid import load
from unbraid.completing import REGIONS, region

FAST = {"samples": 40, "draws": 3, "steps": 10, "warmup": 5, "progress": False}


@pytest.mark.parametrize("name", REGIONS)
def test_regions(name):
    seen = region(name, 8, 9)
    rows, columns = np.mgrid[:8, :9]
    expected = {
        "lower": rows >= 4,
        "upper": rows < 4,
        "left": columns < 4,
        "right": columns >= 4,
        "centre": (rows >= 2) & (rows < 6) & (columns >= 2) & (columns < 7),
    }[name]
    assert np.array_equal(seen.numpy(), expected)


@pytest.mark.parametrize("by", ["importance", "svi", "nuts"])
def test_a_run_completes(by, trained):
    run = load(trained, "cpu")
    completed = run.complete("upper", by=by, count=2, **FAST)
    found = completed.posterior
    assert found.by == by and found.seed == run.config["seed"]
    assert found.completions.shape == (2, 3, 1, 8, 9)
    whole = completed.images[:, None, :, :4].expand(2, 3, 1, 4, 9)
    assert torch.equal(found.completions[..., :4, :], whole)
    batch = run.data.test.pixels(torch.arange(2)).float() / 255
    torch.testing.assert_close(completed.images, batch)
    arrays = completed.arrays()
    assert arrays["latent_z"].shape == (2, 40, 2)
    assert np.allclose(np.exp(arrays["log_weights"]).sum(1), 1)


def test_the_command_writes_what_it_says(unbraid, trained):
    words = ["complete", "run", "--observe", "left", "--by", "importance", "--count", "2"]
    words += ["--draws", "2", "--samples", "50", "--device", "cpu"]
    outcome = unbraid(*words, "--out", "new/a.png", "b.npz")
    assert outcome.code == 0, outcome
    assert outcome.out.splitlines()[-3:] == ["run/pictures/completed.png", "new/a.png", "b.npz"]
    assert "log p(x seen)" in outcome.out and "of 50 draws" in outcome.out
    picture = (trained / "pictures/completed.png").read_bytes()
    assert picture == Path("new/a.png").read_bytes()
    with Image.open("new/a.png") as image:
        assert image.width > 100
    with np.load("b.npz") as arrays:
        assert arrays["completions"].shape == (2, 2, 1, 8, 9)
        first = arrays["log_evidence"]
    outcome = unbraid(*words, "--json", "--out", "c.npz")
    said = json.loads(outcome.out)
    assert said["by"] == "importance" and said["observe"] == "left" and said["n"] == 2
    with np.load("c.npz") as arrays:
        assert np.array_equal(first, arrays["log_evidence"])
        assert np.isclose(said["log_evidence"], first.mean())


def test_errors_over_images_and_over_draws_are_told_apart(unbraid, trained):
    words = ["complete", "run", "--by", "importance", "--count", "2", "--samples", "50"]
    outcome = unbraid(*words, "--out", "a.npz", "--device", "cpu")
    with np.load("a.npz") as arrays:
        over_draws = float(np.sqrt((arrays["log_evidence_error"] ** 2).sum()) / 2)
        over_images = float(arrays["log_evidence"].std(ddof=1) / 2**0.5)
    first, second = (" ".join(line.split()) for line in outcome.out.splitlines()[:2])
    assert first.endswith(
        f"+- {over_images:,.2f} nats mean of 2 images, by importance, +- over images"
    )
    assert second == f"of the draws +- {over_draws:,.2f} nats for these very images"
    said = json.loads(unbraid(*words, "--device", "cpu", "--json").out)
    assert said["monte_carlo_error"] == pytest.approx(over_draws)
    assert said["log_evidence_se"] == pytest.approx(over_images)


def test_more_images_than_there_are_is_said(trained):
    run = load(trained, "cpu")
    there = len(run.data.test)
    with pytest.warns(UserWarning, match=rf"count is reduced from 999 to {there}, all test data"):
        completed = run.complete("upper", by="importance", count=999, **FAST)
    assert len(completed.images) == there


def test_a_mask_of_ones_own(unbraid, trained):
    mask = np.random.default_rng(0).random((2, 8, 9)) < 0.5
    np.save("mask.npy", mask)
    words = ["complete", "run", "--observe", "mask.npy", "--count", "2", "--by", "importance"]
    assert unbraid(*words, "--samples", "30", "--out", "a.npz", "--device", "cpu").code == 0
    with np.load("a.npz") as arrays:
        assert np.array_equal(arrays["observed"], mask)
        kept = np.broadcast_to(mask[:, None, None], arrays["completions"].shape)
        images = np.broadcast_to(arrays["images"][:, None], kept.shape)
        assert np.array_equal(arrays["completions"][kept], images[kept])


@pytest.mark.usefixtures("trained")
def test_files_are_of_the_format_that_their_names_say_in_any_case(unbraid):
    words = ["complete", "run", "--by", "importance", "--count", "2", "--draws", "2"]
    assert unbraid(*words, "--samples", "30", "--out", "a.PNG", "b.NPZ").code == 0
    with Image.open("a.PNG") as image:
        assert image.format == "PNG"
    with np.load("b.NPZ") as arrays:
        assert arrays["completions"].shape == (2, 2, 1, 8, 9)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--observe middle", 2, "observe is 'middle'; expected one of lower, upper, left"),
        ("--observe gone.npy", 6, "gone.npy: No such file"),
        ("--observe small.npy", 2, r"observed has shape \(3, 3\); expected \(8, 9\)"),
        ("--observe grey.npy", 2, "grey.npy is of float64; expected bools"),
        ("--observe full.npy", 2, "observed is true everywhere for image 0"),
        ("--observe junk.npy", 2, "junk.npy holds no array"),
        ("--by gibbs", 2, "--by is gibbs; expected one of importance, svi, nuts"),
        ("--draws 0", 2, "--draws is 0; expected an integer of at least 1"),
        ("--draws 9 --samples 8", 2, "--samples is 8; expected an integer of at least 9"),
        ("--prior-share 1", 2, "--prior-share is 1.0; expected"),
        ("--count 0", 2, "--count is 0; expected"),
        ("--out a.jpg", 2, "out is 'a.jpg'; expected a file .png"),
        ("--by nuts --samples 11", 2, "samples is 11 and chains is 2"),
    ],
)
def test_mistakes(words, code, message, unbraid, trained):
    np.save("small.npy", np.zeros((3, 3), bool))
    np.save("grey.npy", np.zeros((8, 9)))
    np.save("full.npy", np.ones((8, 9), bool))
    Path("junk.npy").write_text("junk")
    unbraid("complete", "run", "--device", "cpu", *words.split()).check_refused(code, message)
    assert not (trained / "figures").exists()
