# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# pyright: reportMissingImports=false, reportOperatorIssue=false, reportOptionalMemberAccess=false
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import unbraid.data
from unbraid.data import SOURCES, Batches, DataError, accepted_options, load
from unbraid.data.loading import _BY_NAME

MNIST = os.path.join(os.environ.get("UNBRAID_DATA", ""), "mnist", "train-images-idx3-ubyte.gz")


def sizes(splits):
    return [len(part) for part in (splits.train, splits.validation, splits.test)]


def test_the_embedded_digits_are_balanced():
    splits = load("mnist-small")
    assert sizes(splits) == [9000, 1000, 2000]
    assert splits.train.shape == (1, 28, 28) and splits.train.kind == "grey"
    assert splits.test.labels.bincount().tolist() == [200] * 10
    together = torch.cat([splits.train.labels, splits.validation.labels])
    assert together.bincount().tolist() == [1000] * 10


def test_the_seed_chooses_the_validation_data_only():
    one, again, other = (load("mnist-small", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.validation.images, again.validation.images)
    assert not torch.equal(one.validation.images, other.validation.images)
    assert torch.equal(one.test.images, other.test.images)


def test_thresholding_makes_every_part_binary():
    grey, cut = load("mnist-small"), load("mnist-small", binarise="threshold")
    assert torch.equal(cut.train.images == 255, grey.train.images >= 128)
    assert [part.kind for part in (cut.train, cut.validation, cut.test)] == ["binary"] * 3


def test_dynamic_binarisation_draws_training_data_anew_and_test_data_once():
    splits = load("mnist-small", binarise="dynamic", seed=3)
    assert splits.train.dynamic and not splits.test.dynamic
    assert splits.train.kind == splits.validation.kind == splits.test.kind == "binary"
    again = load("mnist-small", binarise="dynamic", seed=3)
    assert torch.equal(splits.test.images, again.test.images)
    first, second = (Batches(splits.train, 9000).batch(step) for step in (0, 1))
    one, other = (batch["x"][batch["index"].argsort()] for batch in (first, second))
    assert set(one.unique().tolist()) == {0.0, 1.0} and not torch.equal(one, other)


@pytest.mark.skipif(not os.path.isfile(MNIST), reason="UNBRAID_DATA names no folder with mnist/")
def test_mnist_has_the_digits_of_which_the_embedded_ones_are_a_part():
    splits, small = load("mnist"), load("mnist-small")
    assert sizes(splits) == [55_000, 5000, 10_000]
    whole = {
        (bytes(image.flatten().tolist()), int(label))
        for image, label in zip(splits.test.images, splits.test.labels, strict=True)
    }
    for image, label in zip(small.test.images[:100], small.test.labels, strict=False):
        assert (bytes(image.flatten().tolist()), int(label)) in whole


def test_an_unknown_name_suggests_a_near_one():
    with pytest.raises(
        DataError, match=r"data are 'mnits'; expected one of .* Did you mean mnist?"
    ):
        load("mnits")


@pytest.mark.parametrize("path", ["mine.npz", "films/walk", "/nowhere/mine"])
def test_a_path_without_anything_is_no_name(path):
    with pytest.raises(
        DataError, match=f"data are '{path}', where there is nothing; expected a f"
    ):
        load(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "data.csv").write_text("1,2,3")
    with pytest.raises(
        DataError, match=r"data.csv'; expected an .npz file, idx files or a folder"
    ):
        load(tmp_path / "data.csv")


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="binarise is 'yes'; expected None, 'dynamic'"):
        load("mnist-small", binarise="yes")
    with pytest.raises(ValueError, match="seed is -1; expected"):
        load("mnist-small", seed=-1)


def test_every_source_can_be_loaded_by_its_name():
    assert SOURCES.keys() == _BY_NAME.keys()


def test_every_public_name_is_there():
    assert all(getattr(unbraid.data, name) is not None for name in unbraid.data.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = unbraid.data.nothing


def test_the_list_of_sources_needs_no_torch():
    code = "import sys; from unbraid.data import SOURCES; print('torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


def test_options_of_groups_are_accepted_where_all_parts_know_what_is_shared(tmp_path):
    labels = np.arange(30) % 3
    labels[7] = -1
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4), np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=labels)
    # By most seeds it is in the training data, by some in another part alone.
    for seed in range(20):
        splits = load(tmp_path / "mine.npz", seed=seed)
        assert "groups" not in accepted_options(tmp_path / "mine.npz", splits, {})
