"""What a critic aims at, and what the pair that is judged aims at: the objectives of adversaries.

Two kinds of critic: of *two samples*, whose score is high for `reference` and low for `own`
examples (those that the pair makes); and of *labels*, whose logits say which class an example has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, relu, softplus

Rule = Literal[
    "logistic",
    "density-ratio",
    "least-squares",
    "wasserstein",
    "hinge",
    "reverse",
    "flip",
    "uniform",
]
UNKNOWN = -1
GRADIENT_PENALTIES: dict[Rule, float] = {"wasserstein": 10.0}
"""Weights of the gradient penalty as published, of the rules that need one (Gulrajani et al.
2017, section 4, https://arxiv.org/abs/1704.00028)."""


@dataclass(frozen=True)
class TwoSampleRule:
    """The objectives of a critic of two samples and of the pair; scores have shape `(n,)`.

    Args:
        critic: From scores of own and of reference examples and the target of the latter (1, or
            less where labels are smoothed) to the critic's loss.
        pair: From scores of own examples and, where `both`, of reference examples to the pair's.
        both: Whether the pair's loss looks at reference examples too.
        threshold: Score above which an example counts as taken for a reference; None for halfway
            between the mean scores, where no loss depends on a shift of all scores.
    """

    critic: Callable[[Tensor, Tensor, Tensor], Tensor]
    pair: Callable[[Tensor, Tensor], Tensor]
    both: bool = False
    threshold: float | None = 0.0


def _cross_entropies(own: Tensor, reference: Tensor, target: Tensor) -> Tensor:
    """`-E log(1 - D(own)) - E log D(reference)`, D the sigmoid of the score."""
    return softplus(own).mean() + binary_cross_entropy_with_logits(
        reference, target.expand_as(reference)
    )


def _uniform(own: Tensor, reference: Tensor) -> Tensor:
    """Cross-entropy of both against a coin, stationary where the critic cannot tell."""
    return sum(0.5 * (softplus(s) + softplus(-s)).mean() for s in (own, reference))  # pyright: ignore[reportReturnType]


TWO_SAMPLE_RULES: dict[Rule, TwoSampleRule] = {
    # Non-saturating: Goodfellow et al. (2014), section 3, https://arxiv.org/abs/1406.2661.
    "logistic": TwoSampleRule(_cross_entropies, lambda own, _: softplus(-own).mean()),
    # KL(own || reference), whose log-ratio is minus the best critic's score.
    "density-ratio": TwoSampleRule(_cross_entropies, lambda own, _: -own.mean()),
    # Mao et al. (2017), eq. 9, https://arxiv.org/abs/1611.04076.
    "least-squares": TwoSampleRule(
        lambda own, reference, target: own.square().mean() + (reference - target).square().mean(),
        lambda own, _: (own - 1.0).square().mean(),
        threshold=0.5,
    ),
    # Arjovsky et al. (2017), eq. 2, https://arxiv.org/abs/1701.07875.
    "wasserstein": TwoSampleRule(
        lambda own, reference, _: own.mean() - reference.mean(),
        lambda own, _: -own.mean(),
        threshold=None,
    ),
    # Miyato et al. (2018), eq. 16 and 17, https://arxiv.org/abs/1802.05957.
    "hinge": TwoSampleRule(
        lambda own, reference, _: relu(1.0 + own).mean() + relu(1.0 - reference).mean(),
        lambda own, _: -own.mean(),
    ),
    # Ganin & Lempitsky (2015), eq. 4, https://arxiv.org/abs/1409.7495.
    "reverse": TwoSampleRule(
        _cross_entropies,
        lambda own, reference: -_cross_entropies(own, reference, own.new_ones(())),
        both=True,
    ),
    # Tzeng et al. (2017), eq. 7, https://arxiv.org/abs/1702.05464: the targets are exchanged.
    "flip": TwoSampleRule(
        _cross_entropies,
        lambda own, reference: softplus(-own).mean() + softplus(reference).mean(),
        both=True,
    ),
    # Tzeng et al. (2015), eq. 3, https://arxiv.org/abs/1510.02192.
    "uniform": TwoSampleRule(_cross_entropies, _uniform, both=True),
}


def label_cross_entropy(logits: Tensor, labels: Tensor, smoothing: Tensor | float = 0.0) -> Tensor:
    """Mean cross-entropy over the examples whose label is known.

    Args:
        logits: `(n, C)`, at least two classes.
        labels: int64 `(n,)`, `-1` where unknown.
        smoothing: Share of the target that is spread evenly over all classes, 0 to 1.
    """
    log_p = log_softmax(logits, -1)
    own = log_p.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return _known_mean(-(1.0 - smoothing) * own - smoothing * log_p.mean(-1), labels)


def known_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of the examples with a known label whose label the logits tell, detached."""
    known = labels != UNKNOWN
    right = ((logits.argmax(-1) == labels) & known).sum()
    return (right / known.sum().clamp(min=1)).detach()


def _flipped(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy against the other classes, evenly: of two classes, the exchanged label."""
    log_p = log_softmax(logits, -1)
    own = log_p.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return _known_mean(-(log_p.sum(-1) - own) / (logits.shape[-1] - 1), labels)


def _undecided(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy against all classes, evenly."""
    return _known_mean(-log_softmax(logits, -1).mean(-1), labels)


def _known_mean(costs: Tensor, labels: Tensor) -> Tensor:
    known = labels != UNKNOWN
    return torch.where(known, costs, 0.0).sum() / known.sum().clamp(min=1)


LABEL_RULES: dict[Rule, Callable[[Tensor, Tensor], Tensor]] = {
    "reverse": lambda logits, labels: -label_cross_entropy(logits, labels),
    "flip": _flipped,
    "uniform": _undecided,
}
"""The pair's losses against a critic of labels, from logits `(n, C)` and labels `(n,)`."""
