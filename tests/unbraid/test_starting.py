"""A training that begins with the weights of a run, from Python and from the command line."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

import unbraid as face
from unbraid.exit_codes import MISMATCH, USAGE

HOOK = "factor:hidden=6,gamma=2"


@pytest.fixture
def first(unbraid, place):
    """A run of four steps whose hook has a net, in the folder `first`."""
    outcome = unbraid(*words("first", "--hook", HOOK, "--steps", "4", "--ema", "0.5"))
    assert outcome.code == 0, outcome.err
    return Path("first")


def words(out, *more, method="vae"):
    small = ["--set", "hidden=8", "latent_dim=2", "--batch-size", "5", "--data", "digits.npz"]
    return ["train", method, *small, "--out", out, *more]


@pytest.fixture
def begun(monkeypatch):
    """What `fit` is given: the weights of the pair and of the hooks; nothing is trained."""

    class Called(Exception):
        pass

    def fit(model, guide, *args, objective, **settings):
        raise Called(model.state_dict(), guide.state_dict(), objective.as_module().state_dict())

    def train(*args, say=print, **settings):
        monkeypatch.setattr("unbraid.training.fit", fit)
        with pytest.raises(Called) as called:
            given = {"progress": False, "force": True, "batch_size": 5, "steps": 2, "say": say}
            face.train(*args, **given, **settings)
        return called.value.args

    return train


OPTIONS: dict[str, Any] = {"hidden": (8,), "latent_dim": 2}


def same(found, expected):
    """Whether two dicts of weights are equal, to the bit."""
    return found.keys() == expected.keys() and all(v.equal(expected[k]) for k, v in found.items())


@pytest.mark.parametrize("method", ["vae", "beta-vae"])
def test_the_pair_has_the_judged_weights_and_the_hook_its_net(first, begun, method):
    """Those that are averaged, where the run has such; also of another method's pair."""
    said = []
    given = {"options": OPTIONS, "start_from": str(first), "hooks": [HOOK, "tc"]}
    model, guide, hooks = begun(method, "digits.npz", "second", say=said.append, **given)
    run = face.load(first)
    assert same(model, run.model.state_dict()) and same(guide, run.guide.state_dict())
    kept = load_file(next(first.glob("checkpoints/ckpt-*4")) / "weights.safetensors")
    theirs = {k: v for k, v in kept.items() if k.startswith("objective.hooks.0.")}
    assert not same(model, {k[6:]: v for k, v in kept.items() if k.startswith("model.")})
    nets = [name for name in theirs if not name.endswith("step")]
    assert len(nets) >= 4
    for name in nets:
        assert hooks[name.removeprefix("objective.")].equal(theirs[name]), name
    line = f"begins with the weights of {first}, step 4: model, guide, hook factor"
    assert line in said


def test_nets_of_hooks_that_the_run_has_not_begin_anew(first, begun):
    plain = begun("vae", "digits.npz", "second", options=OPTIONS, hooks=[HOOK])
    wider = "factor:hidden=7,gamma=2"
    for hooks in ([wider], ["prior:hidden=6"]):
        given = {"options": OPTIONS, "hooks": hooks}
        said: list[str] = []
        fresh = begun("vae", "digits.npz", "second", **given)
        model, _, nets = begun(
            "vae", "digits.npz", "second", start_from=first, say=said.append, **given
        )
        assert not same(model, plain[0])
        assert same(nets, fresh[2])
        assert f"begins with the weights of {first}, step 4: model, guide" in said


def test_schedules_begin_anew(first, begun):
    """Those of the run's hook have made four steps."""
    kept = load_file(next(first.glob("checkpoints/ckpt-*4")) / "weights.safetensors")
    assert kept["objective.hooks.0.step"] == 4
    given = {"options": OPTIONS, "hooks": [HOOK], "start_from": str(first)}
    assert begun("vae", "digits.npz", "second", **given)[2]["hooks.0.step"] == 0


def test_the_command_of_the_run_says_so_and_a_resume_needs_it_no_more(first, unbraid):
    """A run is resumed from its own checkpoint, though the first one is gone."""
    again = words("second", "--start-from", "first", "--steps", "3")
    assert unbraid(*again).code == 0
    config = json.loads(Path("second/config.json").read_text())
    assert config["start_from"] == str(first.resolve())
    asked = shlex.split(config["command"])
    assert asked[asked.index("--start-from") + 1] == str(first.resolve())
    shutil.rmtree(first)
    outcome = unbraid(*words("second", "--steps", "5", "--resume"))
    outcome.check_refused(MISMATCH, "start_from is none, but the run was started with .*first")
    assert unbraid(*words("second", "--start-from", "first", "--steps", "5", "--resume")).code == 0
    config = json.loads(Path("second/config.json").read_text())
    assert config["steps"] == 5 and config["start_step"] == 4
    face.load("second").report()
    card = Path("second/model_card.md").read_text()
    assert "Begun with the weights of" in card and "first, step 4" in card


def test_a_run_that_does_not_fit_is_refused_before_anything_is_written(first, unbraid):
    wide = [word if word != "hidden=8" else "hidden=9" for word in words("second")]
    outcome = unbraid(*wide, "--start-from", "first", "--steps", "1")
    outcome.check_refused(
        USAGE,
        r"start_from is first, a run of vae whose model has shape \(8,\) as .*, where this one "
        r"has shape \(9,\); expected the same nets. Give the options of that run",
    )
    learned = words("second", "--set", "likelihood=normal-learned", "--start-from", "first")
    outcome = unbraid(*learned, "--steps", "1")
    outcome.check_refused(USAGE, "whose model has nothing as .*, where this one has shape")
    outcome = unbraid(*words("second", "--start-from", "nowhere"))
    outcome.check_refused(MISMATCH, "nowhere has no config.json; expected the folder of a run")
    assert not Path("second").exists()


def test_data_that_are_held_out_are_none_that_the_first_run_has_trained_on(first, unbraid):
    """The same data split by another seed would be; other data, or the same split, are not."""
    outcome = unbraid(*words("second", "--start-from", "first", "--seed", "7"))
    outcome.check_refused(
        USAGE, "split by the seed 0, and are now split by 7.*the same split. Give --data-seed 0"
    )
    assert not Path("second").exists()
    again = words("second", "--start-from", "first", "--seed", "7", "--steps", "1")
    assert unbraid(*again, "--data-seed", "0").code == 0
    shutil.copy("digits.npz", "others.npz")
    others = [word if word != "digits.npz" else "others.npz" for word in again]
    assert unbraid(*others, "--force").code == 0


def test_nets_of_hooks_are_of_the_same_step_as_the_pair(begun, unbraid, place):
    """Of the best step, where that is the one that is judged, and not the last."""
    given = ["--hook", HOOK, "--steps", "6", "--validate-every", "1", "--keep", "best"]
    assert unbraid(*words("first", *given, "--learning-rate", "5")).code == 0
    step = face.load("first").step
    assert step < 6
    kept = load_file(Path(f"first/checkpoints/ckpt-{step:06d}/weights.safetensors"))
    given = {"options": OPTIONS, "hooks": [HOOK], "start_from": "first"}
    model, _, hooks = begun("vae", "digits.npz", "second", **given)
    for found, prefix in ((model, "model."), (hooks, "objective.")):
        mine = {k: v for k, v in found.items() if not k.endswith("step")}
        assert mine and all(v.equal(kept[prefix + k]) for k, v in mine.items())


def test_what_a_pair_takes_from_another_run_already_is_not_taken_twice(first, unbraid):
    """The second model of M1+M2 begins with the codes of the first, which is an option."""
    labels = np.arange(30) % 3
    np.savez("labelled.npz", images=np.load("digits.npz")["images"], labels=labels)
    given = ["--data", "labelled.npz", "--set", "features=first", "--start-from", "first"]
    outcome = unbraid("train", "m2", *given, "--out", "second")
    outcome.check_refused(USAGE, "taken from features, .*first; expected nothing. Leave")
    for wrong in (3, ""):
        with pytest.raises(ValueError, match=r"start_from is .*; expected the path of a run's"):
            face.train("vae", "digits.npz", "second", start_from=wrong)


@pytest.mark.parametrize("source", ["first", "first/../first"])
def test_a_run_in_the_folder_that_is_written_is_refused(first, unbraid, source):
    before = sorted(first.rglob("*"))
    outcome = unbraid(*words("first", "--start-from", source, "--force"))
    outcome.check_refused(USAGE, "is to be written; expected a run elsewhere. Choose another")
    assert sorted(first.rglob("*")) == before
