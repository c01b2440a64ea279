"""Runs of several seeds are judged on the same images where the data have a seed of their own."""

import json

import numpy as np
import pytest
import torch

import unbraid
from unbraid.__main__ import main
from unbraid.config import TrainConfig
from unbraid.methods import OptionError
from unbraid.preparation import prepare

MOVED = {"rotate": 30.0, "translate": 0.2, "binarise": "dynamic"}


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.npz"
    draw = np.random.default_rng(0)
    np.savez(path, images=draw.integers(0, 256, (60, 9, 8), dtype=np.uint8))
    return str(path)


def parts(data):
    """All pixels of a run's three parts, as they are before training augments them."""
    datasets = (data.train, data.validation, data.test)
    return [dataset.pixels(torch.arange(len(dataset))) for dataset in datasets]


def prepared(images, **settings):
    return prepare(TrainConfig("vae", images, **settings))


@pytest.mark.parametrize("settings", [{}, {"rotate": 30.0}, {"binarise": "dynamic"}, MOVED])
def test_one_seed_of_the_data_gives_one_set_of_images(images, settings):
    first, second = (
        prepared(images, seed=seed, data_seed=7, **settings) for seed in (0, 2**32 - 1)
    )
    assert all(map(torch.equal, parts(first), parts(second)))
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("settings", [{}, MOVED])
def test_another_seed_of_the_data_gives_other_images(images, settings):
    first, second = (prepared(images, data_seed=seed, **settings) for seed in (7, 8))
    assert not any(map(torch.equal, parts(first), parts(second)))


def test_the_seed_of_the_run_serves_unless_one_is_given(images):
    alone, given = prepared(images, seed=5, **MOVED), prepared(images, data_seed=5, **MOVED)
    assert all(map(torch.equal, parts(alone), parts(given)))


def test_loaded_runs_of_two_seeds_have_the_same_images_and_other_weights(images, tmp_path):
    runs = []
    for seed in (1, 2):
        folder = tmp_path / f"run{seed}"
        words = ["train", "vae", "--data", images, "--out", folder, "--seed", seed]
        words += ["--data-seed", 9, "--steps", 2, "--batch-size", 8, "--rotate", 30]
        words += ["--binarise", "dynamic", "--set", "hidden=6", "latent_dim=2", "nets=mlp"]
        assert main([str(word) for word in words]) == 0
        config = json.loads((folder / "config.json").read_text())
        assert (config["seed"], config["data_seed"]) == (seed, 9)
        assert f"--seed {seed} --data-seed 9 " in config["command"] + " "
        runs.append(unbraid.load(folder, device="cpu"))
    first, second = runs
    assert all(map(torch.equal, parts(first.data), parts(second.data)))
    weights = [next(run.guide.parameters()) for run in runs]
    assert not torch.equal(*weights)


def test_a_run_of_before_there_was_one_still_loads(images, tmp_path):
    settings = {"steps": 2, "batch_size": 8, "seed": 3, "progress": False}
    options = {"hidden": (6,), "latent_dim": 2, "nets": "mlp"}
    quiet = {"say": lambda line: None, "options": options}
    run = unbraid.train("vae", images, tmp_path / "run", **settings, **quiet)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config.pop("data_seed") is None
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    again = unbraid.load(tmp_path / "run", device="cpu")
    assert all(map(torch.equal, parts(run.data), parts(again.data)))
    resumed = unbraid.train(
        "vae", images, tmp_path / "run", resume=True, **{**settings, "steps": 3}, **quiet
    )
    assert resumed.result is not None
    assert resumed.result.step == 3


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(OptionError, match=r"data_seed is .*; expected an integer from 0 to 4294"):
        TrainConfig("vae", "mnist-small", data_seed=seed)
