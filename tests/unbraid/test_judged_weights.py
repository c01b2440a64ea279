"""Which weights of a run are judged: a bound that training does not raise chooses none."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import unbraid as face
from unbraid.inference import Checkpoints
from unbraid.methods import DataSpec, OptionError, judged_weights, load_method, read_options

DATA = DataSpec((1, 6, 7), "binary", 120)
AUTO: dict[str, Any] = {"keep": "auto", "hooks": [], "patience": None}
STEPS = 60


def judged(name: str, options: dict[str, Any], **config: Any) -> str:
    method = load_method(name)
    small = {"hidden": (9,), "latent_dim": 4}
    parts = method.build(read_options(method.options, {**small, **options}), DATA)
    return judged_weights({**AUTO, **config}, parts)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("vae", {}, "best-or-last"),
        ("vae", {"warmup": 5}, "best-or-last"),
        ("beta-vae", {"beta": 1.0}, "best-or-last"),
        ("beta-vae", {"beta": 4.0}, "last"),
        ("beta-vae", {"beta": 0.1}, "last"),
        ("beta-tcvae", {}, "last"),
        ("factor-vae", {}, "last"),
        ("mmd-vae", {"alpha": 0.5}, "last"),
    ],
)
def test_the_best_bound_chooses_where_the_loss_comes_to_be_that_bound(name, options, expected):
    assert judged(name, options) == expected


def test_what_is_asked_for_comes_first():
    assert judged("vae", {}, hooks=["tc:beta=6"]) == "last"
    assert judged("vae", {}, hooks=["tc:beta=6"], patience=3) == "best-or-last"
    assert judged("vae", {}, keep="last") == "last"
    assert judged("vae", {}, particles=4) == "last"  # which raises another bound
    assert judged("vae", {}, particles=4, keep="best") == "best-or-last"
    assert judged("factor-vae", {}, keep="best") == "best-or-last"
    config = {key: value for key, value in AUTO.items() if key != "keep"}  # of an older version
    method = load_method("factor-vae")
    parts = method.build(read_options(method.options, {"hidden": (9,)}), DATA)
    assert judged_weights(config, parts) == "best-or-last"


def trained(place: Path, **settings: Any) -> face.Run:
    """A divergence that is held at more and more nats, so that the bound falls in the end."""
    return face.train(
        "beta-vae",
        str(place / "digits.npz"),
        place / "run",
        options={"hidden": (8,), "latent_dim": 2, "capacity": 400.0, "capacity_steps": STEPS},
        steps=STEPS,
        batch_size=5,
        learning_rate=0.03,
        schedule="constant",
        validate_every=STEPS // 10,
        progress=False,
        say=lambda _: None,
        **settings,
    )


def test_a_weighted_divergence_keeps_the_last_weights_and_others_on_request(place):
    run = trained(place)
    assert run.result is not None and run.result.best_step is not None
    assert run.result.best_step < STEPS
    assert run.step == STEPS == face.load(place / "run").step
    asked = trained(place, keep="best", resume=True)
    assert asked.step == run.result.best_step == face.load(place / "run").step
    path = place / "run" / "config.json"
    older = {k: v for k, v in json.loads(path.read_text()).items() if k != "keep"}
    path.write_text(json.dumps(older))
    assert face.load(place / "run").step == run.result.best_step


def test_the_command_says_which_step_is_judged_where_it_is_not_the_best(unbraid, place):
    words = ["train", "beta-vae", "--data", "digits.npz", "--out", "run", "--steps", STEPS]
    words += ["--set", "hidden=8", "latent_dim=2", "capacity=400", f"capacity_steps={STEPS}"]
    words += ["--batch-size", 5, "--learning-rate", 0.03, "--schedule", "constant"]
    words += ["--validate-every", STEPS // 10]
    outcome = unbraid(*words)
    assert outcome.code == 0, outcome.err
    assert f"of step {STEPS} (see --keep)" in outcome.out
    best = Checkpoints(Path("run/checkpoints")).best_step()
    told = json.loads(unbraid(*words, "--force", "--keep", "best", "--json").out)
    assert best is not None and told["judged_step"] == best < STEPS
    assert (
        "keep is best; expected auto or last"
        in unbraid(
            "train",
            "aae",
            "--data",
            "digits.npz",
            "--out",
            "other",
            "--steps",
            2,
            "--keep",
            "best",
        ).err
    )


def test_weights_of_another_run_are_those_that_are_judged(place):
    """`m2` on the codes of a run that keeps its last weights."""
    from unbraid.methods.trained import trained_parts

    run = trained(place)
    _, parts = trained_parts("features", str(run.folder))
    for own, other in zip(run.model.parameters(), parts.model.parameters(), strict=True):
        assert own.equal(other)
    best = Checkpoints(run.folder / "checkpoints")
    best.load_modules({"model": parts.model}, "best")
    pairs = zip(run.model.parameters(), parts.model.parameters(), strict=True)
    assert not all(own.equal(other) for own, other in pairs)


def test_an_unknown_choice_is_refused():
    from unbraid.config import TrainConfig

    with pytest.raises(OptionError, match="keep is 'newest'; expected one of auto, best, last"):
        replace(TrainConfig("vae", "digits.npz"), keep="newest")
    assert asdict(TrainConfig("vae", "digits.npz"))["keep"] == "auto"
