"""The neural statistician and the FHVAE as methods: weights, options, training, judging."""

import json
from typing import Any

import numpy as np
import pytest
import torch

import unbraid as face
from unbraid.data import Batches, Dataset
from unbraid.inference import NoLikelihoodError, Objective, fit, log_likelihood
from unbraid.methods import DataSpec, OptionError, load_method, read_options

S, T, N = 11, 6, 4
SHAPE = (1, 8, 9)
SMALL = {
    "hidden": (9,),
    "code_hidden": (8,),
    "static_dim": 3,
    "dynamic_dim": 2,
    "frames": N,
    "likelihood": "bernoulli-grey",
}
LENGTHS = torch.tensor([6, 1, 3, 4, 6, 2, 5, 6, 1, 4, 3])


def build(name: str, ragged: bool = False, shape: Any = SHAPE, **options: Any) -> Any:
    method = load_method(name)
    data = DataSpec(shape, "grey", S, sequence_length=T, ragged=ragged)
    return method.build(read_options(method.options, {**SMALL, **options}), data)


def dataset(ragged: bool) -> Dataset:
    torch.manual_seed(1)
    images = torch.randint(0, 256, (S, T, *SHAPE), dtype=torch.uint8)
    return Dataset(images, lengths=LENGTHS if ragged else None)


def test_emphasis_weighs_data_up_and_divergences_down():
    parts = build("neural-statistician", layers=2, emphasis=0.5, emphasis_steps=2)
    objective = Objective(parts.weights, parts.hooks)
    x = torch.rand(5, N, *SHAPE)
    for a in (0.5, 0.5, 0.25):
        loss = objective.mean_loss(parts.model, parts.guide, (x,))
        divergence = sum(loss.parts[site] for site in ("static", "dynamic_2", "dynamic_1"))
        expected = (1 + a) * loss.parts["x"] + divergence / (1 + a)
        torch.testing.assert_close(loss.total.detach(), expected, rtol=1e-5, atol=1e-4)
        objective.advance()
    assert not build("neural-statistician").weights


@pytest.mark.parametrize("ragged", [False, True])
def test_the_fhvaes_loss_is_the_papers(ragged):
    """Frame by frame: n times the mean over frames of its objective, where all have T frames."""
    parts = build("fhvae", ragged, alpha=3.0, content_scale=0.4)
    torch.nn.init.normal_(parts.guide.table)
    batch = Batches(dataset(ragged), 5, frames=N).batch(0)
    args = tuple(batch[key] for key in parts.keys)
    objective = Objective(parts.weights, parts.hooks)
    terms: Any = objective.mean_loss(parts.model, parts.guide, args, batch)
    rows = parts.guide.table.detach()
    total = 0.0
    for b in range(5):
        own = rows[batch["index"][b]]
        log_p = -0.5 * (own.square() + np.log(2 * np.pi)).sum()
        total += N / T * float(log_p)
        for t in range(int(batch["length"][b]) if ragged else N):
            term = {site: terms.terms[site] for site in ("content", "dynamic", "x")}
            means = term["content"].q.mean[b, t].detach()
            logits = -(means - rows).square().sum(-1) / (2 * 0.4**2)
            total += float(
                (term["x"].log_p - term["content"].kl - term["dynamic"].kl)[b, t].detach()
                + 3 * logits.log_softmax(0)[batch["index"][b]]
            )
    assert float(terms.total.detach()) == pytest.approx(-total / 5, rel=1e-5)


def test_alpha_zero_needs_no_term_of_sequences():
    assert build("fhvae", alpha=0.0).hooks == ()
    assert [hook.name for hook in build("fhvae").hooks] == ["SequenceDiscrimination"]


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("name", ["neural-statistician", "fhvae"])
def test_it_is_fitted_and_judged(name, ragged):
    """In recorded steps, on frames drawn anew; judged on sequences that have no row."""
    torch.manual_seed(2)
    parts = build(name, ragged)
    data = dataset(ragged)
    result = fit(
        parts.model,
        parts.guide,
        Batches(data, 5, frames=N),
        steps=40,
        keys=parts.keys,
        objective=Objective(parts.weights, parts.hooks),
        validation=Batches(data, 4, shuffle=False, frames=3),
        validation_keys=parts.inspected,
        validate_every=20,
        progress=False,
    )
    bounds = [row["validation_elbo"] for row in result.history if "validation_elbo" in row]
    assert bounds[-1] > bounds[0]
    if name == "fhvae":
        assert (parts.guide.table != 0).all()
    batches = Batches(data, 4, shuffle=False, frames=3)
    found = log_likelihood(
        parts.model, parts.guide, batches, keys=parts.inspected, samples=8, inner_samples=2
    )
    assert found.log_likelihood.shape == (S,)
    assert (found.log_likelihood >= found.elbo).all()
    if name == "fhvae":
        with pytest.raises(NoLikelihoodError, match="'static' is a point"):
            log_likelihood(parts.model, parts.guide, batches, keys=parts.keys, samples=2)


def test_the_table_has_a_row_for_each_training_sequence():
    parts = build("fhvae")
    assert parts.guide.table.shape == (S, SMALL["static_dim"])
    assert parts.keys == ("x", "index")
    assert parts.inspected == ("x",)
    ragged = build("fhvae", ragged=True)
    assert ragged.keys == ("x", "length", "index")
    assert ragged.inspected == ("x", "length")


def test_the_published_sizes_are_a_preset():
    chosen = {"preset": "published", "static_dim": 5}
    method = load_method("neural-statistician")
    data = DataSpec((3, 64, 64), "colour", S, sequence_length=T)
    guide: Any = method.build(read_options(method.options, {**chosen, "layers": 2}), data).guide
    assert guide.trunk.feature_shape == (256, 8, 8)
    top, lower = guide.layer_encoders
    assert [layer.in_features for layer in top.first] == [256 * 64, 5]
    assert [layer.in_features for layer in lower.first] == [256 * 64, 16, 5]
    assert top.first[0].out_features == 256
    method = load_method("fhvae")
    guide = method.build(read_options(method.options, {"preset": "published"}), data).guide
    assert guide.table.shape == (S, 32)
    assert guide.dynamic_encoder.rest[-1].out_features == 64


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("neural-statistician", {"layers": 0}, "layers is 0; expected an integer of at least 1"),
        ("neural-statistician", {"layers": 17}, "layers is 17"),
        ("neural-statistician", {"emphasis": -0.5}, r"emphasis is -0\.5; expected a finite"),
        ("neural-statistician", {"emphasis_steps": 0}, "emphasis_steps is 0"),
        (
            "neural-statistician",
            {"emphasis": 1.0, "warmup": 5},
            r"emphasis is 1\.0 beside warmup 5",
        ),
        ("fhvae", {"alpha": -1.0}, r"alpha is -1\.0; expected a finite number of at least 0"),
        ("fhvae", {"static_scale": 0.0}, r"static_scale is 0\.0; expected .* above 0"),
        ("fhvae", {"content_scale": float("nan")}, "content_scale is nan"),
    ],
)
def test_options_out_of_range(name, options, message):
    with pytest.raises(OptionError, match=message):
        build(name, **options)


@pytest.mark.parametrize(
    ("name", "words"),
    [("neural-statistician", ["layers=2", "emphasis=1", "emphasis_steps=3"]), ("fhvae", [])],
)
def test_it_is_trained_and_judged_by_the_command_line(name, words, unbraid, place):
    """And a killed run goes on: the table and the schedules are in its checkpoint."""
    torch.manual_seed(3)
    sequences = torch.randint(0, 256, (30, T, 8, 9), dtype=torch.uint8).numpy()
    np.savez(place / "clips.npz", sequences=sequences)
    common = ["--data", "clips.npz", "--batch-size", "6", "--set", "hidden=8", "code_hidden=7"]
    common += ["static_dim=3", "frames=3", *words]
    assert unbraid("train", name, "--out", "run", "--steps", "8", *common).code == 0
    assert unbraid("train", name, "--out", "cut", "--steps", "4", *common).code == 0
    assert unbraid("train", name, "--out", "cut", "--steps", "8", "--resume", *common).code == 0
    outcome = unbraid("evaluate", "run", "--samples", "4")
    assert outcome.code == 0, outcome
    evaluation = json.loads((place / "run/evaluation.json").read_text())
    assert np.isfinite(evaluation["log_likelihood"])
    assert face.load("cut", device="cpu").step == 8
