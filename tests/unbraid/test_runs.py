"""Runs from Python: settings are checked, and a run is found and judged from anywhere."""

from typing import Any

import numpy as np
import pytest

import unbraid
from unbraid.methods import OptionError

TINY = {"hidden": (6,), "latent_dim": 2, "nets": "mlp"}


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.npz"
    generator = np.random.default_rng(0)
    np.savez(path, images=generator.integers(0, 2, (40, 9, 8), dtype=np.uint8) * 255)
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "fast"), ("schedule", "step"), ("precision", "half"), ("binarise", "yes")],
)
def test_a_choice_that_is_none_is_refused_by_name(name, value, tmp_path):
    with pytest.raises(OptionError, match=f"{name} is '{value}'; expected one of"):
        unbraid.train("vae", "mnist-small", tmp_path / "run", **{name: value})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("epoch", r"setting is 'epoch'; expected one of .*epochs.*Did you mean epochs\?"),
        ("latent_dim", r"setting is 'latent_dim', an option of vae. Pass options=\{'latent_dim'"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_name(name, message, tmp_path):
    settings: dict[str, Any] = {name: 3}
    with pytest.raises(OptionError, match=message):
        unbraid.train("vae", "mnist-small", tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_run_is_evaluated_and_resumed_from_another_folder(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"steps": 3, "batch_size": 8, "progress": False, "options": TINY}
    run = unbraid.train("vae", "images.npz", "run", say=lambda line: None, **settings)
    first = run.evaluate(samples=7, progress=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    again = unbraid.load("../run", device="cpu").evaluate(samples=7, progress=False)
    assert again == first
    assert first["elbo"] <= first["log_likelihood"]
    settings["steps"] = 5
    longer = unbraid.train(
        "vae", "../images.npz", "../run", resume=True, say=lambda line: None, **settings
    )
    assert longer.result is not None
    assert longer.result.step == 5


def test_a_report_shows_the_evaluation(images, tmp_path):
    run = unbraid.train(
        "beta-vae",
        str(images),
        tmp_path / "run",
        steps=3,
        batch_size=8,
        progress=False,
        say=lambda line: None,
        options={**TINY, "beta": 2.0},
    )
    before = run.report().read_text()
    assert "beta-vae on images.npz" in before
    evaluation = run.evaluate(samples=30, progress=False)
    after = run.report().read_text()
    assert f"{evaluation['log_likelihood']:.2f}" not in before
    assert f"{evaluation['log_likelihood']:.2f}" in after
    assert f"{evaluation['bits_per_dimension']:.4f}" in after
