"""What critics and pairs aim at, against the formulas written out and optimal critics."""

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from torch.nn.functional import cross_entropy, one_hot

from unbraid.inference import Adversary
from unbraid.inference.target_rules import (  # pyright: ignore[reportMissingImports]
    LABEL_RULES,
    TWO_SAMPLE_RULES,
    Rule,
    label_cross_entropy,
)

from .shown import Scores, Shows, critic_of, penalty_of

FALSE_ALARM = 5  # standard errors: once in 1.7 million
OWN = np.array([-2.3, 0.4, 1.7, 0.1, -0.6])
REFERENCE = np.array([0.9, -1.2, 3.1])


def sigmoid(score):
    return 1 / (1 + np.exp(-score))


def cross_entropies(own, reference, target):
    taken = target * np.log(sigmoid(reference)) + (1 - target) * np.log(1 - sigmoid(reference))
    return -np.mean(np.log(1 - sigmoid(own))) - np.mean(taken)


CRITIC: dict[str, Any] = {
    **dict.fromkeys(("logistic", "density-ratio", "reverse", "flip", "uniform"), cross_entropies),
    "least-squares": lambda own, ref, t: np.mean(own**2) + np.mean((ref - t) ** 2),
    "wasserstein": lambda own, ref, t: np.mean(own) - np.mean(ref),
    "hinge": lambda own, ref, t: np.mean(np.maximum(0, 1 + own)) + np.mean(np.maximum(0, 1 - ref)),
}
PAIR: dict[str, Any] = {
    "logistic": lambda own, ref: -np.mean(np.log(sigmoid(own))),
    "density-ratio": lambda own, ref: np.mean(np.log((1 - sigmoid(own)) / sigmoid(own))),
    "least-squares": lambda own, ref: np.mean((own - 1) ** 2),
    "wasserstein": lambda own, ref: -np.mean(own),
    "hinge": lambda own, ref: -np.mean(own),
    "reverse": lambda own, ref: np.mean(np.log(1 - sigmoid(own))) + np.mean(np.log(sigmoid(ref))),
    "flip": lambda own, ref: -np.mean(np.log(sigmoid(own))) - np.mean(np.log(1 - sigmoid(ref))),
    "uniform": lambda own, ref: (
        -sum(0.5 * np.mean(np.log(sigmoid(s) * (1 - sigmoid(s)))) for s in (own, ref))
    ),
}


def tensors(*arrays):
    return [torch.tensor(a, dtype=torch.float64) for a in arrays]


def test_every_rule_has_its_formula():
    assert set(TWO_SAMPLE_RULES) == set(CRITIC) == set(PAIR) == set(get_args(Rule))


@pytest.mark.parametrize("target", [1.0, 0.8])
@pytest.mark.parametrize("name", CRITIC)
def test_the_critic_minimises_the_formula(name, target):
    own, reference, aim = tensors(OWN, REFERENCE, target)
    found = TWO_SAMPLE_RULES[name].critic(own, reference, aim)
    assert float(found) == pytest.approx(CRITIC[name](OWN, REFERENCE, target), rel=1e-12)


@pytest.mark.parametrize("name", PAIR)
def test_the_pair_minimises_the_formula(name):
    own, reference = tensors(OWN, REFERENCE)
    found = TWO_SAMPLE_RULES[name].pair(own, reference)
    assert float(found) == pytest.approx(PAIR[name](OWN, REFERENCE), rel=1e-12)


@pytest.mark.parametrize("name", PAIR)
def test_a_rule_looks_at_references_where_it_says_so(name):
    rule = TWO_SAMPLE_RULES[name]
    own, reference = (t.requires_grad_() for t in tensors(OWN, REFERENCE))
    gradient = torch.autograd.grad(rule.pair(own, reference), reference, allow_unused=True)[0]
    assert rule.both == (gradient is not None)


@pytest.mark.parametrize("name", CRITIC)
def test_scores_of_any_size_give_finite_losses_and_gradients(name):
    rule = TWO_SAMPLE_RULES[name]
    own, reference = (t.requires_grad_() for t in tensors([-1e4, 1e4], [1e4, -1e4, 0.0]))
    for loss in (rule.critic(own, reference, own.new_ones(())), rule.pair(own, reference)):
        gradients = torch.autograd.grad(loss, (own, reference), allow_unused=True)
        assert torch.isfinite(loss)
        assert all(g is None or bool(torch.isfinite(g).all()) for g in gradients)


def gaussians() -> Any:
    """Own and reference of two dims: other means, and another correlation."""
    covariances = torch.tensor([[[1.0, 0.5], [0.5, 0.8]], [[1.4, -0.3], [-0.3, 0.9]]])
    means = torch.tensor([[0.3, -0.4], [0.0, 0.2]])
    both = zip(means.double(), covariances.double(), strict=True)
    return [MultivariateNormal(mean, covariance) for mean, covariance in both]


def assert_near(values, truth, precision):
    """The mean is the truth within 5 standard errors, which are below `precision`."""
    error = float(values.std() / math.sqrt(len(values)))
    assert error < precision
    assert abs(float(values.mean()) - truth) < FALSE_ALARM * error


def test_the_penalty_of_the_best_critic_is_the_divergence():
    """KL(own || reference) within 5 standard errors of 200 000 draws: fails once in 1.7 million.

    The reversed divergence, and the reverse of the sign, are more than 20 of them away.
    """
    own, reference = gaussians()
    x = own.sample((200_000,))
    critic = Scores(lambda z: reference.log_prob(z) - own.log_prob(z))
    shown = Shows(x, reference.sample((10,)))
    penalty = float(penalty_of(Adversary("a", shown, critic, "density-ratio")).detach())
    scores = own.log_prob(x) - reference.log_prob(x)
    assert penalty == pytest.approx(float(scores.mean()), rel=1e-12)
    truth = float(kl_divergence(own, reference))
    assert_near(scores, truth, 0.003)
    assert abs(truth - float(kl_divergence(reference, own))) > 0.06


def jensen_shannon(p, q):
    """By the rectangle rule on a fine grid, in nats."""
    x = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    log_p, log_q = p.log_prob(x), q.log_prob(x)
    log_mean = torch.logaddexp(log_p, log_q) - math.log(2)
    step = 40 / 400_000
    return 0.5 * float(
        ((log_p.exp() * (log_p - log_mean)).sum() + (log_q.exp() * (log_q - log_mean)).sum())
        * step
    )


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.7, 1.5), (4.0, 0.5)])
def test_the_best_critic_has_the_cross_entropy_of_theory(shift, scale):
    """2 log 2 - 2 JSD (Goodfellow et al. 2014, theorem 1), within 5 standard errors."""
    zero = torch.zeros((), dtype=torch.float64)
    own, reference = Normal(zero + shift, scale), Normal(zero, 1.0)
    x, y = own.sample((200_000,)), reference.sample((200_000,))
    critic = Scores(lambda z: reference.log_prob(z) - own.log_prob(z))
    loss = critic_of(Adversary("a", Shows(x, y), critic, "logistic")).loss
    ratio = [critic(z).detach().numpy() for z in (x, y)]
    costs = torch.tensor(-np.log(sigmoid(-ratio[0])) - np.log(sigmoid(ratio[1])))
    assert float(loss.detach()) == pytest.approx(float(costs.mean()), rel=1e-10)
    truth = 2 * math.log(2) - 2 * jensen_shannon(own, reference)
    if shift == 0.0:  # equal distributions: a coin, whatever is drawn
        assert float(loss.detach()) == pytest.approx(2 * math.log(2), rel=1e-12) == truth
    else:
        assert_near(costs, truth, 0.002)


def test_the_best_critic_is_at_rest():
    """Its factor and its shift are pulled nowhere, within 5 standard errors and more."""
    own, reference = gaussians()
    x, y = own.sample((200_000,)), reference.sample((200_000,))
    critic = Scores(lambda z: reference.log_prob(z) - own.log_prob(z))
    hook = Adversary("a", Shows(x, y), critic, "density-ratio")

    def pull():
        gradient = torch.autograd.grad(critic_of(hook).loss, list(critic.parameters()))
        return torch.stack(gradient).abs()

    assert (pull() < 5 / math.sqrt(200_000)).all()
    for parameter, wrong in ((critic.factor, 0.7), (critic.shift, 0.3)):
        before = parameter.detach().clone()
        parameter.data.fill_(wrong)
        assert (pull() > 3 * 5 / math.sqrt(200_000)).any()
        parameter.data.copy_(before)


def test_a_linear_critic_measures_the_distance_of_the_means():
    """Minus the critic's Wasserstein loss; of slope 1 along the shift, it is the distance."""
    x, y = torch.randn(2, 7, 3, dtype=torch.float64)
    y = y[:5] + 2.0
    shift = y.mean(0) - x.mean(0)
    critic = Scores(lambda z: z @ (shift / shift.norm()))
    hook = Adversary("a", Shows(x, y), critic, "wasserstein")
    assert -float(critic_of(hook).loss.detach()) == pytest.approx(float(shift.norm()), rel=1e-12)
    expected = -float(x.mean(0) @ shift / shift.norm())
    assert float(penalty_of(hook).detach()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("slope", [1.0, 0.25, 3.0, -2.0])
def test_the_gradient_penalty_is_the_squared_distance_of_the_slope_from_1(slope):
    x, y = torch.randn(2, 7, 3, dtype=torch.float64)
    direction = torch.tensor([2.0, -1.0, 2.0], dtype=torch.float64) / 3
    critic = Scores(lambda z: slope * (z @ direction) + 4.0)
    plain = critic_of(Adversary("a", Shows(x, y[:4]), critic, "wasserstein")).loss
    hook = Adversary("a", Shows(x, y[:4]), critic, "wasserstein", gradient_penalty=10.0)
    found = critic_of(hook).loss - plain
    assert float(found.detach()) == pytest.approx(10 * (abs(slope) - 1) ** 2, abs=1e-10)
    pull = torch.autograd.grad(found, critic.factor)[0]
    assert float(pull) == pytest.approx(20 * (abs(slope) - 1) * abs(slope), abs=1e-10)


def test_the_gradient_penalty_is_taken_between_own_and_reference():
    """Of |z|^2 / 2 the slope at a point is its distance from 0, here between 3 and 5."""
    shown = Shows(torch.full((500, 1), 3.0).double(), torch.full((500, 1), 5.0).double())
    critic = Scores(lambda z: 0.5 * z.square().sum(-1))
    plain = critic_of(Adversary("a", shown, critic, "wasserstein")).loss
    hook = Adversary("a", shown, critic, "wasserstein", gradient_penalty=1.0)
    costs = [float((critic_of(hook).loss - plain).detach()) for _ in range(40)]
    # E (3 + 2u - 1)^2 = 4 + 4 + 4/3, of variance below 11.
    assert np.mean(costs) == pytest.approx(28 / 3, abs=5 * math.sqrt(11 / (500 * 40)))


LABELS = {2: [0, 1, 1, 0], 5: [3, 0, 4, 2]}


def hand_label_rule(name, logits, labels, classes):
    """Mean over the data of the rule, by loops."""
    costs = []
    for row, label in zip(logits, labels, strict=True):
        p = np.exp(row) / np.exp(row).sum()
        target = {
            "reverse": -np.eye(classes)[label],
            "flip": (1 - np.eye(classes)[label]) / (classes - 1),
            "uniform": np.full(classes, 1 / classes),
        }[name]
        costs.append(-(target * np.log(p)).sum())
    return np.mean(costs)


@pytest.mark.parametrize("classes", LABELS)
@pytest.mark.parametrize("name", LABEL_RULES)
def test_label_rules_are_the_formulas(name, classes):
    logits = torch.randn(4, classes, dtype=torch.float64) * 2
    labels = torch.tensor(LABELS[classes])
    expected = hand_label_rule(name, logits.numpy(), LABELS[classes], classes)
    assert float(LABEL_RULES[name](logits, labels)) == pytest.approx(expected, rel=1e-12)


def test_flipped_labels_of_two_classes_are_the_other_ones():
    logits = torch.randn(4, 2, dtype=torch.float64)
    labels = torch.tensor(LABELS[2])
    torch.testing.assert_close(
        LABEL_RULES["flip"](logits, labels), cross_entropy(logits, 1 - labels)
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_critic_of_labels_minimises_cross_entropy(smoothing):
    logits = torch.randn(4, 5, dtype=torch.float64)
    labels = torch.tensor(LABELS[5])
    found = label_cross_entropy(logits, labels, smoothing)
    torch.testing.assert_close(found, cross_entropy(logits, labels, label_smoothing=smoothing))


EVERY_LABEL_LOSS: dict[str, Any] = {
    **LABEL_RULES,
    "critic": label_cross_entropy,
    "smoothed critic": lambda logits, labels: label_cross_entropy(logits, labels, 0.2),
}


@pytest.mark.parametrize("classes", LABELS)
@pytest.mark.parametrize("name", EVERY_LABEL_LOSS)
def test_unknown_labels_count_for_nothing(name, classes):
    loss = EVERY_LABEL_LOSS[name]
    logits = torch.randn(4, classes, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([-1, LABELS[classes][1], -1, LABELS[classes][3]])
    found = loss(logits, labels)
    torch.testing.assert_close(found, loss(logits[1::2], labels[1::2]))
    gradient = torch.autograd.grad(found, logits)[0]
    assert (gradient[::2] == 0).all()
    assert (gradient[1::2] != 0).all()


@pytest.mark.parametrize("name", EVERY_LABEL_LOSS)
def test_without_a_known_label_the_loss_is_0(name):
    logits = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    found = EVERY_LABEL_LOSS[name](logits, torch.full((4,), -1))
    assert float(found.detach()) == 0.0
    assert (torch.autograd.grad(found, logits)[0] == 0).all()


@pytest.mark.parametrize("classes", LABELS)
def test_only_the_even_target_is_at_rest_where_the_critic_is_undecided(classes):
    logits = torch.full((4, classes), 0.7, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(LABELS[classes])
    pull = {
        name: torch.autograd.grad(rule(logits, labels), logits)[0]
        for name, rule in LABEL_RULES.items()
    }
    assert (pull["uniform"].abs() < 1e-15).all()
    # Of `reverse`, one-hot less even; of `flip`, the opposite by 1 / (classes - 1).
    towards = one_hot(labels, classes).double() - 1 / classes
    torch.testing.assert_close(pull["reverse"], towards / 4)
    torch.testing.assert_close(pull["flip"], towards / 4 / (classes - 1))


def test_only_the_even_target_of_two_samples_is_at_rest_where_the_critic_is_undecided():
    own, reference = (t.requires_grad_() for t in tensors([0.0] * 4, [0.0] * 3))
    pull = {
        name: torch.autograd.grad(TWO_SAMPLE_RULES[name].pair(own, reference), (own, reference))
        for name in ("reverse", "flip", "uniform")
    }
    assert all((gradient == 0).all() for gradient in pull["uniform"])
    for name in ("reverse", "flip"):
        torch.testing.assert_close(pull[name][0], torch.full((4,), -0.5 / 4).double())
        torch.testing.assert_close(pull[name][1], torch.full((3,), 0.5 / 3).double())


def test_reverse_saturates_where_the_critic_wins_and_flip_does_not():
    """At a score of -8, by sigmoid(-8) = 0.0003 and 1 less that."""
    own, reference = (t.requires_grad_() for t in tensors([-8.0], [8.0]))
    pull = {
        name: float(torch.autograd.grad(TWO_SAMPLE_RULES[name].pair(own, reference), own)[0])
        for name in ("reverse", "flip", "logistic")
    }
    assert pull["reverse"] == pytest.approx(-sigmoid(-8), rel=1e-9)
    assert pull["flip"] == pull["logistic"] == pytest.approx(-sigmoid(8), rel=1e-9)
