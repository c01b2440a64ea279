"""Runs on data of which some labels are -1, not known."""

import json

import numpy as np
import pytest

from unbraid.config import TrainConfig
from unbraid.preparation import prepare


def save(path, labels=None):
    known = {} if labels is None else {"labels": labels}
    np.savez(path, images=np.load("digits.npz")["images"], **known)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.arange(30) % 3, 3),
        (np.where(np.arange(30) % 3 == 2, -1, 3), 4),
        (np.full(30, -1), 0),
        (None, 0),
    ],
)
def test_unknown_labels_are_no_class(place, labels, classes):
    save(place / "some.npz", labels)
    run_data = prepare(TrainConfig("vae", str(place / "some.npz")))
    assert run_data.spec.classes == classes


def test_a_run_goes_through(unbraid, place):
    save("some.npz", np.where(np.arange(30) % 4, -1, 1))
    words = ["train", "c-vitae", "--data", "some.npz", "--out", "run", "--steps", "2"]
    trained = unbraid(*words, "--batch-size", "5", "--set", "hidden=8", "nets=mlp")
    assert trained.code == 0, trained.err
    assert "2 labels, known of" in trained.err
    assert unbraid("report", "run").code == 0


def test_digits_with_few_labels_by_the_command_line(unbraid):
    told = unbraid("data", "mnist-small", "--data-set", "labels_per_class=10", "--json")
    facts = json.loads(told.out)
    assert facts["train"].endswith("10 labels, known of 100") and facts["test"].endswith(" labels")
    [option] = [o for o in facts["options"] if o["name"] == "labels_per_class"]
    assert (option["name"], option["default"]) == ("labels_per_class", "none") and option["help"]
    refused = unbraid("data", "mnist-small", "--data-set", "labels_per_class=2000")
    refused.check_refused(
        3, r"number of mnist-small with the label '\d' is \d+; expected at least"
    )
