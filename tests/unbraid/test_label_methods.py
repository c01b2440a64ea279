"""Domain adaptation and fair representations: what moves what, what is refused, and whole runs."""

import json
from typing import Any

import numpy as np
import pytest
import torch

import unbraid as face
from unbraid.inference import Objective, Step, check_pair, gradients, pair_parameters
from unbraid.methods import DataSpec, OptionError, load_method, read_options

DATA = DataSpec(
    (3, 8, 9), "colour", 40, classes=3, factor_sizes=(2, 0), factor_names=("domain", "angle")
)
SMALL = {"hidden": (7,), "channels": (4, 5), "latent_dim": 4, "critic_hidden": (6,)}
DOMAINS = [
    ("domain-adaptation", {"target": target, "moved": moved})
    for target in ("reverse", "flip", "uniform")
    for moved in ("both", "target")
]
FAIR = [
    ("fair", {"attribute": "domain", **options})
    for options in (
        {"kind": "edwards-storkey", "reconstruction": 0.01},
        {"kind": "edwards-storkey", "codes": "normal"},
        {"kind": "beutel"},
        {"kind": "beutel", "notion": "opportunity"},
        {"kind": "beutel", "notion": "odds"},
        {"kind": "zhang"},
        {"kind": "zhang", "notion": "odds"},
        {"kind": "zhang", "notion": "opportunity", "project": False},
        {"kind": "laftr"},
        {"kind": "laftr", "notion": "odds"},
        {"kind": "laftr", "notion": "opportunity", "nets": "mlp"},
    )
]
every_method = pytest.mark.parametrize("name, options", [*DOMAINS, *FAIR], ids=str)


def build(name: str, data: Any = DATA, **options: Any) -> Any:
    method = load_method(name)
    torch.manual_seed(0)
    return method.build(read_options(method.options, {**SMALL, **options}), data)


def make_batch() -> dict[str, Any]:
    torch.manual_seed(1)
    return {
        "x": torch.randint(0, 256, (12, *DATA.shape)) / 255,
        "label": torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, -1, -1, -1]),
        "factors": torch.tensor([[i % 2, 0.5] for i in range(12)]),  # floats, as angles are
    }


def args_of(batch):
    return batch["x"], batch["label"]


@every_method
def test_gradients_stay_on_their_side(name, options):
    """The critic's penalty has no gradient by the critic, its loss none by the pair."""
    parts, batch = build(name, **options, warmup=0), make_batch()
    [hook] = parts.hooks
    objective = Objective(parts.weights, parts.hooks)
    terms = objective.terms(parts.model, parts.guide, args_of(batch))
    penalty = hook.penalty(terms, batch)
    by_guide = torch.autograd.grad(
        penalty, [*parts.guide.parameters()], retain_graph=True, allow_unused=True
    )
    assert all(g is not None for g in by_guide) and any((g != 0).any() for g in by_guide)
    head = torch.autograd.grad(
        penalty, [*parts.model.parameters()], retain_graph=True, allow_unused=True
    )
    sees_predictions = options.get("kind") == "zhang"
    assert any(g is not None for g in head) == sees_predictions
    pair = pair_parameters(parts.model, parts.guide)
    gradients(objective.mean_loss(parts.model, parts.guide, args_of(batch), batch),
              parts.model, parts.guide, pair)  # fmt: skip
    assert all(p.grad is None for p in (*pair, *hook.parameters()))
    [inputs] = hook.critic_inputs(terms.detach(), batch)
    loss = hook.critic_loss_of(inputs).loss
    by_pair = torch.autograd.grad(loss, pair, retain_graph=True, allow_unused=True)
    assert all(g is None for g in by_pair)
    loss.backward()
    assert all(p.grad is not None for p in hook.critic_parameters())


@every_method
def test_a_step_moves_the_pair_and_the_critic(name, options):
    parts, batch = build(name, **options, warmup=0), make_batch()
    pair = pair_parameters(parts.model, parts.guide)
    [hook] = parts.hooks
    moved = [*pair, *hook.critic_parameters()]
    before = [p.detach().clone() for p in moved]
    optimizer = torch.optim.Adam(pair, 0.01)
    step = Step(parts.model, parts.guide, Objective(parts.weights, parts.hooks), optimizer)
    told = step(args_of(batch), batch)
    assert all((old != new).any() for old, new in zip(before, moved, strict=True))
    assert {f"{hook.name}_critic", f"{hook.name}_accuracy", hook.name} <= set(told)


@pytest.mark.parametrize(
    "name, options",
    [
        ("domain-adaptation", {"target": "reverse"}),
        ("domain-adaptation", {"target": "flip", "moved": "target"}),
        ("domain-adaptation", {"target": "uniform", "warmup": 0}),
        ("fair", {"kind": "edwards-storkey", "attribute": "domain"}),
        ("fair", {"kind": "beutel", "attribute": "domain"}),
        ("fair", {"kind": "zhang", "attribute": "domain"}),
        ("fair", {"kind": "laftr", "attribute": "domain", "notion": "odds"}),
    ],
    ids=str,
)
def test_at_weight_0_it_is_the_plain_pair(name, options):
    """To the bit, after steps of the critic."""
    plain = {"domain-adaptation": {"target": "none"}, "fair": {"kind": "none"}}[name]
    found = []
    for chosen in ({**options, "weight": 0.0}, plain):
        parts, batch = build(name, **chosen), make_batch()
        pair = pair_parameters(parts.model, parts.guide)
        optimizer = torch.optim.Adam(pair, 0.01)
        step = Step(parts.model, parts.guide, Objective(parts.weights, parts.hooks), optimizer)
        for i in range(3):
            torch.manual_seed(i)
            step(args_of(batch), batch)
        found.append(pair)
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["domain-adaptation", "fair"])
@pytest.mark.parametrize("codes", ["point", "normal"])
@pytest.mark.parametrize("reconstruction", [0.0, 0.5])
def test_the_pair_is_what_the_options_say(name, codes, reconstruction):
    options = {"codes": codes, "reconstruction": reconstruction, "classification": 2.0}
    attribute = {"attribute": "domain"} if name == "fair" else {}
    parts, batch = build(name, **options, **attribute), make_batch()
    facts = check_pair(parts.model, parts.guide, *args_of(batch))
    assert facts.observed == (("label", "x") if reconstruction else ("label",))
    assert parts.likelihood.name == ("discretised-logistic" if reconstruction else "labels")
    loss = Objective(parts.weights).mean_loss(parts.model, parts.guide, args_of(batch))
    expected = 2.0 * loss.parts["label"] + reconstruction * loss.parts.get("x", 0.0)
    expected = expected + (1e-3 * loss.parts["z"] if codes == "normal" else 0.0)
    torch.testing.assert_close(loss.total.detach(), expected)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("domain-adaptation", {"classes": 0}, "labels of 0 classes; expected at least 2"),
        ("fair", {"classes": 1}, "labels of 1 classes; expected at least 2"),
        ("domain-adaptation", {"factor_names": ("place", "angle")}, "attribute is 'domain'"),
        ("domain-adaptation", {"sequence_length": 5}, "are sequences of 5 frames"),
        ("fair", {}, "attribute is 'colour'; the data's discrete labels and factors are: label, "),
    ],
)
def test_data_that_lack_something_are_refused(name, data, message):
    from dataclasses import replace

    with pytest.raises(ValueError, match=message):
        build(name, replace(DATA, **data))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("domain-adaptation", {"target": "confusion"}, "target is 'confusion'; expected one of"),
        ("domain-adaptation", {"weight": "-1"}, "weight is -1.0; expected"),
        ("domain-adaptation", {"latent_dim": "0"}, "latent_dim is 0; expected"),
        ("fair", {"kind": "edwards-storkey", "notion": "odds"}, "notion is 'odds'; expected par"),
        ("fair", {"critic_rate": "0"}, "critic_rate is 0.0; expected"),
        ("fair", {"attribute": "domain", "notion": "opportunity", "favoured": 3},
         "favoured is 3; expected a label from 0 to 2"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_by_name(name, options, message):
    with pytest.raises(OptionError, match=message):
        build(name, **options)


@pytest.fixture
def known(place):
    """Images with labels, of which a third is not known, and a domain."""
    random = np.random.default_rng(3)
    images, index = random.integers(0, 256, (60, 8, 9, 3), np.uint8), np.arange(60)
    np.savez(
        "known.npz",
        images=images,
        labels=np.where(index % 3 == 2, -1, index % 2),
        factors=(index // 3 % 2)[:, None],
        factor_names=np.array(["domain"]),
    )
    np.savez("plain.npz", images=images, labels=index % 2)
    return place


def words(method, *more, data="known.npz"):
    start = ["train", method, "--data", data, "--out", "run", "--steps", "4", "--batch-size", "20"]
    return [*start, "--set", "hidden=8", "channels=4", "latent_dim=3", "critic_hidden=5", *more]


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("domain-adaptation", ["target=reverse"]),
        ("domain-adaptation", ["target=none", "reconstruction=0.1"]),
        ("fair", ["attribute=domain", "kind=zhang", "notion=odds"]),
        ("fair", ["attribute=domain", "kind=laftr", "codes=normal", "reconstruction=0.1"]),
    ],
)
def test_whole_runs_by_the_command_line(unbraid, known, method, more):
    outcome = unbraid(*words(method, *more))
    assert outcome.code == 0, outcome.err
    rows = [json.loads(row) for row in (known / "run/metrics.jsonl").read_text().splitlines()]
    logged = [row for row in rows if "loss" in row][-1]
    assert logged["label"] > 0
    hook = {"domain-adaptation": "domain", "fair": "fairness"}[method]
    assert (f"{hook}_critic" in logged) == ("target=none" not in more)
    run = face.load("run", device="cpu")
    assert run.parts.keys == ("x", "label")
    assert unbraid("report", "run").code == 0
    judged = unbraid("evaluate", "run", "--samples", "2")
    if "codes=normal" in more:
        assert judged.code == 0, judged.err
    else:
        assert judged.code != 0 and "'z' is a point" in judged.err


@pytest.mark.parametrize(
    ("method", "more", "data", "message"),
    [
        ("domain-adaptation", [], "plain.npz", "attribute is 'domain'; the data's discrete"),
        ("domain-adaptation", [], "digits.npz", "labels of 0 classes; expected at least 2"),
        ("fair", [], "known.npz", "attribute is 'colour'; the data's discrete labels and fac"),
        ("fair", ["attribute=domain"], "digits.npz", "labels of 0 classes"),
    ],
)
def test_missing_labels_and_attributes_are_told_before_training(
    unbraid, known, method, more, data, message
):
    outcome = unbraid(*words(method, *more, data=data))
    assert outcome.code in (2, 3)
    assert message in outcome.err and "Traceback" not in outcome.err
    assert not (known / "run").exists()
