"""Objects turned by actions as a method: its loss, stages, steps, resuming, figures, refusals."""

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from pyro.optim import ClippedAdam
from torch import Tensor

import unbraid as face
from tests.turntables import turntable
from unbraid.analysis import rotation_errors
from unbraid.data import Batches, DataError, Dataset
from unbraid.inference import (
    NoLikelihoodError,
    Objective,
    Step,
    check_pair,
    fit,
    log_likelihood,
    pair_parameters,
)
from unbraid.methods import DataSpec, OptionError, load_method, read_options
from unbraid.turning import shown_turns

FRAMES, SIDE = 12, 8
SHAPE = (1, SIDE, SIDE + 1)
DATA = DataSpec(SHAPE, "grey", 4, sequence_length=FRAMES)
SMALL: dict[str, Any] = {
    "hidden": (13,),
    "code_hidden": (9,),
    "content_dim": 4,
    "pose_dim": 6,
    "curriculum": (1, 3),
    "stage_steps": (2,),
}
CASES = [
    {},
    {"turn": "planes"},
    {"nets": "conv", "channels": (4, 5)},
    {"form": "variational", "warmup": 2},
    {"form": "variational", "turn": "planes", "likelihood": "normal-learned"},
]
cases = pytest.mark.parametrize("options", CASES, ids=str)
variational = pytest.mark.parametrize("options", CASES[3:], ids=str)


def built(data: DataSpec = DATA, **options: Any) -> Any:
    method = load_method("action-rotation")
    torch.manual_seed(1)
    return method.build(read_options(method.options, {**SMALL, **options}), data)


def pixels(data: Dataset) -> Tensor:
    return data.pixels(torch.arange(len(data))).float() / 255


def arguments(parts: Any, step: int = 5, dtype: torch.dtype = torch.float32) -> Any:
    batch = Batches(turntable(), 4, turning=parts.turning).batch(step)
    return tuple(batch[key].clone().to(dtype) for key in parts.keys)


@cases
def test_sites_and_samples(options):
    parts = built(**options)
    facts = check_pair(parts.model, parts.guide, *arguments(parts))
    assert (facts.latents, facts.observed) == (("content", "pose"), ("x",))
    assert (facts.size, facts.nesting) == (4, 2)
    assert parts.model(size=3).shape == (3, 1, *SHAPE)
    assert parts.model(actions=torch.zeros(3, 5)).shape == (3, 5, *SHAPE)


@variational
@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("analytic", [True, False])
def test_the_objective_is_pyros(options, particles, analytic):
    """At unit weights, on the same noise, in float64: value and gradients, to rounding."""
    parts = built(**options)
    model, guide = parts.model.double(), parts.guide.double()
    args = arguments(parts, dtype=torch.float64)
    kind = TraceMeanField_ELBO if analytic else Trace_ELBO
    stock = kind(num_particles=particles, vectorize_particles=True, max_plate_nesting=2)
    ours = Objective(particles=particles, analytic_kl=analytic)
    found = []
    for loss in (ours, stock):
        torch.manual_seed(3)
        value = loss.differentiable_loss(model, guide, *args)
        found.append([value, *torch.autograd.grad(value, pair_parameters(model, guide))])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@variational
def test_stock_pyro_trains_it(options):
    parts = built(**options)

    def registered(name: str, module: Any) -> Any:
        return lambda *args: pyro.module(name, module)(*args)

    model, guide = registered("model", parts.model), registered("guide", parts.guide)
    svi = SVI(model, guide, ClippedAdam({"lr": 0.01}), TraceMeanField_ELBO())
    args = arguments(parts)
    losses: Any = [svi.step(*args) for _ in range(20)]
    pyro.clear_param_store()
    assert losses[-1] < losses[0]


def test_the_published_loss_is_the_squared_error_of_every_frame():
    parts = built()
    with torch.no_grad():
        parts.model.turn.matrices += 0.2 * torch.randn(2, 6, 6)
    x, actions = arguments(parts)
    content, pose = parts.guide.content_encoder(x[:, 0]).v, parts.guide.pose_encoder(x[:, 0]).v
    right, left = parts.model.turn.matrices
    expected = 0.0
    for place in range(x.shape[1]):
        if place:
            moved = torch.where(actions[:, place, None] > 0, pose @ right.T, pose @ left.T)
            pose = moved
        decoded = parts.model.decoder.raw(torch.cat([content, pose], -1))
        expected = expected + (x[:, place] - decoded).square().sum() / len(x)
    pixels = x[0].numel()
    loss = Objective(parts.weights).mean_loss(parts.model, parts.guide, (x, actions))
    torch.testing.assert_close(loss.total, expected + 0.5 * pixels * np.log(np.pi))
    assert "elbo" not in loss.parts


@cases
def test_gradient_reaches_every_parameter_and_no_other_direction(options):
    parts = built(**options)
    objective = Objective(parts.weights)
    for _ in range(3):
        objective.advance()
    x, actions = arguments(parts)
    everywhere = (x, torch.where(torch.arange(4)[:, None] > 1, actions.abs(), -actions.abs()))
    loss = objective.mean_loss(parts.model, parts.guide, everywhere)
    for gradient in torch.autograd.grad(loss.total, pair_parameters(parts.model, parts.guide)):
        assert torch.isfinite(gradient).all() and (gradient != 0).any()
    if parts.model.turn.whole:
        loss = objective.mean_loss(parts.model, parts.guide, (x, actions.abs()))
        (gradient,) = torch.autograd.grad(loss.total, [parts.model.turn.matrices])
        assert gradient[0].any() and not gradient[1].any()


@cases
def test_a_recorded_step_is_the_eager_one_also_across_stages(options):
    """The same weights, to the bit, after steps of both stages: clips of 2 and of 4 frames."""
    found = []
    for mode in ("eager", "record"):
        parts = built(**options)
        parameters = pair_parameters(parts.model, parts.guide)
        objective = Objective(parts.weights)
        optimizer = torch.optim.Adam(parameters, lr=1e-2, fused=True)
        step = Step(parts.model, parts.guide, objective, optimizer, mode=mode)
        batches = Batches(turntable(), 4, turning=parts.turning)
        shapes = set()
        for number in range(4):
            torch.manual_seed(number)
            batch = batches.batch(number)
            shapes.add(batch["x"].shape)
            step(tuple(batch[key] for key in parts.keys), batch)
        assert len(shapes) == 2
        found.append([p.detach().clone() for p in parameters])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_the_likelihood_is_of_the_whole_clip():
    """The bound rises with samples towards a number that holds the first frame too."""
    parts = built(form="variational", scale=1.0)
    x, actions = arguments(parts)
    data = {"x": x, "actions": actions}
    result = log_likelihood(parts.model, parts.guide, data, keys=parts.keys, samples=50)
    assert (result.log_likelihood >= result.elbo).all()
    pushed = {**data, "x": x.clone()}
    pushed["x"][:, 0] = 1 - pushed["x"][:, 0]
    other = log_likelihood(parts.model, parts.guide, pushed, keys=parts.keys, samples=50)
    assert (other.log_likelihood < result.log_likelihood).all()


def test_it_learns_to_turn_objects():
    """On turns of which half of the frames train: half the error of a copy, at every angle."""
    data, held = turntable(frames=FRAMES), turntable(frames=FRAMES, start=45.0)
    parts = built(turn="planes", pose_dim=8, hidden=(64,), stage_steps=(60,))
    fit(
        parts.model,
        parts.guide,
        Batches(data, 4, turning=parts.turning),
        steps=500,
        keys=parts.keys,
        objective=Objective(parts.weights),
        optimizer=lambda p: torch.optim.Adam(p, lr=3e-3, fused=True),
        progress=False,
    )
    found = rotation_errors(parts.model, parts.guide, pixels(data), (1, 2, 3))
    assert all(a < 0.25 * b for a, b in zip(found.turned, found.copied, strict=True)), found
    found = rotation_errors(parts.model, parts.guide, pixels(held), (1, 2, 3))
    assert all(a < 0.5 * b for a, b in zip(found.turned, found.copied, strict=True)), found


@pytest.fixture
def shapes(tmp_path):
    """An .npz file of ten turning shapes, two of them backwards."""
    data = turntable(objects=10, falling=(2, 7))
    known = data.annotations()
    path = tmp_path / "shapes.npz"
    np.savez(
        path,
        sequences=data.pixels(torch.arange(10))[:, :, 0].numpy(),
        frame_factors=known["frame_factors"].numpy(),
        frame_factor_names=np.array(["light", "angle"]),
    )
    return path


def trained(data: Any, out: Any, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "steps": 6,
        "batch_size": 4,
        "schedule": "constant",
        "progress": False,
        "say": lambda _: None,
        **{k: v for k, v in changes.items() if k in ("steps", "resume", "data_options")},
    }
    options = {k: v for k, v in changes.items() if k not in settings}
    return face.train("action-rotation", str(data), out, options={**SMALL, **options}, **settings)


def test_a_run_resumes_to_the_bit_across_a_stage(shapes, tmp_path):
    whole = trained(shapes, tmp_path / "whole", steps=6, stage_steps=(4,))
    with pytest.raises(OptionError, match=r"the training has 3 steps, and the stages before .* 4"):
        trained(shapes, tmp_path / "none", steps=3, stage_steps=(4,))
    parts = trained(shapes, tmp_path / "parts", steps=5, stage_steps=(4,))
    parts = trained(shapes, tmp_path / "parts", steps=6, stage_steps=(4,), resume=True)
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("form", ["published", "variational"])
def test_a_run_is_reported_and_judged(shapes, tmp_path, form):
    run = trained(shapes, tmp_path / "run", form=form)
    page = run.report().read_text(encoding="utf-8")
    assert "Objects turned by actions" in page
    for name in ("turns.png", "turns.gif"):
        assert (run.folder / "figures" / name).stat().st_size > 0
    if form == "published":
        with pytest.raises(NoLikelihoodError, match="content"):
            run.evaluate(4, progress=False)
        return
    found = run.evaluate(4, progress=False)
    assert "all frames of a clip, the first included, given the actions" in found["remark"]
    assert np.isfinite(found["log_likelihood"])
    assert json.loads((run.folder / "evaluation.json").read_text())["codes"]["left_out"]
    shorter = run.log_likelihood(4, frames=2, progress=False)
    assert shorter.log_likelihood.shape == (len(run.data.test),)
    with pytest.raises(OptionError, match="turns are"):
        run.log_likelihood(4, frames=1, progress=False)


def test_views_are_turned_by_names_and_by_numbers(shapes, tmp_path):
    run = trained(shapes, tmp_path / "run", turn="planes")
    turns, directions = shown_turns(run, "test")
    views: Tensor = turns[:, 0]
    assert set(directions.tolist()) <= {1.0, -1.0}
    once = face.turn(run, views, ["right", "none", "left", 12, 0.5])
    assert once.shape == (len(views), 5, *SHAPE)
    torch.testing.assert_close(once[:, 1], once[:, 0])
    torch.testing.assert_close(once[:, 3], once[:, 2], atol=1e-5, rtol=0)  # a whole turn
    assert not torch.allclose(once[:, 4], once[:, 3], atol=1e-5)
    each = face.turn(run, views[:1].repeat(2, 1, 1, 1), [["left"], ["right"]])
    assert each.shape == (2, 1, *SHAPE)
    assert not torch.equal(each[0], each[1])


def test_unknown_actions_are_refused(shapes, tmp_path):
    run = trained(shapes, tmp_path / "run")
    views = shown_turns(run, "test")[0][:, 0]
    for actions, words in (
        (["up"], "action is 'up'; expected left, none, right. Name one, or give a"),
        ([0.5], "action is 0.5; expected -1, 0 or 1 with turn=tensor.*or train with turn=planes"),
        ([], "expected at least one"),
        ([["left"], ["left", "right"]], "as many for each view. Give one sequence for all"),
    ):
        with pytest.raises(OptionError, match=words):
            face.turn(run, views, actions)
    other = face.train(
        "drnet",
        str(shapes),
        tmp_path / "other",
        steps=2,
        options={"hidden": (5,), "code_hidden": (4,)},
        batch_size=4,
        progress=False,
        say=lambda _: None,
    )
    for refused in (lambda: face.turn(other, views, ["left"]), lambda: shown_turns(other, "test")):
        with pytest.raises(
            OptionError, match=r"drnet turns nothing.*unbraid train action-rotation"
        ):
            refused()


def test_data_that_are_no_turntables_are_refused_before_training(shapes, tmp_path):
    with np.load(shapes) as file:
        arrays = dict(file)
    for name, changes, words in (
        ("none", {"frame_factors": None, "frame_factor_names": None}, "frames of none are none"),
        ("part", {"sequences": arrays["sequences"][:, :6],
                  "frame_factors": arrays["frame_factors"][:, :6]}, "expected 60 all along"),
    ):  # fmt: skip
        kept = {k: v for k, v in {**arrays, **changes}.items() if v is not None}
        np.savez(tmp_path / f"{name}.npz", **kept)
        with pytest.raises(DataError, match=words):
            trained(tmp_path / f"{name}.npz", tmp_path / "out")
        assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="are light, angle; expected azimuth"):
        trained(shapes, tmp_path / "out", factor="azimuth")
    with pytest.raises(OptionError, match="curriculum is 1,12; expected 1 to 11 rotations"):
        trained(shapes, tmp_path / "out", curriculum=(1, 12))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sequence_length": None}, "data are images; expected whole turns"),
        ({"ragged": True}, "sequences of different lengths; expected whole turns"),
    ],
)
def test_other_data_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        built(DataSpec(SHAPE, "grey", 4, **{"sequence_length": FRAMES, **changes}))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"curriculum": ()}, "curriculum is"),
        ({"curriculum": (0, 2)}, "curriculum is 0"),
        ({"stage_steps": (2, 3)}, "stage_steps are 2 numbers beside 2 stages"),
        ({"turn": "planes", "pose_dim": 5}, "pose_dim is 5 with turn=planes; expected an even"),
        ({"warmup": 3}, "warmup is 3 with form=published; expected 0"),
        ({"scale": 0.0}, "scale is 0.0"),
        ({"rounds": (0,)}, "rounds is 0"),
    ],
    ids=str,
)
def test_options_out_of_range(options, words):
    with pytest.raises(OptionError, match=words):
        built(**options)


EFFECTS: dict[str, Any] = {
    "likelihood": "continuous-bernoulli",
    "nets": "conv",
    "hidden": (11,),
    "channels": (3, 4),
    "activation": "tanh",
    "code_spread": 2.0,
    "decoder": "broadcast",
    "broadcast_hidden": (8, 7),
    "form": "variational",
    "turn": "planes",
    "rounds": (2, 5),
    "scale": 0.3,
    "content_dim": 5,
    "pose_dim": 8,
    "code_hidden": (8, 7),
    "warmup": 4,
    "curriculum": (2, 5),
    "stage_steps": (3,),
    "factor": "azimuth",
}
BESIDE: dict[str, dict[str, Any]] = {
    "channels": {"nets": "conv"},
    "decoder": {"broadcast_patch": 1},
    "broadcast_hidden": {"decoder": "broadcast", "broadcast_patch": 1},
    "rounds": {"turn": "planes"},
    "warmup": {"form": "variational"},
}


OPTIONS = {f.name for f in fields(load_method("action-rotation").options)}


# Squares of one pixel alone fill these frames: others are tried on images.
@pytest.mark.parametrize("option", sorted(OPTIONS - {"broadcast_patch"}))
def test_no_option_is_without_effect(option):
    """On the clips or on the loss of the same batch, before the first step."""
    found = []
    for value in ({}, {option: EFFECTS[option]}):
        parts = built(**BESIDE.get(option, {}), **value)
        torch.manual_seed(2)
        args = arguments(built())
        loss = Objective(parts.weights).mean_loss(parts.model, parts.guide, args)
        found.append((loss.total.item(), parts.turning))
    assert found[0] != found[1]
