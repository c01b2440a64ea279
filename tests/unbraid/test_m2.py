"""Runs of M2 and M1+M2: what is built, refused and minimised, whole runs and their errors."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false
# pyright: reportOptionalOperand=false, reportCallIssue=false

import json
import shutil
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import unbraid as face
from unbraid import guides
from unbraid.data import DataError
from unbraid.inference import Objective, Runner, check_pair, pair_parameters
from unbraid.methods import DataSpec, OptionError, load_method, read_options
from unbraid.methods.m2 import heeded_codes
from unbraid.nets import (
    ClassEncoder,
    ClassLogits,
    ConvDecoder,
    MLPDecoder,
    MLPEncoder,
    make_likelihood,
)

DATA = DataSpec((1, 8, 9), "binary", 40, classes=3)
SMALL = {"hidden": (7, 6), "channels": (4, 5), "latent_dim": 4}
COUNT = 60


def build(data: DataSpec = DATA, **options: Any) -> Any:
    method = load_method("m2")
    torch.manual_seed(0)
    small = {} if "features" in options else SMALL
    return method.build(read_options(method.options, {**small, **options}), data)


def make_batch() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 2, (17, *DATA.shape), generator=generator).float()
    label = torch.tensor([0, 1, 2, 0, 1, 2, -1, -1, -1, -1, -1, -1])
    return {
        "x": x[:12],
        "label": label,
        "labelled": {"x": x[12:], "label": torch.tensor([2, 0, 1, 1, 0])},
    }


@pytest.mark.parametrize(
    "options",
    [{}, {"nets": "conv"}, {"alpha": 0.0}, {"hidden": (5,)}, {"likelihood": "normal-learned"}],
    ids=str,
)
@pytest.mark.parametrize("kind", ["binary", "grey", "colour"])
def test_it_builds_and_every_parameter_learns(options, kind):
    shape = (3, 8, 9) if kind == "colour" else DATA.shape
    parts, batch = build(replace(DATA, kind=kind, shape=shape), **options), make_batch()
    for part in (batch, batch["labelled"]):
        part["x"] = part["x"].expand(-1, *shape).clone()
    args = tuple(batch[key] for key in parts.keys)
    assert parts.keys == ("x", "label") and parts.inspected == ("x",)
    assert check_pair(parts.model, parts.guide, *args).observed == ("x",)
    loss = Objective(parts.weights, parts.hooks).mean_loss(parts.model, parts.guide, args, batch)
    total = loss.total + sum(penalty for penalty, *_ in loss.routed)
    for gradient in torch.autograd.grad(total, pair_parameters(parts.model, parts.guide)):
        assert torch.isfinite(gradient).all() and (gradient != 0).any()
    assert (parts.streams == ("labelled",)) == (options.get("alpha") != 0.0)


@pytest.mark.parametrize("alpha", [0.1, 2.5])
def test_the_objective_is_the_papers_over_the_number_of_data(alpha):
    """Bounds of log p(x, y) and log p(x), averaged over all rows, and alpha times the mean of
    -log q(y | x) over labelled ones: (J + alpha N mean) / N."""
    parts, batch = build(alpha=alpha), make_batch()
    args = tuple(batch[key] for key in parts.keys)
    torch.manual_seed(2)
    loss = Objective(parts.weights, parts.hooks).mean_loss(parts.model, parts.guide, args, batch)
    torch.manual_seed(2)
    terms = Objective().terms(parts.model, parts.guide, args)
    few = batch["labelled"]
    entropy = cross_entropy(parts.guide.classifier(few["x"]), few["label"])
    expected = -terms.elbo.mean() + alpha * entropy
    torch.testing.assert_close(loss.parts["loss"], expected.detach())
    torch.testing.assert_close(loss.parts["Supervision"], alpha * entropy.detach())


def test_the_warmup_makes_the_class_cheaper_than_the_code():
    """The divergence of the code counts tenfold at first, and once from the third step on."""
    parts, batch = build(warmup=2, alpha=0.0), make_batch()
    args, objective = tuple(batch[key] for key in parts.keys), Objective(parts.weights)
    for weight in (10.0, 5.5, 1.0, 1.0):
        found = objective.mean_loss(parts.model, parts.guide, args).parts
        expected = -found["elbo"] + (weight - 1) * found["z"]
        torch.testing.assert_close(found["loss"], expected)
        objective.advance()
    assert not build().weights


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({"classes": 0}, {}, "labels of 0 classes; expected at least 2"),
        ({"classes": 1}, {}, "labels of 1 classes; expected at least 2"),
        ({"sequence_length": 5}, {}, "are sequences of 5 frames"),
        ({}, {"alpha": -0.1}, "alpha is -0.1; expected"),
        ({}, {"latent_dim": 0}, "latent_dim is 0; expected"),
        ({}, {"features": "nowhere"}, "features is .*nowhere, .*expected the folder of a run"),
        ({}, {"features": "x", "likelihood": "normal"}, "likelihood is normal; expected auto"),
        ({}, {"features": "x", "nets": "conv"}, "nets is conv; expected auto beside features"),
        ({}, {"features": "x", "channels": "8,8"}, "channels is 8,8; expected 32,32,64,64 beside"),
        ({}, {"features": "x", "code_spread": 1.0}, "code_spread is 1.0; expected 0.0 beside"),
        ({}, {"features": "x", "decoder": "broadcast"}, "decoder is broadcast; expected mirror"),
        ({}, {"features": "x", "broadcast_patch": 8}, "broadcast_patch is 8; expected 4 beside"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(data, options, message):
    with pytest.raises(ValueError, match=message):
        build(replace(DATA, **data), **options)


def stripes(count=COUNT, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Images `(count, 8, 9)` that are dark, half bright or bright, with noise; and which."""
    generator = np.random.default_rng(seed)
    label = np.arange(count) % 3
    bright = np.arange(8)[None, :, None] < 4 * label[:, None, None]
    noise = generator.random((count, 8, 9)) < 0.05
    return (255 * (bright ^ noise)).astype(np.uint8), label


def save(name, labels: Any = "some", **more: Any) -> None:
    images, truth = stripes()
    if isinstance(labels, str):
        labels = np.where(np.arange(COUNT) % 2, truth, -1) if labels == "some" else truth
    np.savez(name, images=images, **({} if labels is None else {"labels": labels}), **more)


@pytest.fixture
def few(place):
    save("few.npz")
    return place


@pytest.fixture
def words(train_words):
    def of_m2(*more, **given):
        return train_words(*more, **{"method": "m2", "data": "few.npz", **given})

    return of_m2


def test_a_run_from_start_to_report(few, unbraid, words):
    outcome = unbraid(*words(steps=20))
    assert outcome.code == 0, outcome
    outcome = unbraid("evaluate", "run", "--samples", "5", "--json")
    assert outcome.code == 0, outcome
    found = json.loads((few / "run/evaluation.json").read_text())
    told = found["classification"]
    run = face.load("run", device="cpu")
    test = run.split("test")
    known = test.labels >= 0
    logits = run.guide.classifier(test.pixels(torch.arange(len(test))).float() / 255)
    wrong = (logits.argmax(-1) != test.labels)[known].double()
    assert told["n"] == int(known.sum()) < len(test)
    assert told["error"] == pytest.approx(float(wrong.mean()))
    spread = sqrt(told["error"] * (1 - told["error"]) / told["n"])
    assert told["standard_error"] == pytest.approx(spread)
    assert found["log_likelihood"] > -200 and found["is_likelihood"]
    assert run.judge_labels() == told
    assert "label error" in unbraid("evaluate", "run", "--samples", "5").out
    assert unbraid("report", "run").code == 0
    text = (few / "run/report.html").read_text()
    assert "Error of the likeliest class" in text
    for name in ("conditional_grid", "style_transfer", "reconstructions"):
        assert (few / f"run/figures/{name}.png").exists()
    assert unbraid("sample", "run", "--count", "6", "--out", "drawn.npz").code == 0
    with np.load("drawn.npz") as drawn:
        assert drawn["label"].shape == (6, 3) and drawn["z"].shape == (6, 2)


def test_labels_are_learned_from_the_few(few, unbraid, words):
    """Images that differ by class as these do are told apart: 0.5 would be far above."""
    more = ("--learning-rate", "0.02", "--batch-size", "20", "--set", "alpha=1")
    assert unbraid(*words(*more, steps=300)).code == 0
    told = face.load("run", device="cpu").judge_labels(split="train")
    assert told is not None and told["error"] < 0.1


def test_codes_of_a_vae_take_the_place_of_images(few, unbraid, words, train_words):
    """M1+M2 in two commands: its VAE stays as it was, wherever the run is loaded from."""
    assert unbraid(*train_words(data="few.npz", out="vae", steps=10)).code == 0
    outcome = unbraid(*words("--set", "features=vae", "latent_dim=3", steps=20))
    assert outcome.code == 0, outcome
    vae, run = face.load("vae", device="cpu"), face.load("run", device="cpu")
    assert Path(run.config["options"]["features"]).is_absolute()
    kept = {**vae.model.decoder.state_dict(), **vae.guide.encoder.state_dict()}
    own = {**run.model.images.state_dict(), **run.guide.features.state_dict()}
    assert kept.keys() == own.keys() and len(kept) == 4
    for name, value in kept.items():
        assert torch.equal(own[name], value)
    movable = {id(p) for p in pair_parameters(run.model, run.guide)}
    frozen = [*run.model.images.parameters(), *run.guide.features.parameters()]
    assert not movable & {id(p) for p in frozen} and movable
    found = run.evaluate(5, progress=False)
    assert found["likelihood"] == "bernoulli" and found["classification"]["n"] > 0
    assert unbraid("report", "run").code == 0


def test_a_run_needs_nothing_but_its_own_folder(few, unbraid, words, train_words):
    """The VAE may be trained anew, or gone: the run has what it was built on, and goes on."""
    with_features = ("--schedule", "constant", "--set", "features=vae", "latent_dim=3")
    assert unbraid(*train_words(data="few.npz", out="vae", steps=10)).code == 0
    assert unbraid(*words(*with_features, steps=20, out="whole")).code == 0
    assert unbraid(*words(*with_features, steps=10, out="half")).code == 0
    shutil.rmtree("vae")
    Path("whole").rename("moved")
    before = face.load("moved", device="cpu")
    assert unbraid(*words(*with_features, "--resume", steps=20, out="half")).code == 0
    after = face.load("half", device="cpu")
    own = {**before.model.state_dict(), **before.guide.state_dict()}
    for name, value in {**after.model.state_dict(), **after.guide.state_dict()}.items():
        assert torch.equal(own[name], value)
    assert before.config["options"] == after.config["options"]
    others = train_words("--set", "hidden=7", data="few.npz", out="vae", steps=5)
    assert unbraid(*others).code == 0
    assert (
        face.load("moved", device="cpu").guide.state_dict().keys()
        == before.guide.state_dict().keys()
    )
    assert unbraid(*words(*with_features, "--force", steps=5, out="half")).code == 0
    replaced = face.load("half", device="cpu").guide.features.state_dict()
    fresh = face.load("vae", device="cpu").guide.encoder.state_dict()
    assert all(torch.equal(replaced[name], value) for name, value in fresh.items())
    for lost, out in (("vae", "vae"), ("half/first-stages/features", "half")):
        kept = sorted(Path(out).rglob("*"))
        onto = words("--set", f"features={lost}", "latent_dim=3", "--force", steps=5, out=out)
        unbraid(*onto).check_refused(2, "which is to be replaced; expected a run elsewhere")
        assert sorted(Path(out).rglob("*")) == kept


def test_copies_do_not_go_among_the_files_of_others(few, unbraid, words, train_words):
    assert unbraid(*train_words(data="few.npz", out="vae", steps=5)).code == 0
    others = Path("others/first-stages/notes.txt")
    others.parent.mkdir(parents=True)
    others.write_text("kept")
    onto = words("--set", "features=vae", "latent_dim=3", "--force", steps=5, out="others")
    refused = r"out is others, which is no run but has a first-stages of its own, .* of features"
    unbraid(*onto).check_refused(2, refused)
    assert [path for path in Path("others").rglob("*") if path.is_file()] == [others]
    assert others.read_text() == "kept"


def test_coordinates_that_the_decoder_ignores_are_left_out():
    """Of classifier and encoder: what they say does not change with them. A code that moves the
    outputs little, but not nothing, is below the threshold as well."""
    likelihood = make_likelihood("bernoulli", 1)
    for decoder in (
        MLPDecoder(5, DATA.shape, likelihood, (9,)),
        ConvDecoder(5, DATA.shape, likelihood, (4, 3), 9),
    ):
        first: Any = decoder.net[0]
        with torch.no_grad():
            first.weight[:, 1] = 0.0
            first.weight[:, 3] = 1e-3 * first.weight[:, 2]
        heeded = heeded_codes(decoder)
        assert heeded.tolist() == [True, False, True, False, True]
    classifier, encoder = ClassLogits((5,), 3, (7,)), ClassEncoder((5,), 3, 4, (7,))
    guide = guides.SemiSupervisedVAE(
        classifier, encoder, 3, MLPEncoder(DATA.shape, 5, (6,)), heeded
    )
    x = make_batch()["x"]
    codes, told = torch.linspace(-1, 1, 60).view(12, 5), []
    for shift in (0.0, 7.0):
        moved = codes + shift * ~heeded
        sites = Runner().run(guide, (x,), {"features": moved}).sites
        told.append(sites["label"].fn.logits)  # pyright: ignore
        torch.testing.assert_close(told[-1], classifier(moved * heeded).log_softmax(-1))
    assert torch.equal(told[0], told[1])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("m2", "a run of m2; expected one of a VAE"),
        ("other", r"of images of shape \(1, 10, 9\); expected \(1, 8, 9\)"),
    ],
)
def test_features_of_what_is_no_vae_of_these_images_are_refused(
    made, message, few, unbraid, words, train_words
):
    images = np.pad(stripes()[0], ((0, 0), (1, 1), (0, 0)))
    np.savez("other.npz", images=images)
    start = words(out="made") if made == "m2" else train_words(data="other.npz", out="made")
    assert unbraid(*start).code == 0
    unbraid(*words("--set", "features=made")).check_refused(2, message)
    assert not (few / "run").exists()


def test_features_without_weights_are_refused(few, unbraid, words, train_words):
    assert unbraid(*train_words(data="few.npz", out="vae")).code == 0
    shutil.rmtree("vae/checkpoints")
    message = "features is .*/vae, of which the weights cannot be had: .* Train it again"
    unbraid(*words("--set", "features=vae")).check_refused(2, message)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "labels of 0 classes; expected at least 2"),
        (np.full(COUNT, -1), "labels of 0 classes; expected at least 2"),
        (np.full(COUNT, -2), r"labels\[0\] of .* is -2; expected at least 0, or -1"),
        (np.zeros(COUNT, np.int64), "labels of 1 classes; expected at least 2"),
        (np.arange(COUNT) + 1, "largest of 60 labels .* is 60; expected classes counted from 0"),
    ],
    ids=["none", "all unknown", "below -1", "one class", "out of range"],
)
def test_labels_that_do_not_do_are_refused_at_once(labels, message, place, unbraid, words):
    save("few.npz", labels)
    unbraid(*words()).check_refused(3, message)
    assert not (place / "run").exists()


def test_without_a_labelled_row_to_train_on_nothing_starts(few):
    """Where only the names of classes are known; what was in the folder before is kept."""
    from unbraid.labels import check_labels

    data = face.data.load("few.npz").train
    bare = replace(data, labels=torch.full_like(data.labels, -1))
    with pytest.raises(DataError, match=r"with a known label is 0 of .* from which m2 learns"):
        check_labels(bare, "m2")
    check_labels(data, "m2")


def test_a_class_without_a_label_is_warned_of(place, unbraid, words):
    """The rest of the data may still say that there is one more kind; it is then nameless."""
    truth = stripes()[1]
    save("few.npz", np.where(truth == 1, -1, truth))
    outcome = unbraid(*words())
    assert outcome.code == 0, outcome
    assert "warning: no datum of few (train) is labelled 1: nothing says what m2" in outcome.err


def test_more_labels_than_there_are_is_refused(place, unbraid, words):
    outcome = unbraid(*words("--data-set", "labels_per_class=5000", data="mnist-small"))
    outcome.check_refused(3, "expected at least 5000. Keep fewer labels per class")


def test_without_labels_to_judge_by_there_is_no_error(few, unbraid, words):
    assert unbraid(*words()).code == 0
    run = face.load("run", device="cpu")
    test = run.split("test")
    run._data = replace(run.data, test=replace(test, labels=torch.full_like(test.labels, -1)))
    assert run.judge_labels() is None
    assert "classification" not in run.evaluate(2, progress=False)


def test_a_run_is_resumed_to_the_bit(few, unbraid, words):
    for out, steps in (("whole", [6]), ("run", [3, 6])):
        for i, count in enumerate(steps):
            more = [*(["--resume"] if i else []), "--schedule", "constant"]
            assert unbraid(*words(*more, out=out, steps=count)).code == 0
    weights = [
        [*run.model.parameters(), *run.guide.parameters()]
        for run in (face.load(out, device="cpu") for out in ("whole", "run"))
    ]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_a_recorded_step_is_used(few, unbraid, words):
    """No step falls back to eager ones, which is said once."""
    outcome = unbraid(*words())
    assert outcome.code == 0 and "eager" not in outcome.err


def test_unknown_options_are_named():
    with pytest.raises(OptionError, match=r"'feature'; expected one of .* mean features\?"):
        build(feature="x")
