"""Critics of adversaries: what they minimise, are shown and count, and how they resume."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from unbraid.inference import (
    SVI,
    Adversary,
    AgainstPrior,
    CriticSchedule,
    Hook,
    LinearWarmup,
    Objective,
    TwoSamples,
    fit,
    fused_adam,
    read_metrics,
)
from unbraid.nets import MLPCritic

from .adversaries import (
    HOOKS,
    LABEL,
    OWN,
    REFERENCE,
    batch_of,
    copies,
    critic,
    run,
    same,
    sgd,
    step_of,
)
from .pairs import B, K, make_pair
from .shown import Scores, Shows, ShowsLabels, critic_of, penalty_of


def scoring(rule: Any = "logistic", **schedule) -> Adversary:
    """Examples that are their own scores."""
    chosen = CriticSchedule(**schedule)
    return Adversary("a", Shows(OWN, REFERENCE), Scores(), rule, schedule=chosen)


@pytest.mark.parametrize(
    ("rule", "threshold"), [("logistic", 0.0), ("hinge", 0.0), ("least-squares", 0.5)]
)
def test_accuracy_is_the_mean_share_of_each_side_that_is_told_right(rule, threshold):
    own = np.mean([score < threshold for score in OWN.tolist()])
    reference = np.mean([score > threshold for score in REFERENCE.tolist()])
    found = critic_of(scoring(rule, flips=0.5)).figures
    assert list(found) == ["accuracy"]
    assert float(found["accuracy"]) == pytest.approx(0.5 * (own + reference))


@pytest.mark.parametrize("shift", [0.0, -30.0])
def test_accuracy_of_wasserstein_critics_does_not_depend_on_a_shift(shift):
    """Their scores have no zero; the means -0.575 and 1.25 have 0.3375 between them."""
    hook = scoring("wasserstein")
    hook.critic.shift.data.fill_(shift)  # pyright: ignore
    assert float(critic_of(hook).figures["accuracy"]) == pytest.approx(0.5 * (3 / 4 + 3 / 5))


def test_smoothing_lowers_the_target_of_references_only():
    """One-sided (Salimans et al. 2016): 0.8 for references, 0 for own."""
    found = float(critic_of(scoring(smoothing=0.2)).loss.detach())
    references = 0.8 * softplus(-REFERENCE) + 0.2 * softplus(REFERENCE)
    assert found == pytest.approx(float(softplus(OWN).mean() + references.mean()), rel=1e-12)
    plain, smooth = (penalty_of(scoring("reverse", smoothing=s)) for s in (0.0, 0.2))
    assert torch.equal(plain, smooth)


def assert_mean(values, truth, precision):
    """The mean is the truth within 5 standard errors, false once in 1.7 million."""
    error = np.std(values) / math.sqrt(len(values))
    assert error < precision
    assert abs(np.mean(values) - truth) < 5 * error


def test_flips_exchange_targets():
    """On average the loss is that of a share of exchanged targets."""
    shown = Shows(OWN, REFERENCE[:4])
    hook = Adversary("a", shown, Scores(), schedule=CriticSchedule(flips=0.3))
    losses = [float(critic_of(hook).loss.detach()) for _ in range(3000)]
    right = softplus(OWN).mean() + softplus(-REFERENCE[:4]).mean()
    wrong = softplus(-OWN).mean() + softplus(REFERENCE[:4]).mean()
    assert_mean(losses, float(0.7 * right + 0.3 * wrong), 0.02)
    assert float(wrong - right) > 0.5
    plain = Adversary("a", shown, Scores())
    assert torch.equal(penalty_of(hook), penalty_of(plain))


def labels_critic(rule: Any = "uniform", **schedule) -> Any:
    logits = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    view = ShowsLabels(3 * logits, LABEL)
    return Adversary("a", view, Scores(), rule, schedule=CriticSchedule(**schedule)), 3 * logits


def test_flipped_labels_are_other_ones_and_unknown_ones_stay_so():
    """The known ones are 0, 2, 1 and 2 of three classes."""
    hook, logits = labels_critic(flips=0.3)
    losses = [float(critic_of(hook).loss.detach()) for _ in range(3000)]
    known = LABEL != -1
    cost = -logits.log_softmax(-1)[known]
    right = cost.gather(1, LABEL[known][:, None])[:, 0]
    wrong = (cost.sum(-1) - right) / 2
    assert_mean(losses, float((0.7 * right + 0.3 * wrong).mean()), 0.05)
    assert abs(float((wrong - right).mean())) > 0.5
    hook.view = ShowsLabels(logits, torch.full((5,), -1))
    assert {float(critic_of(hook).loss.detach()) for _ in range(20)} == {0.0}


def test_smoothing_of_labels_is_torchs():
    hook, logits = labels_critic(smoothing=0.2)
    expected = cross_entropy(logits, LABEL, ignore_index=-1, label_smoothing=0.2)
    torch.testing.assert_close(critic_of(hook).loss.detach(), expected)


def test_accuracy_of_labels_is_of_the_known_ones():
    hook, logits = labels_critic(flips=0.5)
    rows = zip(logits.tolist(), LABEL.tolist(), strict=True)
    right = [row.index(max(row)) == label for row, label in rows if label != -1]
    found = critic_of(hook).figures["accuracy"]
    assert float(found) == pytest.approx(np.mean(right))
    assert 0 < np.mean(right) < 1
    unknown = Adversary("a", ShowsLabels(logits, torch.full((5,), -1)), Scores(), "flip")
    loss, figures = critic_of(unknown)
    assert (float(loss.detach()), float(figures["accuracy"])) == (0.0, 0.0)


@pytest.mark.parametrize("rule", ["reverse", "flip", "uniform"])
def test_one_logit_stands_for_two_classes(rule):
    one = torch.randn(5, 1, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, -1, 0])
    both = torch.cat([torch.zeros_like(one), one], -1)
    hooks = [Adversary("a", ShowsLabels(x, labels), Scores(), rule) for x in (one, both)]
    torch.testing.assert_close(*(penalty_of(hook) for hook in hooks))
    torch.testing.assert_close(*(critic_of(hook).loss for hook in hooks))
    figures = [float(critic_of(hook).figures["accuracy"]) for hook in hooks]
    assert figures[0] == figures[1]


class Listening(Scores):
    """Keep what the critic is shown."""

    heard: Any = None

    def forward(self, *inputs):
        self.heard = inputs
        return super().forward(inputs[0].sum(-1))


@pytest.mark.parametrize("own", [True, False])
def test_noise_falls_to_0_on_either_sides_inputs(own):
    """Its standard deviation within 5 standard errors, once in 1.7 million not so."""
    x = torch.full((50_000, 2), 3.0, dtype=torch.float64)
    listening = Listening()
    schedule = CriticSchedule(noise=0.8, noise_steps=4)
    hook = Adversary("a", Shows(x, x), listening, schedule=schedule)
    for left in (1.0, 0.75, 0.5, 0.25, 0.0, 0.0):
        _ = penalty_of(hook) if own else critic_of(hook)
        noise = listening.heard[0] - 3.0
        spread = 0.8 * left
        assert float(noise.std()) == pytest.approx(spread, abs=5 * spread / math.sqrt(2e5))
        assert float(noise.mean()) == pytest.approx(0, abs=5 * spread / math.sqrt(1e5))
        hook.advance()
    kept = Adversary("a", Shows(x, x), listening, schedule=CriticSchedule(noise=0.8))
    for _ in range(9):
        kept.advance()
    _ = penalty_of(kept)
    assert float((listening.heard[0] - 3.0).std()) == pytest.approx(0.8, abs=0.01)


def test_the_critic_takes_its_steps_each_on_draws_of_its_own():
    """Three steps of SGD by hand, from the same codes and three draws of the prior."""
    hook = Adversary(
        "prior",
        AgainstPrior("z"),
        critic(),
        schedule=CriticSchedule(steps=3),
        optimizer=sgd,
    )
    pair, step = step_of([hook])
    batch = batch_of()
    mine = critic()
    torch.manual_seed(9)
    terms = step.objective.terms(*pair[:2], (batch["x"],))
    z = terms["z"].value.detach()
    optimizer, losses = sgd(mine.parameters()), []
    for drawn in [terms["z"].p.sample() for _ in range(3)]:
        optimizer.zero_grad()
        losses.append(softplus(mine(z)).mean() + softplus(-mine(drawn)).mean())
        losses[-1].backward()
        optimizer.step()
    torch.manual_seed(9)
    parts = step((batch["x"],), batch)
    for p, q in zip(hook.critic.parameters(), mine.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(parts["prior_critic"], losses[-1].detach())


def test_clipping_holds_the_critic_and_nothing_else():
    [hook] = HOOKS["wasserstein"]()
    hook.clip = 0.05
    step, _, _ = run("", "record", hooks=[hook])
    largest = [float(p.detach().abs().max()) for p in hook.critic.parameters()]
    assert max(largest) == 0.05
    assert max(float(p.detach().abs().max()) for p in step.parameters) > 0.05


def test_two_adversaries_learn_beside_each_other():
    """At the first step, whose draws come in their order, the first one as if it were alone."""
    alone, both = HOOKS["prior"](), HOOKS["two"]()
    _, (first, *_), _ = run("", "eager", steps=1, hooks=alone)
    _, (parts, *_), _ = run("", "eager", steps=1, hooks=both)
    assert same(alone[0].critic.parameters(), both[0].critic.parameters())
    names = {f"{hook.name}{end}" for hook in both for end in ("", "_critic", "_accuracy")}
    assert names < set(parts)
    assert all(torch.equal(first[key], parts[key]) for key in first if key not in ("loss",))
    expected = parts["x"] + parts["z"] + parts["prior"] + parts["label"]
    torch.testing.assert_close(parts["loss"], expected)


def test_svi_trains_both_sides():
    """As a step of the sum over the batch, with what the model is called with as the batch."""
    [hook], [other] = HOOKS["prior"](), HOOKS["prior"]()
    pair = make_pair("plain")
    svi = SVI(pair.model, pair.guide, loss=Objective(hooks=[hook]))
    mirror, step = step_of([other], make=fused_adam, summed=True)
    for i in range(3):
        torch.manual_seed(i)
        loss = svi.step(*pair.args)
        torch.manual_seed(i)
        parts = step(mirror.args)
        step.objective.advance()
        torch.testing.assert_close(loss, B * parts["loss"])
    assert same(pair.parameters, mirror.parameters)
    assert same(hook.critic.parameters(), other.critic.parameters())
    assert not any(map(torch.equal, hook.critic.parameters(), critic().parameters()))
    assert float(hook.step) == 3


class Added(Hook):
    """Add what the batch says to the loss."""

    def penalty(self, terms, batch):
        return batch["added"]


@pytest.mark.parametrize("mode", ["eager", "record"])
@pytest.mark.parametrize("bad", ["pair", "critic"])
def test_what_is_not_finite_on_one_side_stops_both(bad, mode):
    """A bad loss of the pair stops its critic's step too; of the critic, the pair's next one."""
    [hook] = HOOKS["permuted"]()
    pair, step = step_of([hook, Added()], mode, fused_adam, guard=True)
    moved = []
    for i in range(4):
        batch = {**batch_of(i), "added": torch.zeros(()).double()}
        if i == 2 and bad == "pair":
            batch["added"] += float("inf")
        if i == 2 and bad == "critic":
            batch["second"]["x"][0] = float("nan")
        before = [copies(pair.parameters), copies(hook.critic.parameters())]
        step((batch["x"],), batch)
        step.objective.advance()
        after = [pair.parameters, hook.critic.parameters()]
        moved.append([not same(*pair_of) for pair_of in zip(after, before, strict=True)])
    at_the_bad_one = [bad == "critic", False]
    assert moved == [[True, True], [True, True], at_the_bad_one, [False, False]]
    assert float(step.bad) == 1.0


class Draws:
    def batch(self, step: int) -> dict[str, Any]:
        return batch_of(step)


def resumable() -> Objective:
    objective = Objective(
        {"kl": LinearWarmup(9)},
        [h for n in ("permuted", "everything", "labels") for h in HOOKS[n]()],
    )
    objective.hooks[2].weight = LinearWarmup(9, 0.0, 3.0)
    return objective


def trained(folder, steps, objective, resume=False, wreck=False) -> Any:
    pair = make_pair("plain")
    if wreck:
        for parameter in (*pair.parameters, *objective.as_module().parameters()):
            parameter.data.zero_()
    settings: dict[str, Any] = {"log_every": 4, "progress": False, "folder": folder}
    fit(
        pair.model,
        pair.guide,
        Draws(),
        steps=steps,
        objective=objective,
        resume=resume,
        **settings,
    )
    rows = read_metrics(folder / "metrics.jsonl")
    for row in rows:
        del row["seconds"]
    return list(pair.parameters), rows


def optimizer_states(folder, step):
    path = folder / "checkpoints" / f"ckpt-{step:06d}" / "train.pt"
    return torch.load(path, weights_only=True)["optimizers"]


def test_a_stopped_run_goes_on_with_its_critics_to_the_bit(tmp_path):
    whole, again = resumable(), resumable()
    parameters, rows = trained(tmp_path / "whole", 12, whole)
    trained(tmp_path / "stopped", 8, resumable())
    torch.manual_seed(77)
    others, other_rows = trained(tmp_path / "stopped", 12, again, resume=True, wreck=True)
    assert same(parameters, others)
    assert rows == other_rows
    states = [objective.as_module().state_dict() for objective in (whole, again)]
    assert list(states[0]) == list(states[1])
    assert same(states[0].values(), states[1].values())
    assert float(states[0]["hooks.1.step"]) == 12
    saved = [optimizer_states(tmp_path / name, 12) for name in ("whole", "stopped")]
    assert set(saved[0]) == {"pair", "critic_factor", "critic_everything", "critic_label"}
    for key, mine in saved[0].items():
        theirs = saved[1][key]["state"]["state"]
        for place, moments in mine["state"]["state"].items():
            assert same(moments.values(), theirs[place].values())
    assert {"factor", "factor_critic", "factor_accuracy"} < set(rows[-1])


def test_scores_are_float32_at_least_under_autocast():
    class Halves(Scores):
        def forward(self, *inputs):
            return super().forward(*inputs).bfloat16()

    hook = Adversary("a", Shows(OWN, REFERENCE), Halves())
    assert penalty_of(hook).dtype == critic_of(hook).loss.dtype == torch.float32


class Whole(nn.Module):
    """A critic that gives what it is asked for."""

    def __init__(self, shape) -> None:
        super().__init__()
        self.shape, self.weight = shape, nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.weight * torch.zeros(self.shape)


@pytest.mark.parametrize("shape", [(3, 2), (), (5,), (4, 1, 1)])
def test_a_critic_of_two_samples_gives_a_score_each(shape):
    hook = Adversary("fool", Shows(OWN, REFERENCE), Whole(shape))
    message = r"the critic of hook 'fool' gives shape \(.*\); expected one score for each of the 4"
    with pytest.raises(ValueError, match=message):
        penalty_of(hook)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (5, 3, 1)])
def test_a_critic_of_labels_gives_a_row_each(shape):
    hook = Adversary("fool", ShowsLabels(torch.zeros(5, 2), LABEL), Whole(shape), "flip")
    message = r"the critic of hook 'fool' gives shape \(.*\); expected logits \(5, classes\)"
    with pytest.raises(ValueError, match=message):
        penalty_of(hook)


def test_a_critic_of_another_size_is_told_what_it_was_shown():
    hook = Adversary("fool", AgainstPrior("z"), MLPCritic(K + 1, (7,)).double())
    pair = make_pair("plain")
    terms = Objective().terms(*pair[:3])
    message = rf"critic of hook 'fool' fails on inputs of shape \({B}, {K}\), from sites z: .*Make"
    with pytest.raises(ValueError, match=message):
        hook.penalty(terms, {})


def given(**options) -> Any:
    settings: dict[str, Any] = {"weight": 1.0, **options}
    return Adversary("a", Shows(OWN, REFERENCE), Scores(), **settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "hinges"}, "rule is 'hinges'; expected one of logistic, density-ratio"),
        ({"weight": -1.0}, "weight is -1.0; expected a finite number of at least 0"),
        ({"weight": float("nan")}, "weight is nan"),
        ({"moves": "critic"}, "moves is 'critic'; expected None, 'model' or 'guide'"),
        ({"gradient_penalty": -1.0}, "gradient_penalty is -1.0; expected a finite number"),
        ({"gradient_penalty": float("inf")}, "gradient_penalty is inf"),
        ({"clip": 0.0}, "clip is 0.0; expected a finite number above 0, or None"),
        ({"clip": float("nan")}, "clip is nan"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        given(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0; expected an integer of at least 1"),
        ({"steps": 1.5}, "steps is 1.5"),
        ({"warmup": -1}, "warmup is -1; expected an integer of at least 0"),
        ({"noise_steps": 0}, "noise_steps is 0; expected an integer of at least 1"),
        ({"smoothing": 0.6}, "smoothing is 0.6; expected 0 to 0.5"),
        ({"smoothing": float("nan")}, "smoothing is nan"),
        ({"flips": -0.1}, "flips is -0.1; expected 0 to 0.5"),
        ({"noise": -1.0}, "noise is -1.0; expected a finite number of at least 0"),
        ({"noise": float("inf")}, "noise is inf"),
    ],
)
def test_wrong_schedules_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CriticSchedule(**options)


@pytest.mark.parametrize("rule", ["wasserstein", "hinge"])
def test_smoothing_is_refused_where_there_are_no_targets(rule):
    with pytest.raises(ValueError, match=f"smoothing is 0.1; expected 0 with rule '{rule}'"):
        given(rule=rule, schedule=CriticSchedule(smoothing=0.1))


def test_what_labels_have_no_use_for_is_refused():
    view = ShowsLabels(torch.zeros(5, 3), LABEL)
    hook = Adversary("a", view, Scores(), "logistic")
    message = "rule of hook 'a' is 'logistic', for two samples; its view gives labels. Expected"
    for ask in (penalty_of, critic_of):
        with pytest.raises(ValueError, match=message):
            ask(hook)
    hook = Adversary("a", view, Scores(), "flip", gradient_penalty=10.0)
    for ask in (penalty_of, critic_of):
        with pytest.raises(ValueError, match=r"gradient_penalty of hook 'a' is 10\.0; expected 0"):
            ask(hook)


def test_examples_that_could_be_taken_for_labels_are_refused():
    hook = Adversary("a", Shows(torch.ones(3).long(), torch.ones(3).long()), Scores())
    with pytest.raises(ValueError, match=r"the view gave torch.int64 examples; expected floats"):
        critic_of(hook)


def test_a_view_without_references_is_told():
    class Forgetful(Shows):
        def __call__(self, terms, batch, reference):
            return TwoSamples((self.own,), None)

    hook = Adversary("a", Forgetful(OWN, REFERENCE), Scores())
    with pytest.raises(ValueError, match="the view gave no reference examples; expected some"):
        critic_of(hook)


def test_a_critic_with_nothing_to_train_is_refused():
    frozen = critic()
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    hook = Adversary("fixed", AgainstPrior("z"), frozen)
    with pytest.raises(ValueError, match="critic of hook 'fixed' has no trainable parameters"):
        step_of([hook])
