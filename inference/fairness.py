"""Adversaries of fair representations whose loss, or whose gradient, is not that of the others."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softmax

from .adversary import Adversary
from .examples import Labelled, View
from .hooks import Batch, CriticLoss
from .target_rules import UNKNOWN, known_accuracy, label_cross_entropy
from .terms import Terms
from .weights import Weight


class GroupAdversary(Adversary):
    """LAFTR: the critic's error counts by group, so that no group is too small to matter.

    With `1 - p(own attribute)`, of two values the distance `|h - a|`, the critic minimises the sum
    over groups of its means. The pair minimises `weight` times how far that sum lies below that of
    a guess, an upper bound of which is the unfairness of any classifier of the code. Groups are
    the values of the attribute (demographic parity) or, where the view shows the label beside the
    code, those of attribute and label (equalised odds).

    Source: Madras et al. (2018), eq. 5 and 6, https://arxiv.org/abs/1802.06309.

    Args:
        name: Name of its part of the loss.
        view: What the critic is shown, with the attribute as labels.
        critic: Maps the view's inputs to logits `(n, A)`.
        weight: Weight of the penalty, a number of at least 0 or a schedule.
        **settings: Further arguments of `Adversary`.

    Raises:
        ValueError: If the settings have what this loss does not: a gradient penalty, flipped or
            smoothed targets.
    """

    def __init__(
        self,
        name: str,
        view: View,
        critic: nn.Module,
        weight: float | Weight = 1.0,
        **settings: Any,
    ) -> None:
        super().__init__(name, view, critic, "reverse", weight, **settings)
        for what, value in (
            ("gradient_penalty", self.gradient_penalty),
            ("flips", self.schedule.flips),
            ("smoothing", self.schedule.smoothing),
        ):
            if value:
                raise ValueError(
                    f"{what} of hook {name!r} is {value}; expected 0, as the errors of groups "
                    "have no such thing. Leave it out"
                )

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted advantage of the critic over a guess, a scalar."""
        shown = _labelled(self.view(terms, batch, True), self.name)
        logits = self._logits(shown.inputs)
        error, groups = group_errors(logits, *_groups(shown, logits.shape[-1]))
        advantage = groups * (1.0 - 1.0 / logits.shape[-1]) - error
        return self.weighted(advantage)

    def critic_loss_of(self, inputs: tuple[Tensor, ...]) -> CriticLoss:
        """Return the sum of the groups' mean errors, and the critic's accuracy."""
        shown = Labelled(inputs[:-1], inputs[-1])
        logits = self._logits(shown.inputs)
        error, _ = group_errors(logits, *_groups(shown, logits.shape[-1]))
        return CriticLoss(error, {"accuracy": known_accuracy(logits, shown.labels)})


def group_errors(
    logits: Tensor, labels: Tensor, groups: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Add up the groups' means of `1 - p(label)`.

    Args:
        logits: `(n, A)`.
        labels: int64 `(n,)`, -1 where unknown.
        groups: int64 `(n,)` in `[0, count)`; of unknown labels anything.
        count: Number of groups.

    Returns:
        The sum, a scalar, and the number of groups that have data, a scalar float.
    """
    own = softmax(logits, -1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    places = torch.arange(count, device=labels.device)
    members = ((groups.unsqueeze(-1) == places) & (labels != UNKNOWN).unsqueeze(-1)).to(own)
    sizes = members.sum(0)
    means = ((1.0 - own).unsqueeze(-1) * members).sum(0) / sizes.clamp(min=1.0)
    return means.sum(), (sizes > 0).to(own).sum()


class ProjectedAdversary(Adversary):
    r"""Zhang et al.: the pair moves against the critic, and never in the critic's favour.

    Of each of the pair's parameters, with g the gradient of the prediction's loss and h that of
    the critic's, the gradient becomes \( g - \mathrm{proj}_h g - \alpha h \). The penalty is minus
    alpha times the critic's loss; its gradient has the projection in it, so that steps can be
    recorded, clipped and resumed like any others.

    Source: Zhang, Lemoine & Mitchell (2018), eq. 1, https://arxiv.org/abs/1801.07593; parameter by
    parameter as in their published code.

    Args:
        name: Name of its part of the loss.
        view: What the critic is shown, with the attribute as labels.
        critic: Maps the view's inputs to logits `(n, A)`.
        weight: The alpha, a number of at least 0 or a schedule. The projection is taken out
            whatever it is.
        parameters: Gives the parameters whose gradients are changed, anew at every call; none of
            the critic.
        site: The observed site whose `-log p` is the prediction's loss.
        scale: The weight of that site in the objective.
        project: Whether the projection is taken out; without it this is gradient reversal.
        **settings: Further arguments of `Adversary`.
    """

    def __init__(
        self,
        name: str,
        view: View,
        critic: nn.Module,
        weight: float | Weight = 1.0,
        *,
        parameters: Callable[[], Iterable[Tensor]],
        site: str = "label",
        scale: float = 1.0,
        project: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(name, view, critic, "reverse", weight, **settings)
        self._pair, self._site, self._scale = parameters, site, scale
        self.project = project
        self.sites = tuple(dict.fromkeys((*view.sites, site)))

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return minus alpha times the critic's loss, a scalar with the changed gradient."""
        shown = _labelled(self.view(terms, batch, True), self.name)
        loss = label_cross_entropy(self._logits(shown.inputs), shown.labels)
        reversal = self.weighted(-loss)
        if not self.project or not torch.is_grad_enabled():
            return reversal
        parameters = [p for p in self._pair() if p.requires_grad]
        count = terms.population * terms.runner.particles
        prediction = -self._scale * terms[self._site].log_p_total() / count
        mine = _gradients(prediction, parameters)
        critics = _gradients(loss, parameters)
        # Linear in the parameters with the projection as its slope, and of value 0; none while
        # the critic learns alone.
        learnt = (self.step[0] >= self.schedule.warmup).to(loss.dtype)
        for parameter, g, h in zip(parameters, mine, critics, strict=True):
            if g is not None and h is not None:
                slope = (learnt * projection(g, h) * parameter).sum()
                reversal = reversal - (slope - slope.detach())
        return reversal


def projection(gradient: Tensor, onto: Tensor) -> Tensor:
    """The part of a gradient that lies along another of the same shape; 0 where that is 0."""
    square = onto.square().sum()
    share = (gradient * onto).sum() / square.clamp(min=torch.finfo(onto.dtype).tiny)
    return (torch.where(square > 0, share, 0.0) * onto).detach()


def _gradients(loss: Tensor, parameters: list[Tensor]) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True))


def _labelled(shown: Any, name: str) -> Labelled:
    if not isinstance(shown, Labelled):
        raise ValueError(
            f"the view of hook {name!r} gives two samples; expected labels. Use a view such as "
            "SensitiveExamples"
        )
    return shown


def _groups(shown: Labelled, values: int) -> tuple[Tensor, Tensor, int]:
    """The attribute, the group of each datum, and how many groups there are."""
    if len(shown.inputs) == 1:
        return shown.labels, shown.labels, values
    beside = shown.inputs[1]
    return (
        shown.labels,
        beside.argmax(-1) * values + shown.labels.clamp(min=0),
        beside.shape[-1] * values,
    )
