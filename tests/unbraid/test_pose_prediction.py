"""Prediction in pose space: what is built and trained, on which runs, and the command."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, features
from torch.utils._python_dispatch import TorchDispatchMode

import unbraid as face
from unbraid.data import Batches, Dataset
from unbraid.inference import LeftOut, Objective, Step, check_pair, pair_parameters
from unbraid.methods import DataSpec, OptionError, load_method, read_options

CLIPS = np.random.default_rng(0).integers(0, 256, (30, 9, 12, 13), np.uint8)
LENGTHS = np.array([9, 7, 8] * 10)
DATA = DataSpec((1, 12, 13), "grey", 24, sequence_length=9)
NETS = ["hidden=8", "dynamic_dim=3", "code_hidden=7"]
POINTS = ["similarity=0", "adversary=0"]
RUNS = {
    "drnet": ["drnet", *NETS, "static_dim=4", "critic_hidden=5"],
    "skips": ["drnet", *NETS, "static_dim=4", *POINTS, "skips=true", "nets=conv", "channels=3,4"],
    "normals": ["drnet", *NETS, "static_dim=4", *POINTS, "form=variational"],
    "warmed": [
        *("drnet", *NETS, "static_dim=4", *POINTS),
        *("form=variational", "content_warmup=2", "join=modulate"),
    ],
    "frames": ["drnet", *NETS, "static_dim=0", *POINTS],
    "frames-normal": ["drnet", *NETS, "static_dim=0", *POINTS, "form=variational"],
    "static-dynamic": ["static-dynamic", *NETS, "static_dim=4"],
}
SMALL: dict[str, Any] = {"hidden": 6, "n_past": 3, "n_future": 4}
every_run = pytest.mark.parametrize("name", RUNS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with a run of four steps of every kind that predictions may build on."""
    folder = tmp_path_factory.mktemp("runs")
    np.savez(folder / "clips.npz", sequences=CLIPS)
    np.savez(folder / "images.npz", images=CLIPS[:, 0])
    common: dict[str, Any] = {
        "steps": 4,
        "batch_size": 5,
        "progress": False,
        "say": lambda *words: None,
    }
    for name, (method, *words) in RUNS.items():
        options = dict(word.split("=") for word in words)
        clips = folder / "clips.npz"
        face.train(method, str(clips), folder / name, options=options, **common)
    options = {"hidden": "8", "latent_dim": "2"}
    face.train("vae", str(folder / "images.npz"), folder / "vae", options=options, **common)
    return folder


def build(runs: Path, name: str, data: DataSpec = DATA, **options: Any) -> Any:
    method = load_method("pose-prediction")
    torch.manual_seed(1)
    chosen = {**SMALL, "codes": str(runs / name), **options}
    return method.build(read_options(method.options, chosen), data)


def batch(step: int = 0) -> torch.Tensor:
    images = torch.from_numpy(CLIPS)[:, :, None]
    return Batches(Dataset(images), 5, frames=7, ordered=True).batch(step)["x"].clone()


@every_run
def test_the_codes_are_those_of_the_run(name, runs):
    """Content of the last seen frame, poses of each frame, as the run's own encoders tell them."""
    parts = build(runs, name)
    run = face.load(runs / name, "cpu")
    x = batch()
    facts = check_pair(parts.model, parts.guide, x)
    assert facts.latents == ("content", "pose") and facts.size == 5
    guide: Any = run.guide
    if name == "static-dynamic":
        content = guide.static_encoder(guide.trunk(x[:, 2:3]), None).mean
        poses = guide.dynamic_encoder(guide.trunk(x).flatten(-3), content).mean
    else:
        content = guide.content_encoder(x[:, 2:3], None).mean
        poses = guide.pose_encoder(x).mean
    found = parts.guide.codes.content(x[:, 2:3]).mean
    torch.testing.assert_close(found, content)
    own = parts.guide.codes.pose(x.unsqueeze(1), found.unsqueeze(-2)).mean
    torch.testing.assert_close(own.squeeze(1), poses)
    decoder: Any = run.model.decoder
    codes = torch.cat([content.expand(-1, 7, -1), poses], -1)
    torch.testing.assert_close(parts.model.decoder(codes).mean, decoder(codes).mean)
    shown = {"frames": 0, "frames-normal": 0}.get(name, 4)
    assert parts.model.transition.content_dim == shown
    assert parts.model.transition.dim == 3
    assert parts.likelihood.name == run.parts.likelihood.name


@every_run
def test_the_loss_is_the_density_of_the_poses(name, runs):
    """Of points; of Normals the negative bound, of which that is the only part that learns."""
    parts = build(runs, name)
    x = batch()
    objective = Objective(parts.weights, parts.hooks)
    torch.manual_seed(3)
    loss = objective.mean_loss(parts.model, parts.guide, (x,))
    terms = loss.terms
    content, poses = terms["content"].value, terms["pose"].value
    density = parts.model.transition(content, 7).log_prob(poses).sum() / 5
    parameters = pair_parameters(parts.model, parts.guide)
    found = torch.autograd.grad(loss.total, parameters, retain_graph=True)
    for a, b in zip(found, torch.autograd.grad(-density, parameters), strict=True):
        torch.testing.assert_close(a, b)
        assert a.isfinite().all() and (a != 0).any()
    assert {id(p) for p in parameters} == {id(p) for p in parts.model.transition.parameters()}
    if name in ("drnet", "skips", "frames"):
        torch.testing.assert_close(loss.total, -density)
        assert "elbo" not in loss.parts and not parts.choose_by_bound and parts.remark is None
    else:
        torch.testing.assert_close(loss.parts["elbo"], -loss.total.detach())
        assert parts.choose_by_bound and "successive frames" in parts.remark


@pytest.mark.parametrize("name", ["normals", "static-dynamic", "frames-normal"])
def test_without_draws_the_means_are_points(name, runs):
    """The loss has no noise, is the density of the means and no bound."""
    parts, drawn = build(runs, name, draws=False), build(runs, name)
    x = batch()
    objective = Objective(parts.weights, parts.hooks)
    torch.manual_seed(3)
    loss = objective.mean_loss(parts.model, parts.guide, (x,))
    content = drawn.guide.codes.content(x[:, 2:3]).mean
    poses = drawn.guide.codes.pose(x.unsqueeze(1), content.unsqueeze(-2)).mean
    density = parts.model.transition(content, 7).log_prob(poses).sum() / 5
    torch.testing.assert_close(loss.total, -density)
    torch.manual_seed(4)
    again = objective.mean_loss(parts.model, parts.guide, (x,))
    assert torch.equal(again.total, loss.total)
    assert "elbo" not in loss.parts and not parts.choose_by_bound and parts.remark is None
    parameters = pair_parameters(parts.model, parts.guide)
    assert {id(p) for p in parameters} == {id(p) for p in parts.model.transition.parameters()}


def test_the_published_loss_is_the_squared_error_of_the_next_pose(runs):
    """With deviations of sqrt(1/2), but for a constant and the first pose."""
    parts = build(runs, "drnet", scale=0.5**0.5)
    x = batch()
    content = parts.guide.codes.content(x[:, 2:3]).mean
    poses = parts.guide.codes.pose(x, content).mean
    means = parts.model.transition.means(poses, content[:, 0])
    error = (poses - means)[:, 1:].square().sum() / 5
    first = (0.5 * poses[:, 0] ** 2 + 0.5 * np.log(2 * np.pi)).sum() / 5
    constant = 6 * 3 * 0.5 * np.log(np.pi)
    loss = Objective(parts.weights).mean_loss(parts.model, parts.guide, (x,))
    torch.testing.assert_close(loss.total, error + first + constant)


@pytest.mark.parametrize("name", ["drnet", "normals", "static-dynamic"])
def test_recorded_steps_are_eager_steps_to_the_bit_and_move_the_transition_alone(name, runs):
    found = []
    for mode in ("eager", "record"):
        parts = build(runs, name)
        frozen = {**parts.guide.state_dict(), **parts.model.decoder.state_dict()}
        before = {key: value.clone() for key, value in frozen.items()}
        parameters = pair_parameters(parts.model, parts.guide)
        optimizer = torch.optim.Adam(parameters, lr=1e-2, fused=True)
        objective = Objective(parts.weights, parts.hooks)
        step = Step(parts.model, parts.guide, objective, optimizer, mode=mode)
        losses = []
        for i in range(4):
            x = batch(i)
            torch.manual_seed(i)
            losses.append(step((x,), {"x": x})["loss"].clone())
        assert step.mode == mode
        assert all(torch.equal(before[key], value) for key, value in frozen.items())
        found.append([torch.stack(losses), *(p.detach() for p in parameters)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


class Products(TorchDispatchMode):
    """Counts the matrix products that are carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in (torch.ops.aten.addmm.default, torch.ops.aten.mm.default)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "options"), [("drnet", {}), ("normals", {"decode": False})])
def test_a_recorded_step_decodes_nothing(name, options, runs):
    """Frames are constants of the training, and no part of it; the weights are the same."""
    found = []
    for logged in (False, True):
        parts = build(runs, name, **options)
        weights = dict(parts.weights) if not logged else {**parts.weights, "x": LeftOut()}
        parameters = pair_parameters(parts.model, parts.guide)
        optimizer = torch.optim.Adam(parameters, lr=1e-2, fused=True)
        step = Step(parts.model, parts.guide, Objective(weights), optimizer, mode="record")
        torch.manual_seed(0)
        step((batch(),))
        torch.manual_seed(1)
        with Products() as products:
            named = step((batch(1),))
        bound = {"elbo"} if name == "normals" else set()
        assert set(named) == {"loss", "content", "pose"} | ({"x", *bound} if logged else set())
        found.append((products.count, [p.detach().clone() for p in parameters]))
    layers = [m for m in parts.model.decoder.modules() if isinstance(m, torch.nn.Linear)]
    (few, own), (many, other) = found
    assert len(layers) >= 2 and many - few == len(layers)
    assert all(torch.equal(a, b) for a, b in zip(own, other, strict=True))


def test_the_bound_chooses_weights_where_frames_are_not_decoded(runs):
    assert build(runs, "normals", decode=False).choose_by_bound


def words(runs: Path, name: str, *more: str, data: str = "clips.npz") -> list[str]:
    start = ["train", "pose-prediction", "--data", str(runs / data), "--out", "run"]
    options = [f"codes={runs / name}", "hidden=6", "n_past=3", "n_future=4"]
    own = ["--set"] if more and "=" in more[0] else []  # what counts before the options above
    return [*start, "--steps", "4", "--batch-size", "5", "--set", *options, *own, *more]


@pytest.mark.parametrize("name", ["drnet", "normals", "frames", "warmed"])
def test_a_run_is_trained_predicts_and_is_reported(name, runs, place, unbraid):
    outcome = unbraid(*words(runs, name))
    assert outcome.code == 0, outcome
    assert outcome.out.endswith("next: unbraid predict run\nnext: unbraid report run\n")
    run: Any = face.load("run", "cpu")
    trained: Any = face.load(runs / name, "cpu")
    for net, kept in (
        (run.guide.codes.guide, trained.guide),
        (run.model.decoder, trained.model.decoder),
    ):
        own, other = net.state_dict(), kept.state_dict()
        assert own.keys() == other.keys()
        assert all(torch.equal(own[key], other[key]) for key in own)
    outcome = unbraid("report", "run")
    assert outcome.code == 0, outcome
    figures = {path.name for path in (place / "run/figures").iterdir()}
    assert {"predicted.png", "predicted.gif", "horizon.png"} <= figures
    assert "Prediction by horizon" in (place / "run/report.html").read_text()
    if name == "normals":
        outcome = unbraid("evaluate", "run", "--samples", "4", "--json")
        judged = json.loads(outcome.out)
        assert judged["frames"] == 7 and judged["elbo"] <= judged["log_likelihood"]
        assert "Codes are those of the run" in judged["codes"]["left_out"]


def test_the_same_seed_trains_the_same_transition(runs, place, unbraid):
    weights = []
    for seed in (0, 0, 1):
        assert (
            unbraid(*words(runs, "drnet"), "--force", "--seed", seed, "--data-seed", "0").code == 0
        )
        transition: Any = face.load("run", "cpu").model.transition
        weights.append(torch.cat([p.detach().flatten() for p in transition.parameters()]))
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_the_run_whose_codes_are_predicted_may_be_gone(runs, place, unbraid):
    shutil.copytree(runs / "drnet", place / "poses")
    assert unbraid(*words(place, "poses", data=str(runs / "clips.npz"))).code == 0
    shutil.rmtree(place / "poses")
    assert unbraid("predict", "run", "--past", "3", "--future", "2").code == 0


@pytest.fixture(scope="module")
def trained(runs) -> Path:
    options = {"codes": str(runs / "drnet"), "hidden": "6", "n_past": "3", "n_future": "4"}
    common: dict[str, Any] = {"steps": 4, "batch_size": 5, "progress": False}
    out = runs / "ahead"
    face.train("pose-prediction", str(runs / "clips.npz"), out, options=options, **common)
    return out


@pytest.fixture
def ahead(trained, place) -> Path:
    """A tiny run of pose-prediction, in the folder `run`."""
    shutil.copytree(trained, "run")
    return place / "run"


def test_the_command_writes_what_it_says(ahead, unbraid):
    given = ["predict", "run", "--past", "3", "--future", "5", "--samples", "2", "--count", "2"]
    outcome = unbraid(*given, "--out", "new/a.png", "b.npz", "c.gif")
    assert outcome.code == 0, outcome
    lines = outcome.out.splitlines()
    assert lines[-6:] == [
        "run/pictures/predicted.png",
        "run/pictures/horizon.png",
        "run/pictures/predicted.gif",
        "new/a.png",
        "b.npz",
        "c.gif",
    ]
    assert lines[0].startswith("PSNR") and "first 5 predicted frames of 2 clips" in lines[0]
    assert lines[3].startswith("SSIM")
    assert Path("new/a.png").read_bytes() == (ahead / "pictures/predicted.png").read_bytes()
    assert Path("c.gif").read_bytes() == (ahead / "pictures/predicted.gif").read_bytes()
    with Image.open("new/a.png") as image:
        assert image.width > 100
    with np.load("b.npz") as arrays:
        assert arrays["images"].shape == (3, 2, 5, 1, 12, 13)
        run = face.load("run", "cpu")
        test = run.data.test.pixels(torch.arange(2)).numpy()
        assert np.array_equal(arrays["truth"], test)
        first = arrays["psnr"]
    outcome = unbraid(*given, "--json", "--out", "d.npz")
    said = json.loads(outcome.out)
    assert (said["past"], said["future"], said["samples"], said["clips"]) == (3, 5, 2, 2)
    with np.load("d.npz") as arrays:
        assert np.array_equal(first, arrays["psnr"])
        assert np.isclose(said["psnr"]["mean"], first[0].mean())


def test_files_are_of_the_format_that_their_names_say_in_any_case(ahead, unbraid):
    names = ["a.webp", "b.WEBP", "c.GIF", "d.PNG", "e.NPZ"]
    given = ["predict", "run", "--past", "3", "--future", "2", "--count", "2", "--out", *names]
    assert unbraid(*given).code == 0
    for name, kind in zip(names[:4], ["WEBP", "WEBP", "GIF", "PNG"], strict=True):
        with Image.open(name) as image:
            assert image.format == kind
            assert getattr(image, "n_frames", 1) == (1 if kind == "PNG" else 5)
    with np.load("e.NPZ") as arrays:
        assert arrays["images"].shape[2] == 2


def test_a_webp_that_cannot_be_written_is_refused_at_once(ahead, unbraid, monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: name != "webp")
    outcome = unbraid("predict", "run", "--out", "a.webp")
    outcome.check_refused(2, "a.webp, and this Pillow writes no WebP; expected a name that ends")
    assert not (ahead / "figures").exists()


def test_as_many_frames_as_there_are_unless_asked_for_more(ahead, unbraid):
    said = json.loads(unbraid("predict", "run", "--json").out)
    assert (said["past"], said["future"], said["samples"], said["clips"]) == (3, 6, 0, 3)
    outcome = unbraid("predict", "run", "--future", "40", "--out", "a.npz", "--json")
    assert json.loads(outcome.out)["first"] == 6
    with np.load("a.npz") as arrays:
        assert arrays["images"].shape[2] == 40
        assert (
            np.isfinite(arrays["psnr"][..., :6]).all() and np.isnan(arrays["psnr"][..., 6:]).all()
        )
    outcome = unbraid("predict", "run", "--past", "9", "--future", "4")
    assert outcome.code == 0
    assert "not known" in outcome.out and "horizon.png" not in outcome.out


@pytest.mark.parametrize(
    "given, message",
    [
        ("--future 0", "--future is 0; expected an integer of at least 1"),
        ("--past 0", "--past is 0; expected an integer of at least 1"),
        ("--past 10 --future 2", "past is 10; expected 1 to 9, the frames of the shortest clip"),
        ("--past 9", "past is 9 and future is not given; expected a future"),
        ("--samples -1", "--samples is -1; expected an integer of at least 0"),
        ("--count 0", "--count is 0; expected an integer of at least 1"),
        ("--seed -1", "--seed is -1"),
        ("--out a.mp4", "out is 'a.mp4'; expected a file .png for the strip, .gif for the film"),
        ("--split all", "--split is all; expected one of test, validation, train"),
    ],
)
def test_mistakes_of_the_command(given, message, ahead, unbraid):
    unbraid("predict", "run", *given.split()).check_refused(2, message)
    assert not (ahead / "figures").exists()


def test_runs_that_predict_nothing_are_refused(runs, ahead, unbraid):
    outcome = unbraid("predict", runs / "drnet")
    outcome.check_refused(2, "drnet predicts nothing; expected a run of pose-prediction")
    with pytest.raises(OptionError, match="count is 0; expected an integer"):
        face.load(ahead).predict(count=0)
    wrong: list[tuple[str, Any]] = [("past", 1.5), ("past", 0), ("future", 2.5), ("future", -1)]
    for name, value in wrong:
        with pytest.raises(OptionError, match=f"{name} is {value}; expected an integer of at"):
            face.load(ahead).predict(**{name: value})


@pytest.mark.parametrize(
    "name, more, code, message",
    [
        ("drnet", ["n_future=7"], 2, "n_past is 3 and n_future 7; expected at most 9 together"),
        ("drnet", ["n_past=0"], 2, "n_past is 0; expected an integer of at least 1"),
        ("drnet", ["n_future=0"], 2, "n_future is 0; expected an integer of at least 1"),
        ("drnet", ["hidden=0"], 2, "hidden is 0"),
        ("drnet", ["layers=0"], 2, "layers is 0"),
        ("drnet", ["scale=0"], 2, "scale is 0.0; expected a finite number above 0"),
        ("drnet", ["output=relu"], 2, "output is 'relu'; expected one of linear, tanh"),
        ("drnet", ["codes=none"], 2, "codes is none; expected the folder of a run of drnet"),
        ("gone", [], 2, "codes is .*gone, which has no config.json; expected the folder of a run"),
        ("vae", [], 2, "codes is .*vae, a run of vae; expected one of drnet or static-dynamic"),
    ],
)
def test_runs_and_options_that_do_not_suit(name, more, code, message, runs, place, unbraid):
    unbraid(*words(runs, name, *more)).check_refused(code, message)
    assert not (place / "run/config.json").exists()


def test_data_that_do_not_suit(runs, place, unbraid):
    outcome = unbraid(*words(runs, "drnet", data="images.npz"))
    outcome.check_refused(3, "data are images without sequence ids; expected clips")
    np.savez(runs / "ragged.npz", sequences=CLIPS, lengths=LENGTHS)
    outcome = unbraid(*words(runs, "drnet", "n_future=5", data="ragged.npz"))
    outcome.check_refused(2, "frames is 8, in the order of time; expected at most 7, as many as")
    assert unbraid(*words(runs, "drnet", data="ragged.npz")).code == 0
    np.savez(runs / "other.npz", sequences=CLIPS[..., :11])
    outcome = unbraid(*words(runs, "drnet", data="other.npz"), "--force")
    outcome.check_refused(
        2, r"codes is .*drnet, of frames of shape \(1, 12, 13\); expected \(1, 12, 11"
    )


def test_the_window_of_an_evaluation_is_asked_for(runs, place, unbraid):
    assert unbraid(*words(runs, "normals")).code == 0
    judged = unbraid("evaluate", "run", "--samples", "3", "--frames", "9", "--json")
    assert json.loads(judged.out)["frames"] == 9
    assert json.loads(judged.out)["averages_frames"] is False
    unbraid("evaluate", "run", "--inner-samples", "2").check_refused(
        2, "expected 1. Raise samples"
    )
    unbraid("evaluate", "run", "--frames", "10").check_refused(
        2, "frames is 10; expected an integer"
    )


def test_help_has_an_example(unbraid):
    outcome = unbraid("predict", "--help")
    assert outcome.code == 0
    assert "Example: unbraid predict runs/ahead --past 5 --future 100" in outcome.out
