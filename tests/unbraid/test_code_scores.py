"""Evaluations score codes by what is known of the data, and say what is not."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid import load
from unbraid.analysis import (
    KnownSequences,
    disentanglement_scores,
    leakage,
    posterior_moments,
    sequence_codes,
    told_condition,
)
from unbraid.console import code_rows
from unbraid.data import Batches

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 9), np.uint8)
NONE = ("--estimator", "none")


def evaluation():
    return json.loads(Path("run/evaluation.json").read_text())


def plain(value):
    return json.loads(json.dumps(value))


@pytest.fixture
def factored(place, unbraid, train_words):
    """A run on 240 images whose brightness and position are known, beside a label."""
    random = np.random.default_rng(1)
    bright, place_ = random.integers(0, 3, 240), random.integers(0, 4, 240)
    images = random.integers(0, 40, (240, 8, 9), np.uint8)  # noise, so that no two are equal
    for i in range(240):
        images[i, 2 * place_[i] : 2 * place_[i] + 2, 1:5] = 80 * (bright[i] + 1)
    np.savez(
        "factored.npz",
        images=images,
        labels=np.where(np.arange(240) % 5 == 0, -1, place_),
        factors=np.stack([bright, place_], 1),
        factor_names=["brightness", "place"],
    )
    outcome = unbraid(*train_words(data="factored.npz", steps=30))
    assert outcome.code == 0, outcome.err
    return load("run", "cpu")


def codes_of(run, dataset, rows):
    part = dataset.take(rows)
    x = torch.cat([batch["x"].clone() for batch in Batches(part, 7, shuffle=False)])
    return posterior_moments(run.model, run.guide, [(x,)])["z"], part


def test_the_scores_are_those_of_the_library(factored, unbraid):
    """Of data with a known label, of codes made anew; the label says what `place` says."""
    outcome = unbraid("evaluate", "run", *NONE, "--seed", 3, "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)["codes"]
    parts = []
    for dataset in (factored.data.train, factored.data.test):
        known = (dataset.labels != -1).nonzero().squeeze(1)
        assert 0 < len(known) < len(dataset)
        parts.append(codes_of(factored, dataset, known))
    ((codes, scales), train), ((test_codes, _), test) = parts
    expected = disentanglement_scores(
        codes, train.factors.double(), test_codes, test.factors.double(),
        train_scales=scales, names=["brightness", "place"],
        discrete=[True, True], ordered=[False, False], seed=3,
    )  # fmt: skip
    found = told["of"]["z"]
    assert set(told["of"]) == {"z"} and told["n"] == len(test)
    assert found["scores"].keys() == expected["scores"].keys() >= {"factor_vae", "sap", "irs"}
    for name, score in expected["scores"].items():
        assert found["scores"][name] == pytest.approx(score, abs=1e-4), name
    for name in ("factors", "left_out", "factors_left_out"):
        assert found[name] == plain(expected[name])
    assert set(found["told"]) == {"brightness", "place"}
    place = told_condition(
        codes, train.factors[:, 1].long(), test_codes, test.factors[:, 1].long()
    )
    assert found["told"]["place"]["score"] == pytest.approx(place.score, abs=0.02)
    assert evaluation() == {"codes": told} and told["step"] == 30


def test_scores_go_beside_the_likelihood_and_stay(factored, unbraid):
    whole = json.loads(unbraid("evaluate", "run", "--samples", 10, "--json").out)
    assert whole["codes"]["of"]["z"]["scores"] and "log_likelihood" in whole
    unbraid("evaluate", "run", *NONE, "--split", "validation")
    changed = evaluation()
    assert changed.pop("codes")["split"] == "validation"
    assert changed == {k: v for k, v in whole.items() if k != "codes"}
    again = json.loads(unbraid("evaluate", "run", "--samples", 10, "--no-codes", "--json").out)
    assert "codes" not in again and evaluation()["codes"]["split"] == "validation"


def test_the_table_and_the_report_show_them(factored, unbraid):
    outcome = unbraid("evaluate", "run", *NONE)
    assert outcome.code == 0, outcome.err
    score = evaluation()["codes"]["of"]["z"]["scores"]["sap"]
    assert "z: sap " in outcome.out and f"{score:.3f}" in outcome.out
    assert outcome.out.count("brightness, place") == 1  # not said again in each row
    unbraid("report", "run")
    page = Path("run/report.html").read_text()
    assert "Scores of z" in page and "What probes tell from z" in page
    assert f"<td>{score:.3f}</td>" in page
    assert "There is no evaluation yet" in page  # of the likelihood


def test_data_of_which_nothing_is_known(trained, unbraid):
    outcome = unbraid("evaluate", "run", *NONE)
    assert outcome.out.splitlines()[0].split() == (
        "codes not scored The data have no labels and no factors.".split()
    )
    assert evaluation()["codes"] == {
        "left_out": "The data have no labels and no factors.", "step": 4,
    }  # fmt: skip
    unbraid("report", "run")
    assert "The data have no labels and no factors." in Path("run/report.html").read_text()


def test_labels_of_which_too_few_are_known(place, unbraid, train_words):
    labels = np.full(30, -1)
    labels[:2] = 0, 1
    np.savez("few.npz", images=IMAGES, labels=labels)
    assert unbraid(*train_words(data="few.npz")).code == 0
    outcome = unbraid("evaluate", "run", *NONE, "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)["codes"]
    assert told["left_out"] == "Fewer than two data have a label that is known."


def test_methods_without_a_likelihood_are_scored_all_the_same(place, unbraid, train_words):
    np.savez("labelled.npz", images=IMAGES, labels=np.arange(30) % 3)
    words = train_words("--set", "encoder=deterministic", data="labelled.npz", method="aae")
    assert unbraid(*words).code == 0
    assert unbraid("evaluate", "run").code != 0
    told = json.loads(unbraid("evaluate", "run", *NONE, "--json").out)["codes"]["of"]["z"]
    assert "label" in told["told"] and "standard deviations" in told["left_out"]["mig_posteriors"]


def test_sequences_have_the_leakage_of_their_codes(place, unbraid):
    """Every sequence and frame of tiny data is used, so order is all that draws decide."""
    random = np.random.default_rng(2)
    identity, pose = random.integers(0, 2, 60), random.integers(0, 2, (60, 4))
    images = random.integers(0, 40, (60, 4, 8, 8), np.uint8)
    images[:, :, :3] = (100 + 100 * identity)[:, None, None, None]
    images[:, :, 4:] = (50 + 150 * pose)[:, :, None, None]
    np.savez(
        "clips.npz",
        sequences=images,
        factors=identity[:, None],
        factor_names=["identity"],
        frame_factors=pose[..., None],
        frame_factor_names=["pose"],
    )
    words = "train static-dynamic --data clips.npz --out run --steps 5 --set frames=4 hidden=8"
    outcome = unbraid(*words.split(), "channels=4", "static_dim=3", "dynamic_dim=2")
    assert outcome.code == 0, outcome.err
    told = json.loads(unbraid("evaluate", "run", *NONE, "--json").out)["codes"]
    run = load("run", "cpu")
    known = []
    for seed, data in enumerate((run.data.train, run.data.test)):
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
        part = data.take(order)
        codes = sequence_codes(
            run.model, run.guide, [(part.pixels(torch.arange(len(part))) / 255,)]
        )
        known.append(KnownSequences(codes.static, codes.dynamic, part.factors, part.frame_factors))
    expected = leakage(*known, sequence_names=["identity"], frame_names=["pose"]).table()
    rows = {(row["about"], row["factor"], row["codes"]): row for row in told["leakage"]}
    assert len(rows) == len(expected)
    for row in expected:
        found = rows[row["about"], row["factor"], row["codes"]]
        assert found["count"] == row["count"] and found["chance"] == row["chance"]
    assert [name for name, _, _ in code_rows(told)][:2] == [
        "identity from static", "identity from dynamic",
    ]  # fmt: skip


def test_sequences_of_one_identity_are_not_independent(place, unbraid):
    """What is known of sequences says which of them belong together, for errors and hold-outs."""
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(30), 2)
    np.savez(
        "grouped.npz",
        sequences=random.integers(0, 255, (60, 3, 8, 8), np.uint8),
        factors=(groups % 2)[:, None],
        factor_names=["identity"],
        groups=groups,
    )
    words = "train static-dynamic --data grouped.npz --out run --steps 2 --set frames=3 hidden=8"
    outcome = unbraid(*words.split(), "channels=4", "static_dim=3", "dynamic_dim=2")
    assert outcome.code == 0, outcome.err
    run = load("run", "cpu")
    known = import_module("unbraid.code_scores")._known_sequences(run, run.data.test, 0)
    groups_of_test = run.data.test.groups
    assert groups_of_test is not None and torch.equal(known.groups, groups_of_test)
    assert len(known.groups.unique()) < len(known.groups)


def test_training_images_are_changed_as_in_training(factored, unbraid, train_words):
    """Held-out images are turned once for all, and probes learn from images turned as they are."""
    words = train_words("--rotate", 40, data="factored.npz", out="turned", steps=2)
    assert unbraid(*words).code == 0
    run = load("turned", "cpu")
    seen = []
    run.guide.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    run.score_codes(seed=0)
    known = (run.data.train.labels != -1).nonzero().squeeze(1)
    plain = run.data.train.pixels(known) / 255
    assert len(seen[0]) == len(plain) and not torch.allclose(seen[0], plain)
    held_out = (run.data.test.labels != -1).nonzero().squeeze(1)
    assert torch.equal(seen[1], run.data.test.pixels(held_out) / 255)


def test_sequences_whose_label_is_not_known_are_left_out(place, unbraid):
    random, kind = np.random.default_rng(2), np.arange(80) % 2
    images = random.integers(0, 40, (80, 4, 8, 8), np.uint8)
    images[:, :, :3] = (100 + 100 * kind)[:, None, None, None]
    np.savez("clips.npz", sequences=images, labels=np.where(np.arange(80) % 5 == 0, -1, kind))
    words = "train static-dynamic --data clips.npz --out run --steps 5 --set frames=4 hidden=8"
    outcome = unbraid(*words.split(), "channels=4")
    assert outcome.code == 0, outcome.err
    told = load("run", "cpu").score_codes()
    assert "label" in {row["factor"] for row in told["leakage"]}
    assert told["n"] <= 8 and all(row["discrete"] for row in told["leakage"])


@pytest.mark.usefixtures("place")
def test_sequences_about_which_nothing_is_known_are_not_scored(unbraid):
    images = np.random.default_rng(2).integers(0, 256, (20, 4, 8, 8), np.uint8)
    np.savez("clips.npz", sequences=images)
    words = "train static-dynamic --data clips.npz --out run --steps 2 --set frames=4 hidden=8"
    assert unbraid(*words.split(), "channels=4").code == 0
    told = load("run", "cpu").score_codes()
    assert told["left_out"] == "The data have no labels and no factors."


def test_classes_stay_classes_beside_numbers(place, unbraid):
    """What is known of a group's images is one array of floats; sizes say what are classes."""
    random = np.random.default_rng(3)
    labels, height = random.integers(0, 3, 200), random.random(200)
    images = random.integers(0, 40, (200, 8, 8), np.uint8)
    images[:, :4] += (70 * labels[:, None, None]).astype(np.uint8)
    np.savez(
        "grouped.npz",
        images=images,
        labels=labels,
        factors=height[:, None],
        factor_names=["height"],
        groups=np.arange(200) // 4,
    )
    words = "train group-vae --data grouped.npz --data-set groups=group group_size=4 --out run"
    outcome = unbraid(*words.split(), "--steps", 5, "--set", "hidden=8", "nets=mlp")
    assert outcome.code == 0, outcome.err
    told = load("run", "cpu").score_codes()
    kinds = {row["factor"]: row["discrete"] for row in told["leakage"]}
    assert kinds["label"] is True and kinds["height"] is False


def test_training_images_are_judged_as_they_are_in_training(factored, unbraid, train_words):
    """Binarised anew at every step there, so once when they are judged; grey ones are refused."""
    words = train_words("--binarise", "dynamic", "--rotate", 40, data="factored.npz", out="binary")
    assert unbraid(*words).code == 0
    run = load("binary", "cpu")
    seen = []
    run.guide.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    told = run.log_likelihood(2, split="train", limit=9, progress=False)
    again = run.log_likelihood(2, split="train", limit=9, progress=False)
    assert told.mean == again.mean
    run.score_codes(split="train")
    settings = {"samples": 20, "draws": 3, "progress": False}
    shown = run.complete("left", by="importance", split="train", count=3, **settings).images
    assert all(set(x.unique().tolist()) == {0.0, 1.0} for x in [*seen[:4], shown])
