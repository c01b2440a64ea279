"""The adversarial autoencoders and predictability minimisation: losses, sides, and commands."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

import unbraid as face
from unbraid.inference import (
    NoLikelihoodError,
    Objective,
    Step,
    annealed_log_likelihood,
    gradients,
)
from unbraid.methods import DataSpec, OptionError, load_method, read_options

DATA = DataSpec((1, 6, 7), "binary", 120, classes=3)
SMALL = {"hidden": (9,), "latent_dim": 4}
METHODS = ["aae", "aae-semi", "predictability-min"]


def built(name, **options) -> Any:
    method = load_method(name)
    torch.manual_seed(1)
    return method.build(read_options(method.options, {**SMALL, **options}), DATA)


def batch_of(size=8) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(2)
    x, more = torch.randint(0, 2, (2, size, *DATA.shape), generator=generator).float()
    return {"x": x, "labelled": {"x": more, "label": torch.arange(size) % 4 - 1}}


def loss_of(parts, objective=None, **options) -> Any:
    objective = objective or Objective(parts.weights, parts.hooks, **options)
    batch = batch_of()
    torch.manual_seed(3)
    return objective.mean_loss(parts.model, parts.guide, (batch["x"],), batch)


@pytest.mark.parametrize("encoder", ["gaussian", "deterministic"])
def test_the_code_is_held_by_the_critic_alone(encoder):
    """-log p(x|z) - w log D(z): Makhzani et al. (2016), section 2, with no divergence at all."""
    parts = built("aae", weight=7.0, encoder=encoder)
    loss = loss_of(parts)
    [hook] = parts.hooks
    scores = hook.critic(loss.terms["z"].value).flatten()
    expected = -loss.terms["x"].log_p.mean() + 7 * softplus(-scores).mean()
    torch.testing.assert_close(loss.parts["loss"], expected.detach())
    assert torch.equal(loss.parts["loss"], loss.parts["x"] + loss.parts["prior"])


def test_both_priors_have_a_critic_and_the_labels_a_cross_entropy():
    parts = built("aae-semi", weight=7.0, label_weight=5.0)
    loss = loss_of(parts)
    critics = {hook.name: hook.critic for hook in parts.hooks if hasattr(hook, "critic")}
    expected = -loss.terms["x"].log_p.mean()
    for name, site in (("label_prior", "label"), ("prior", "z")):
        scores = critics[name](loss.terms[site].value).flatten()
        expected = expected + 7 * softplus(-scores).mean()
    few = batch_of()["labelled"]
    shares = parts.guide(few["x"])[0]
    known = few["label"] >= 0
    own = shares[known, few["label"][known]]
    expected = expected - 5 * own.log().mean()
    torch.testing.assert_close(loss.parts["loss"], expected.detach())


def test_the_label_critic_holds_shares_against_one_hot_rows():
    parts = built("aae-semi")
    [hook] = [hook for hook in parts.hooks if hook.name == "label_prior"]
    terms = loss_of(parts).terms.detach()
    own, reference = hook.critic_inputs(terms, batch_of())[0]
    assert torch.equal(own, terms["label"].value)
    assert ((reference == 0) | (reference == 1)).all() and (reference.sum(-1) == 1).all()


@pytest.mark.parametrize("name", ["aae", "aae-semi"])
def test_options_reach_every_critic(name):
    parts = built(
        name,
        rule="wasserstein",
        critic_hidden=(5, 6),
        critic_rate=0.02,
        critic_steps=4,
        noise=0.3,
        warmup=10,
        weight=20.0,
    )
    critics = [hook for hook in parts.hooks if hasattr(hook, "critic")]
    assert len(critics) == (1 if name == "aae" else 2)
    for hook in critics:
        assert (hook.rule, hook.gradient_penalty) == ("wasserstein", 10.0)
        assert (hook.critic_steps, hook.schedule.noise) == (4, 0.3)
        assert [layer.out_features for layer in hook.critic.net[::2]] == [5, 6, 1]
        optimizer = hook.make_optimizer(hook.critic_parameters())
        assert optimizer.param_groups[0]["lr"] == 0.02
        for _ in range(5):
            hook.advance()
        assert float(hook.weight(torch.tensor(1.0), None)) == pytest.approx(10.0)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("rule", ["logistic", "wasserstein", "least-squares", "hinge"])
def test_each_loss_reaches_its_own_side_alone(name, rule):
    """Penalties the guide, critics' losses the critics; the images' loss both sides."""
    parts = built(name, **({} if name == "predictability-min" else {"rule": rule}))
    loss = loss_of(parts)
    assert {share.side for share in loss.routed} == {"guide"}
    model, guide = [*parts.model.parameters()], [*parts.guide.parameters()]
    for penalty, *_ in loss.routed:
        on_model = torch.autograd.grad(penalty, model, allow_unused=True, retain_graph=True)
        assert set(on_model) == {None}
        on_guide = torch.autograd.grad(penalty, guide, allow_unused=True, retain_graph=True)
        assert any(g is not None and (g != 0).any() for g in on_guide)
    gradients(loss, parts.model, parts.guide, [*model, *guide])
    hooks = [hook for hook in parts.hooks if hook.name not in ("Supervision",)]
    assert all(p.grad is None for hook in hooks for p in hook.parameters())
    for hook in hooks:
        inputs = hook.critic_inputs(loss.terms.detach(), batch_of())[0]
        critic = hook.critic_loss_of(inputs).loss
        on_pair = torch.autograd.grad(
            critic, [*model, *guide], allow_unused=True, retain_graph=True
        )
        assert set(on_pair) == {None}
        own = torch.autograd.grad(critic, [*hook.critic_parameters()], allow_unused=True)
        assert any(g is not None and (g != 0).any() for g in own)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("aae", {"weight": 0.0}),
        ("aae-semi", {"weight": 0.0, "label_weight": 0.0}),
    ],
)
def test_without_weights_it_is_a_plain_autoencoder(name, options):
    parts = built(name, **options)
    assert parts.hooks == () and parts.streams == ()
    loss = loss_of(parts)
    assert torch.equal(loss.parts["loss"], loss.parts["x"])


def test_a_critic_of_weight_zero_leaves_loss_and_gradients_as_they_are():
    """To the bit; the plain pair is the method's own without a critic."""
    plain, parts = built("aae", weight=0.0), built("aae")
    parts.hooks[0].weight.value = 0.0
    parts.model.load_state_dict(plain.model.state_dict())
    parts.guide.load_state_dict(plain.guide.state_dict())
    found = []
    for which in (plain, parts):
        loss = loss_of(which)
        parameters = [*which.model.parameters(), *which.guide.parameters()]
        found.append([loss.parts["loss"], *gradients(loss, which.model, which.guide, parameters)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_without_its_penalty_predictability_minimisation_is_the_vae():
    mine = loss_of(built("predictability-min", weight=0.0))
    assert torch.equal(mine.parts["loss"], loss_of(built("vae")).parts["loss"])


@pytest.mark.parametrize("form", ["normalised", "published"])
def test_predictability_is_added_to_the_vaes_loss(form):
    parts = built("predictability-min", form=form, weight=3.0)
    loss = loss_of(parts)
    plain = loss_of(built("vae"))
    torch.testing.assert_close(loss.total, plain.total)
    codes = loss.terms["z"].value
    if form == "published":  # predictions start at 0
        expected = -3 * codes.sigmoid().square().mean()
    else:
        expected = torch.zeros(())
    found = loss.parts["predictability"]
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("aae", {}),
        ("aae", {"rule": "wasserstein", "encoder": "deterministic", "critic_steps": 2}),
        ("aae-semi", {"noise": 0.3, "warmup": 3}),
        ("predictability-min", {"form": "published"}),
    ],
)
def test_a_recorded_step_is_the_eager_one(name, options):
    results = []
    for mode in ("eager", "record"):
        parts = built(name, **options)
        parameters = [*parts.model.parameters(), *parts.guide.parameters()]
        objective = Objective(parts.weights, parts.hooks)
        sgd = torch.optim.SGD(parameters, lr=1e-3)
        step = Step(parts.model, parts.guide, objective, sgd, mode=mode)
        batch, told = batch_of(), {}
        for i in range(3):
            torch.manual_seed(i)
            told = step((batch["x"],), batch)
            objective.advance()
        assert step.mode == mode
        critics = [p for hook in parts.hooks for p in hook.parameters()]
        results.append([*told.values(), *parameters, *critics])
    for eager, recorded in zip(*results, strict=True):
        torch.testing.assert_close(recorded, eager, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "option", "wrong"),
    [
        ("aae", "weight", "-1"),
        ("aae", "rule", "reverse"),
        ("aae", "encoder", "universal"),
        ("aae", "critic_rate", "0"),
        ("aae", "critic_steps", "0"),
        ("aae", "noise", "nan"),
        ("aae-semi", "classes", "1"),
        ("aae-semi", "label_weight", "-1"),
        ("predictability-min", "latent_dim", "1"),
        ("predictability-min", "form", "raw"),
        ("predictability-min", "predictor_steps", "0"),
    ],
)
def test_wrong_options_are_refused_by_name(name, option, wrong):
    with pytest.raises(OptionError, match=f"{option} is .*{wrong}.*; expected"):
        read_options(load_method(name).options, {option: wrong})


def test_classes_must_hold_those_of_the_labels():
    with pytest.raises(OptionError, match="classes is 2; expected at least 3"):
        built("aae-semi", classes=2)
    assert built("aae-semi", classes=5).model.classes == 5
    assert built("aae-semi").model.classes == 3
    assert built("aae-semi", classes=2, label_weight=0.0).model.classes == 2


def few_labels():
    images = np.load("digits.npz")["images"]
    labels = np.where(np.arange(len(images)) % 2, -1, np.arange(len(images)) // 2 % 3)
    np.savez("few.npz", images=images, labels=labels)


@pytest.mark.parametrize("encoder", ["gaussian", "deterministic"])
@pytest.mark.parametrize("name", METHODS)
def test_it_is_trained_and_reported_by_the_command_line(
    name, encoder, unbraid, train_words, place
):
    few_labels()
    words = [] if name == "predictability-min" else ["--set", f"encoder={encoder}"]
    outcome = unbraid(*train_words(*words, method=name, data="few.npz", steps=100))
    assert outcome.code == 0, outcome
    assert "validation" not in outcome.out or name == "predictability-min"
    rows = [json.loads(row) for row in (place / "run/metrics.jsonl").read_text().splitlines()]
    logged = [row for row in rows if "loss" in row][-1]
    if name == "predictability-min":
        expected = -logged["elbo"] + logged["predictability"]
        assert 0 < logged["predictability_error"]
    else:
        names = ["x", "prior", *(["label_prior", "Supervision"] if name == "aae-semi" else [])]
        expected = sum(logged[key] for key in names)
        assert 0.5 < logged["prior_accuracy"] <= 1
    assert logged["loss"] == pytest.approx(expected, rel=1e-4)
    assert unbraid("report", "run").code == 0
    assert unbraid("sample", "run", "--count", "4").code == 0


def test_a_gaussian_guide_can_be_evaluated_and_is_remarked_on(unbraid, train_words):
    assert unbraid(*train_words(method="aae")).code == 0
    outcome = unbraid("evaluate", "run", "--samples", "3")
    assert outcome.code == 0, outcome
    assert "log p(x) far too low" in outcome.out


def test_a_deterministic_guide_is_refused_and_annealing_named(unbraid, train_words):
    words = train_words("--set", "encoder=deterministic", method="aae")
    assert unbraid(*words).code == 0
    outcome = unbraid("evaluate", "run", "--samples", "3")
    assert outcome.code == 2
    assert "'z' is a point (Delta)" in outcome.err and "Anneal single images" in outcome.err
    run = face.load("run", device="cpu")
    with pytest.raises(NoLikelihoodError):
        run.log_likelihood(3, progress=False)
    x = run.split("test").pixels(torch.arange(2)).float() / 255
    found = annealed_log_likelihood(run.model, None, x, chains=2, temperatures=5)
    assert torch.isfinite(found.log_weights).all()


def test_weights_are_the_last_ones(unbraid, train_words):
    """A bound that training does not raise would choose early ones."""
    assert unbraid(*train_words(method="aae", steps=7)).code == 0
    assert face.load("run", device="cpu").step == 7


def test_a_run_is_resumed_to_the_bit(unbraid, train_words, place):
    few_labels()
    for out, steps in (("whole", [6]), ("run", [3, 6])):
        for i, count in enumerate(steps):
            more = ["--resume"] if i else []
            words = train_words(
                *more,
                "--schedule",
                "constant",
                method="aae-semi",
                data="few.npz",
                out=out,
                steps=count,
            )
            outcome = unbraid(*words)
            assert outcome.code == 0, outcome
    weights = [
        [*run.model.parameters(), *run.guide.parameters()]
        for run in (face.load(out, device="cpu") for out in ("whole", "run"))
    ]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


@pytest.mark.parametrize(
    ("method", "words", "message"),
    [
        ("aae-semi", [], "do not suit aae-semi: the data have labels of 0 classes; expected"),
        (
            "aae-semi",
            ["--set", "label_weight=0"],
            "classes is not given, and the data have labels of 0 classes; expected at least 2",
        ),
        ("aae", ["--patience", "2"], "patience is 2; expected none"),
        ("aae", ["--batch-size", "1"], "the batch has 1 data; expected at least 2"),
        ("predictability-min", ["--batch-size", "1"], "the batch has 1 data; expected at least 2"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(method, words, message, unbraid, train_words):
    outcome = unbraid(*train_words(*words, method=method))
    assert outcome.code in (2, 3), outcome
    assert message in outcome.err


def test_predictability_is_a_hook_for_any_site(unbraid, train_words, place):
    words = ["--hook", "predictability:weight=5,form=published,hidden=4"]
    assert unbraid(*train_words(*words, steps=100)).code == 0
    rows = [json.loads(row) for row in (place / "run/metrics.jsonl").read_text().splitlines()]
    logged = [row for row in rows if "loss" in row][-1]
    assert -5 < logged["predictability"] < 0
    refused = unbraid(*train_words("--hook", "predictability", "--set", "latent_dim=1", out="b"))
    assert refused.code == 2
    assert "site 'z' has 1 coordinate; expected at least 2" in refused.err
