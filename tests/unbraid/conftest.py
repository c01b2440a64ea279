"""Fixtures of the command line: an empty place to work in, tiny data, and one tiny trained run."""

import json
import re
import shutil
import warnings
from typing import NamedTuple

import numpy as np
import pytest

from unbraid.__main__ import main

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 9), np.uint8)
TINY = ["--set", "hidden=8", "latent_dim=2", "--batch-size", "5"]


class Outcome(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    def check_refused(self, code, message):
        """One line on standard error, nothing on standard output, and the exit code."""
        assert self.code == code, self
        assert self.out == ""
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert lines[-1].startswith("unbraid: ")
        assert re.search(message, lines[-1]), lines[-1]
        assert sum(line.startswith("unbraid: ") and "warning" not in line for line in lines) == 1


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with `digits.npz` in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UNBRAID_DATA", raising=False)
    monkeypatch.delenv("UNBRAID_DEBUG", raising=False)
    np.savez("digits.npz", images=IMAGES)
    return tmp_path


@pytest.fixture
def unbraid(place, capfd):
    """Run the command line in this process, with warnings shown as a user sees them."""

    def run(*words):
        capfd.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            code = main([str(word) for word in words])
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    np.savez(folder / "digits.npz", images=IMAGES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["train", "vae", "--data", "digits.npz", "--out", "run", "--steps", "4", *TINY]
        assert main([*words, "--validate-every", "2"]) == 0
    return folder / "run"


@pytest.fixture
def trained(place, trained_once):
    """A run of four steps on `digits.npz`, in the folder `run`, with checkpoints 2 and 4."""
    shutil.copytree(trained_once, "run")
    config = json.loads((place / "run" / "config.json").read_text())
    config["data"] = str(place / "digits.npz")
    (place / "run" / "config.json").write_text(json.dumps(config))
    return place / "run"


@pytest.fixture
def train_words():
    """Words that train in an instant; more of them override these."""

    def words(*more, data="digits.npz", out="run", method="vae", steps=4):
        start = ["train", method, "--data", data, "--out", out, "--steps", str(steps)]
        return [*start, *TINY, *more]

    return words
