"""Adversarial variational Bayes: its loss, and that no number is called a bound of it."""

import json
from typing import Any

import pytest
import torch

import unbraid as face
from unbraid.inference import Objective, annealed_log_likelihood
from unbraid.methods import DataSpec, OptionError, load_method, read_options
from unbraid.nets import NoiseBasisEncoder, NoiseEncoder

DATA = DataSpec((1, 9, 10), "grey", 120)
VARIANTS = [
    {"adaptive_contrast": True},
    {"adaptive_contrast": False},
    {"adaptive_contrast": True, "encoder": "noise", "moment_draws": 3},
    {"adaptive_contrast": False, "encoder": "noise"},
]
variants = pytest.mark.parametrize("options", VARIANTS, ids=str)


def built(**options) -> Any:
    method = load_method("avb")
    torch.manual_seed(1)
    small = {"hidden": (9,), "latent_dim": 4, "critic_hidden": (7,)}
    return method.build(read_options(method.options, {**small, **options}), DATA)


@variants
def test_it_is_the_datas_cost_and_the_critics_divergence(options):
    parts = built(**options)
    x = torch.rand(8, *DATA.shape)
    torch.manual_seed(2)
    loss = Objective(parts.weights, parts.hooks).mean_loss(parts.model, parts.guide, (x,))
    total = loss.parts["x"] + loss.parts["divergence"]
    torch.testing.assert_close(loss.total.detach(), total)
    assert "elbo" not in loss.parts
    made = parts.model.decoder(loss.terms["z"].value).log_prob(x)
    torch.testing.assert_close(loss.parts["x"], -made.mean().detach())


def test_options_choose_encoder_and_contrast():
    kinds = {"basis": NoiseBasisEncoder, "noise": NoiseEncoder}
    for name, kind in kinds.items():
        assert isinstance(built(encoder=name).guide.encoder, kind)
    given = built().hooks[0].view
    assert given.moments is not None
    drawn = built(encoder="noise", moment_draws=7).hooks[0].view
    assert drawn.moments is None and drawn.draws == 7
    assert type(built(adaptive_contrast=False).hooks[0].view).__name__ == "JointAgainstPrior"


@pytest.mark.parametrize(
    ("option", "wrong"),
    [("noise_dim", "0"), ("functions", "0"), ("moment_draws", "1"), ("critic_hidden", "0")],
)
def test_wrong_options_are_refused_by_name(option, wrong):
    with pytest.raises(OptionError, match=f"{option} is {wrong}; expected"):
        read_options(load_method("avb").options, {option: wrong})


@variants
def test_no_number_of_it_is_called_a_bound(options, unbraid, train_words, place):
    """Of metrics, report and evaluation; annealing gives the log-likelihood."""
    chosen = [f"{name}={str(value).lower()}" for name, value in options.items()]
    words = train_words("--set", "critic_hidden=6", *chosen, method="avb")
    outcome = unbraid(*words)
    assert outcome.code == 0, outcome
    assert "elbo" not in (place / "run/metrics.jsonl").read_text()
    row = json.loads((place / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert {"divergence", "divergence_accuracy"} <= set(row)
    refused = unbraid("evaluate", "run", "--samples", "3")
    assert refused.code != 0
    assert "is a point (Delta); an importance weight needs a density" in refused.err
    assert unbraid("report", "run").code == 0
    report = (place / "run/report.html").read_text()
    assert "there is no bound of log p(x)" in report
    assert "Evidence lower bound" not in report
    assert "No divergences were measured" in report
    assert not (place / "run/figures/kl.png").exists()
    run = face.load("run", device="cpu")
    found = annealed_log_likelihood(
        run.model, None, torch.rand(2, 1, 8, 9), chains=2, temperatures=3, leapfrog_steps=1
    )
    assert torch.isfinite(found.log_weights).all()


@pytest.mark.parametrize("words", [("--patience", "3"), ("--validate-every", "2")])
def test_no_bound_chooses_its_weights(words, unbraid, train_words):
    outcome = unbraid(*train_words(*words, "--set", "critic_hidden=6", method="avb"))
    assert outcome.code == 2
    assert "raises no bound that could choose weights" in outcome.err


@pytest.mark.parametrize(("given", "first"), [({}, 0.0), ({"warmup_from": "5"}, 5.0)])
def test_the_weight_of_the_divergence_starts_where_it_is_told_to(given, first):
    method = load_method("avb")
    options = read_options(method.options, {"warmup": "10", "nets": "mlp", **given})
    [divergence] = method.build(options, DATA).hooks
    assert float(getattr(divergence, "weight").current()) == first  # noqa: B009


def test_a_critic_of_convolutions_needs_a_layer_after_them():
    method = load_method("avb")
    options = read_options(method.options, {"nets": "conv", "critic_hidden": "none"})
    with pytest.raises(OptionError, match="critic_hidden is none; expected at least one width"):
        method.build(options, DataSpec((1, 32, 32), "grey", 10))
