"""The first few held-out data stand for all, also where data lie in an order."""

import numpy as np
import pytest
import torch

import unbraid
from unbraid.config import TrainConfig
from unbraid.data import load
from unbraid.preparation import prepare

COUNT, FIRST = 1000, 20


@pytest.fixture
def rising(tmp_path):
    """Images that become brighter and brighter, as a path."""
    path = tmp_path / "rising.npz"
    noise = np.random.default_rng(0).integers(0, 20, (COUNT, 8, 8))
    levels = np.linspace(0, 230, COUNT).round().astype(int)
    np.savez(path, images=(levels[:, None, None] + noise).astype(np.uint8))
    return str(path)


def train(path, folder):
    settings = {"steps": 2, "progress": False, "say": lambda _: None}
    return unbraid.train("vae", path, folder / "run", **settings)


def brightness(dataset):
    return dataset.pixels(torch.arange(len(dataset))).float().flatten(1).mean(1)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_the_first_of_held_out_data_are_like_all(rising, part):
    """In the order of the file the first 20 of 100 are dark; of random ones the mean lies within
    four standard errors, false alarm 1e-4, and the seeds are fixed."""
    found = brightness(getattr(prepare(TrainConfig("vae", rising)), part))
    assert len(found) == 100
    error = found.std() / FIRST**0.5
    assert (found[:FIRST].mean() - found.mean()).abs() < 4 * error
    lying = brightness(getattr(load(rising, seed=0), part))
    assert (lying[:FIRST].mean() - lying.mean()).abs() > 4 * error
    assert torch.equal(found.sort().values, lying.sort().values)


def test_other_seeds_of_the_run_have_the_same_order(rising):
    one, other = (prepare(TrainConfig("vae", rising, seed=s, data_seed=3)) for s in (0, 1))
    assert torch.equal(brightness(one.test), brightness(other.test))


def test_training_data_and_the_fingerprint_are_as_before(rising):
    found = prepare(TrainConfig("vae", rising))
    assert torch.equal(brightness(found.train), brightness(load(rising, seed=0).train))
    assert found.fingerprint == "8f81fafcd42fe4b4"  # of parts in their own order, as runs have it


def test_noise_that_is_drawn_once_stays_with_its_image(rising):
    whole = prepare(TrainConfig("vae", rising, binarise="dynamic")).test
    drawn = load(rising, seed=0, binarise="dynamic").test
    assert torch.equal(brightness(whole).sort().values, brightness(drawn).sort().values)


def test_data_in_no_order_stay_as_they_lie():
    found, splits = prepare(TrainConfig("vae", "mnist-small")), load("mnist-small", seed=0)
    assert not found.mixed
    assert torch.equal(brightness(found.test), brightness(splits.test))


@pytest.mark.parametrize(
    ("source", "options", "in_order"),
    [
        ("dsprites-small", {}, True),
        ("dsprites-small", {"groups": "shape"}, True),
        ("moving-mnist", {"digits_from": "mnist-small", "sequences": 40, "length": 4}, False),
        ("mnist-small", {}, False),
    ],
)
def test_sources_say_whether_their_order_tells_something(source, options, in_order):
    assert load(source, seed=0, options=options).in_order is in_order


@pytest.mark.parametrize("binarise", ["threshold", "dynamic"])
@pytest.mark.parametrize(
    ("source", "in_order"), [("dsprites-small", True), ("mnist-small", False)]
)
def test_binary_data_lie_as_their_source_does(source, in_order, binarise):
    assert load(source, seed=0, binarise=binarise).in_order is in_order


def test_estimates_of_a_few_are_the_first_of_those_of_all(rising, tmp_path):
    run = train(rising, tmp_path)
    few = run.log_likelihood(8, limit=FIRST, progress=False).log_likelihood
    every = run.log_likelihood(8, progress=False).log_likelihood
    assert torch.allclose(few, every[:FIRST], rtol=0, atol=1e-4)  # sums of float32


def test_estimates_in_another_order_are_not_compared_datum_by_datum(rising, tmp_path):
    run = train(rising, tmp_path)
    run.evaluate(samples=8, limit=FIRST, codes=False, progress=False)
    with np.load(run.folder / "evaluation.npz") as kept:
        assert str(kept["of"]).endswith("test in random order")


def test_a_few_training_data_stand_for_all_too(rising, tmp_path, monkeypatch):
    """Four standard errors, false alarm 1e-4, fixed seeds; the file's first 20 are the darkest."""
    run, seen = train(rising, tmp_path), []
    take = type(run.data.train).take
    monkeypatch.setattr(
        type(run.data.train), "take", lambda self, rows: seen.append(take(self, rows)) or seen[-1]
    )
    run.evaluate(samples=8, split="train", limit=FIRST, codes=False, progress=False)
    every = brightness(run.data.train)
    assert len(seen[0]) == FIRST
    assert (brightness(seen[0]).mean() - every.mean()).abs() < 4 * every.std() / FIRST**0.5
    with np.load(run.folder / "evaluation.npz") as kept:
        assert str(kept["of"]).endswith("train drawn at random")


def test_all_training_data_are_judged_as_they_lie(rising, tmp_path):
    run = train(rising, tmp_path)
    run.evaluate(samples=8, split="train", codes=False, progress=False)
    with np.load(run.folder / "evaluation.npz") as kept:
        assert str(kept["of"]).endswith("train")


def test_idx_files_of_ones_own_may_lie_in_an_order(tmp_path):
    """Train and t10k files whose labels rise: the first ten of the test part are not one class."""
    for prefix, count in (("train", 200), ("t10k", 100)):
        labels = np.repeat(np.arange(10, dtype=np.uint8), count // 10)
        images = np.random.default_rng(count).integers(0, 256, (count, 8, 8), np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4) for n in array.shape)
            (tmp_path / f"{prefix}-{kind}-ubyte").write_bytes(head + array.tobytes())
    found = prepare(TrainConfig("vae", str(tmp_path))).test
    assert len(set(found.annotations()["labels"][:10].tolist())) > 2
