"""Runs of the conditional VAE: what is built and refused, whole runs, what they report."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch

import unbraid as face
from unbraid.inference import Objective, check_pair, log_likelihood, pair_parameters
from unbraid.methods import DataSpec, OptionError, load_method, read_options

DATA = DataSpec(
    (1, 8, 9), "binary", 40, classes=3, factor_sizes=(2, 0, 4),
    factor_names=("shape", "angle", "size"),
)  # fmt: skip
SMALL = {"hidden": (7, 6), "channels": (4, 5), "latent_dim": 4, "prior_hidden": (5,)}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"prior": "learned"},
    {"nets": "conv", "prior": "learned"},
    {"condition": ("size",)},
    {"condition": ("shape", "angle", "size"), "prior": "learned"},
    {"condition": ("angle",), "nets": "conv"},
    {"condition": ("top-half",)},
    {"condition": ("left-half",), "prior": "learned", "nets": "conv", "condition_dim": 3},
    {"condition": ("bottom-half",), "prior": "learned"},
    {"condition": ("right-half",), "warmup": 10},
]
variants = pytest.mark.parametrize("options", VARIANTS, ids=str)


def build(data: DataSpec = DATA, **options: Any) -> Any:
    method = load_method("cvae")
    torch.manual_seed(0)
    return method.build(read_options(method.options, {**SMALL, **options}), data)


def make_batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    row = torch.arange(12)
    return {
        "x": torch.randint(0, 2, (12, *DATA.shape)).float(),
        "label": row % 3,
        "factors": torch.stack([row % 2, row / 7, row % 4], 1).float(),
    }


def args_of(parts, batch):
    return tuple(batch[key] for key in parts.keys)


@variants
def test_it_builds_and_every_parameter_learns(options):
    parts, batch = build(**options), make_batch()
    args = args_of(parts, batch)
    assert check_pair(parts.model, parts.guide, *args).observed == ("x",)
    loss = Objective(parts.weights, parts.hooks)
    loss.advance()
    value = loss.differentiable_loss(parts.model, parts.guide, *args)
    for gradient in torch.autograd.grad(value, pair_parameters(parts.model, parts.guide)):
        assert torch.isfinite(gradient).all() and (gradient != 0).any()
    assert parts.model(condition=args[1]).shape == batch["x"].shape


@variants
def test_both_programs_look_at_the_condition_alone_that_was_named(options):
    """Other columns change nothing; each of its own changes the model, and the guide's codes."""
    parts, batch = build(**options), make_batch()
    given, z = parts.given, torch.randn(12, 4)
    if given.key == "x":
        return
    before = batch[given.key]
    columns = given.columns or (None,)
    for column in range(3) if given.key == "factors" else (None,):
        changed = before.clone()
        if column is None:
            changed = (changed + 1) % 3
        else:
            changed[:, column] = 1 - changed[:, column] % 2
        told = [
            lambda c: parts.model.decoder(z, c).log_prob(batch["x"]),
            lambda c: parts.guide.encoder(batch["x"], c).mean,
        ]
        if parts.model.prior is not None:
            told.append(lambda c: parts.model.prior(c).mean)
        for found in told:
            assert torch.equal(found(before), found(changed)) == (column not in columns)


@pytest.mark.parametrize("observed", ["top-half", "bottom-half", "left-half", "right-half"])
def test_a_half_is_observed(observed):
    parts, batch = build(condition=(observed,)), make_batch()
    hidden = parts.model.decoder.condition.hidden
    seen = {
        "top-half": (slice(0, 4), slice(None)),
        "bottom-half": (slice(4, 8), slice(None)),
        "left-half": (slice(None), slice(0, 4)),
        "right-half": (slice(None), slice(4, 9)),
    }[observed]
    expected = torch.ones(8, 9, dtype=torch.bool)
    expected[seen] = False
    assert torch.equal(hidden, expected)
    given = {key: batch[key] for key in set(parts.keys)}
    found = log_likelihood(parts.model, parts.guide, given, keys=parts.keys, samples=4)
    assert found.summary()["bits_per_dimension"] is None


def test_the_learned_prior_is_learned_from_the_condition():
    parts, batch = build(prior="learned"), make_batch()
    prior = parts.model.prior(batch["label"])
    torch.testing.assert_close(prior.mean[0], prior.mean[3])  # rows of one product may round apart
    assert not torch.allclose(prior.mean[0], prior.mean[1])
    assert build().model.prior is None


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({"classes": 0}, {}, "labels of 0 classes; expected at least 2"),
        ({"classes": 1}, {}, "labels of 1 classes; expected at least 2"),
        ({"sequence_length": 5}, {}, "are sequences of 5 frames"),
        ({}, {"condition": ("colour",)}, "'colour'; expected one of label, shape, angle, size, t"),
        ({"factor_names": (), "factor_sizes": ()}, {"condition": ("shape",)}, "one of label, top"),
        ({}, {"condition": ("shape", "shape")}, "expected names that differ"),
        ({}, {"condition": ()}, "at least one"),
        ({}, {"condition": ("label", "shape")}, "expected label by itself"),
        ({}, {"condition": ("shape", "top-half")}, "expected top-half by itself"),
        ({"kind": "colour", "shape": (3, 8, 9)}, {"condition": ("top-half",)}, "independent pix"),
        ({}, {"prior": "flat"}, "prior is 'flat'; expected one of standard, learned"),
        ({}, {"condition_dim": 0}, "condition_dim is 0; expected"),
        ({}, {"prior_hidden": (0,)}, "prior_hidden is 0; expected"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(data, options, message):
    with pytest.raises(ValueError, match=message):
        build(replace(DATA, **data), **options)


def test_unknown_names_are_options_of_the_user():
    with pytest.raises(OptionError):
        build(condition=("colour",))


@pytest.fixture
def known(place):
    """Images whose brightness is the class, with factors, one of them real."""
    random, row = np.random.default_rng(3), np.arange(120)
    bright = 40 + 70 * (row % 3)[:, None, None]
    images = (bright + random.integers(0, 40, (120, 8, 9))).astype(np.uint8)
    factors = np.stack([row % 2, row % 5], 1)
    names = np.array(["shape", "size"])
    known = {"images": images, "labels": row % 3}
    np.savez("known.npz", **known, factors=factors, factor_names=names)
    np.savez("real.npz", **known, factors=(factors / 3).astype(np.float32), factor_names=names)
    np.savez("some.npz", images=images, labels=np.where(row == 7, -1, row % 3))
    np.savez("none.npz", images=images)
    return place


def words(*more, data="known.npz"):
    start = ["train", "cvae", "--data", data, "--out", "run", "--steps", "4", "--batch-size", "20"]
    return [*start, "--set", "hidden=8", "latent_dim=3", *more]


@pytest.mark.parametrize(
    ("more", "data", "names", "pictures"),
    [
        ([], "known.npz", ["label"], ["conditional_grid", "style_transfer"]),
        (["condition=size", "prior=learned"], "known.npz", ["size"], ["style_transfer"]),
        (["condition=shape,size"], "real.npz", ["shape", "size"], ["conditional_grid"]),
        (["condition=top-half", "prior=learned"], "none.npz", ["top-half"], ["completions"]),
    ],
    ids=str,
)
def test_whole_runs_by_the_command_line(unbraid, known, more, data, names, pictures):
    trained = unbraid(*words(*more, data=data))
    assert trained.code == 0, trained.err
    judged = unbraid("evaluate", "run", "--samples", "3")
    assert judged.code == 0, judged.err
    assert judged.out.startswith("log p(x|c)")
    assert "The density is conditional, log p(x|c)" in judged.out
    evaluation = json.loads((known / "run/evaluation.json").read_text())
    assert evaluation["given"] == names
    told = evaluation["condition_from_codes"]
    assert set(told) == (set() if data == "none.npz" else set(names))
    for name, of in told.items():
        assert f"{name} from z" in judged.out
        for found in of.values():
            assert set(found["score"]) == {"ridge" if data == "real.npz" else "logistic", "knn"}
            assert (found["standard_error"] is None) == (data == "real.npz")
    assert unbraid("report", "run").code == 0
    page = (known / "run/report.html").read_text()
    assert "log p(x|c), nats" in page and f"given the {' and '.join(names)}" in page
    sampled = unbraid("sample", "run", "--count", "12", "--out", "s.npz")
    assert sampled.code == 0, sampled.err
    for picture in (*pictures, "samples"):
        assert (known / f"run/figures/{picture}.png").is_file()
    with np.load("s.npz") as arrays:
        assert arrays["x"].shape == (12, 1, 8, 9)
        assert len(arrays["condition"]) == 12
        if names == ["label"]:
            assert arrays["condition"].tolist() == [i % 3 for i in range(12)]


def test_the_probe_is_of_the_test_data_and_finds_what_is_there(unbraid, known):
    """A guide whose code is the brightness tells the class; one whose code is noise does not."""
    assert unbraid(*words()).code == 0
    run = face.load("run", device="cpu")

    class Bright(torch.nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.scale = scale

        def forward(self, x, condition):
            bright = self.scale * x.mean((1, 2, 3)).unsqueeze(-1).expand(-1, 3)
            return dist.Normal(bright, 0.01).to_event(1)

    for scale, low, high in ((10.0, 0.99, 1.0), (0.0, 0.0, 0.8)):
        run.guide.encoder = Bright(scale)
        found = run.probe_condition()["label"]["of_samples"]
        assert low <= found["score"]["knn"] <= high
        assert found["n"] == len(run.data.test)
        assert 0.1 < found["chance"] < 0.7


@pytest.mark.parametrize(
    ("more", "data", "message"),
    [
        ([], "none.npz", "labels of 0 classes; expected at least 2"),
        ([], "some.npz", r"label of datum \d+ of .* is -1, not known; expected 0 to 2"),
        (["condition=colour"], "known.npz", "condition is 'colour'; expected one of label, sha"),
        (["condition=shape"], "some.npz", "condition is 'shape'; expected one of label, top-half"),
    ],
)
def test_missing_conditions_are_told_before_training(unbraid, known, more, data, message):
    outcome = unbraid(*words(*more, data=data))
    outcome.check_refused(outcome.code, message)
    assert outcome.code in (2, 3)
    assert not (known / "run").exists()


def test_labels_out_of_range_are_told_before_training(known):
    """Such as of test data with a class that training data lack."""
    from unbraid.conditions import check_given
    from unbraid.data import DataError, Dataset

    images, given = torch.zeros(3, 1, 8, 9, dtype=torch.uint8), build().given
    few, many = torch.tensor([0, 1, 2]), torch.tensor([0, 3, 2])
    parts = {"train": Dataset(images, labels=few), "test": Dataset(images, labels=many)}
    with pytest.raises(DataError, match=r"label of datum 1 of data \(test\) is 3; expected"):
        check_given(given, parts)
    with pytest.raises(DataError, match=r"data \(test\) has no label"):
        check_given(given, {"test": Dataset(images)})
    factors = torch.tensor([[0.0, 1.0, 2.0], [1.0, float("nan"), 3.0], [1.0, 2.0, 1.0]])
    given = build(condition=("angle", "size")).given
    with pytest.raises(DataError, match=r"angle of datum 1 .* is nan; expected a finite number"):
        check_given(given, {"train": Dataset(images, factors=factors)})


@variants
def test_hooks_by_name_join(options):
    from unbraid.hooks import add_hooks

    hooks = ["attribute:name=label,site=z", "mmd:site=z"]
    parts = add_hooks(build(**options), hooks, DATA)
    batch = make_batch()
    objective = Objective(parts.weights, parts.hooks)
    loss = objective.mean_loss(parts.model, parts.guide, args_of(parts, batch), batch)
    assert {"attribute", "mmd"} <= set(loss.parts)
    assert torch.isfinite(loss.total)
