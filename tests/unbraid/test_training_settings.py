"""Every setting of a training reaches `fit`, the batches or the optimiser."""

from dataclasses import fields

import pytest
import torch

import unbraid
from unbraid.config import Settings
from unbraid.inference import ImportanceWeighted, Objective

GIVEN = {
    "epochs": None,
    "steps": 7,
    "batch_size": 9,
    "learning_rate": 0.02,
    "schedule": "cosine",
    "clip_norm": 3.0,
    "ema": 0.5,
    "particles": 3,
    "binarise": "threshold",
    "rotate": 5.0,
    "translate": 0.05,
    "patience": 4,
    "validate_every": 2,
    "keep": "last",
    "seed": 11,
    "data_seed": 12,
    "start_from": None,  # has tests of its own
    "device": "cpu",
    "precision": "bfloat16",
    "mode": "eager",
}


@pytest.fixture
def handed_over(monkeypatch, tmp_path):
    """The arguments that `fit` is called with; nothing is trained."""

    class Called(Exception):
        pass

    def fit(*args, **settings):
        raise Called(args, settings)

    def train(**given):
        monkeypatch.setattr("unbraid.training.fit", fit)
        with pytest.raises(Called) as called:
            unbraid.train(
                "vae", "mnist-small", tmp_path / "run", force=True, progress=False, **given
            )
        args, settings = called.value.args
        return args[2], settings

    return train


def test_all_settings_are_tried():
    assert {field.name for field in fields(Settings)} == GIVEN.keys()
    defaults = {field.name: field.default for field in fields(Settings)}
    same = {name for name, value in GIVEN.items() if value == defaults[name]}
    # epochs are in place of steps; cosine is compared with constant
    assert same == {"epochs", "schedule", "start_from"}


def test_settings_reach_the_training(handed_over):
    batches, told = handed_over(**{k: v for k, v in GIVEN.items() if v is not None})
    for name in ("steps", "clip_norm", "ema", "precision", "mode", "patience", "validate_every"):
        assert told[name] == GIVEN[name], name
    assert told["seed"] == 11 and told["progress"] is False
    assert isinstance(told["objective"], ImportanceWeighted)
    assert told["objective"].num_particles == 3
    assert batches.batch_size == 9
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = told["optimizer"]([parameter])
    assert optimizer.param_groups[0]["lr"] == 0.02
    schedule = told["schedule"](optimizer)
    for _ in range(7):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0002)  # a hundredth, at the end


def test_defaults_reach_the_training(handed_over):
    _, told = handed_over(steps=3, schedule="constant")
    assert told["schedule"] is None and told["clip_norm"] is None and told["ema"] is None
    assert told["precision"] == "float32" and told["mode"] == "record"
    assert type(told["objective"]) is Objective and told["objective"].num_particles == 1


def test_a_longer_training_goes_on_as_if_it_had_been_meant_to_be_so_long(handed_over):
    """Its learning rate is that of the whole; a state of equal length is taken up to the bit."""

    def rates(steps, count, state=None):
        _, told = handed_over(steps=steps, learning_rate=0.02)
        optimizer = told["optimizer"]([torch.nn.Parameter(torch.zeros(1))])
        schedule = told["schedule"](optimizer)
        if state is not None:
            optimizer.load_state_dict(state[0])
            schedule.load_state_dict(state[1])
        found = [optimizer.param_groups[0]["lr"]]
        for _ in range(count):
            optimizer.step()
            schedule.step()
            found.append(optimizer.param_groups[0]["lr"])
        return found, (optimizer.state_dict(), schedule.state_dict())

    whole, _ = rates(20, 20)
    for first, state in (rates(8, 8), rates(30, 8)):
        assert first[-1] != pytest.approx(whole[8])
        on, _ = rates(20, 12, state)
        assert on == pytest.approx(whole[8:])
    _, state = rates(20, 8)
    assert rates(20, 12, state)[0] == whole[8:]


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("beta-vae", {"capacity": 5.0}, "particles is 2, but the weight of 'z' is a Capacity"),
        ("m2", {}, "sums out classes.*Train with particles=1"),
        ("mixing", {}, "particles is 2"),
    ],
)
def test_particles_that_cannot_be_had_are_refused_before_a_run_is_replaced(
    tmp_path, method, options, message
):
    place = tmp_path / "run"
    place.mkdir()
    (place / "config.json").write_text("of a run before")
    with pytest.raises(ValueError, match=message):
        unbraid.train(
            method,
            "mnist-small",
            place,
            options={"hidden": (9,), **options},
            force=True,
            progress=False,
            steps=2,
            particles=2,
        )
    assert (place / "config.json").read_text() == "of a run before"


def test_a_hook_that_cannot_be_had_is_refused_before_a_run_is_replaced(tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    (place / "config.json").write_text("of a run before")
    given = {"options": {"hidden": (9,)}, "force": True, "progress": False, "steps": 2}
    with pytest.raises(ValueError, match="hook 'mmd' reads site 'nowhere'; the pair has z, x"):
        unbraid.train("vae", "mnist-small", place, hooks=["mmd:site=nowhere"], **given)
    assert (place / "config.json").read_text() == "of a run before"


def test_several_particles_train(tmp_path):
    run = unbraid.train(
        "c-vitae",
        "mnist-small",
        tmp_path / "run",
        options={"hidden": (9,)},
        progress=False,
        steps=3,
        particles=3,
        batch_size=4,
    )
    assert run.step == 3 and run.config["particles"] == 3
    assert run.result is not None
    row = run.result.history[0]
    assert row["loss"] < -row["elbo"]  # the bound of three draws is above that of one
