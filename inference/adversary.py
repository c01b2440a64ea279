"""One adversary for all: a critic of chosen examples, and the pair's aim against it."""

from collections.abc import Callable
from typing import get_args

import torch
from torch import Tensor, nn

from .critic_schedule import CriticSchedule
from .examples import Examples, Inputs, Labelled, TwoSamples, View
from .hooks import Batch, CriticLoss, Hook
from .target_rules import (
    LABEL_RULES,
    TWO_SAMPLE_RULES,
    UNKNOWN,
    Rule,
    known_accuracy,
    label_cross_entropy,
)
from .terms import Terms
from .weights import Weight, as_weight


class Adversary(Hook):
    """A critic that tells examples apart, and a penalty on the pair whose examples they are.

    The view says which examples: of two samples, those that the pair makes and those that they
    are held against, or examples with labels. The critic learns to tell them apart; the penalty
    is `weight` times the pair's loss under `rule`:

    | rule | the critic minimises | the pair minimises |
    |---|---|---|
    | `logistic` | cross-entropy | -log D of its own examples |
    | `density-ratio` | cross-entropy | log (1 - D) / D of its own examples |
    | `least-squares` | (D - 1)^2 and D^2 | (D - 1)^2 of its own |
    | `wasserstein` | the difference of the means, with `gradient_penalty` | -D of its own |
    | `hinge` | max(0, 1 - D), max(0, 1 + D) | -D of its own |
    | `reverse` | cross-entropy | minus the critic's loss |
    | `flip` | cross-entropy | cross-entropy with exchanged targets |
    | `uniform` | cross-entropy | cross-entropy with even targets |

    Views of labels take the last three. Gradients of the penalty reach the pair alone, those of
    the critic's loss the critic alone. The critic is judged as it is at the step, before its own
    update.

    Args:
        name: Name of its part of the loss.
        view: What the critic is shown.
        critic: A module from a view's inputs, each `(n, ...)`, to scores `(n,)` or `(n, 1)`, or of
            labels to logits `(n, C)`.
        rule: The two objectives.
        weight: Weight of the penalty, a number of at least 0 or a schedule.
        moves: Which side the penalty moves: None for both, `"model"` or `"guide"`.
        schedule: How the critic is trained.
        gradient_penalty: Weight of `(|grad D| - 1)^2` at points between own and reference examples
            (Gulrajani et al. 2017, eq. 3, https://arxiv.org/abs/1704.00028); 0 for none.
        clip: Largest size of each of the critic's parameters after its steps, or None.
        optimizer: Makes the critic's optimiser; Adam with learning rate 1e-4 and betas 0.5, 0.9
            unless given.

    Raises:
        ValueError: If a name or number is none of the accepted.

    Example:
        >>> Adversary("factor", AgainstPermuted("z"), MLPCritic(10), "density-ratio", 6.4)
    """

    step: Tensor

    def __init__(
        self,
        name: str,
        view: View,
        critic: nn.Module,
        rule: Rule = "logistic",
        weight: float | Weight = 1.0,
        *,
        moves: str | None = None,
        schedule: CriticSchedule | None = None,
        gradient_penalty: float = 0.0,
        clip: float | None = None,
        optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None,
    ) -> None:
        super().__init__()
        if rule not in get_args(Rule):
            raise ValueError(f"rule is {rule!r}; expected one of {', '.join(get_args(Rule))}")
        if moves not in (None, "model", "guide"):
            raise ValueError(f"moves is {moves!r}; expected None, 'model' or 'guide'")
        if not 0.0 <= gradient_penalty < float("inf"):
            raise ValueError(
                f"gradient_penalty is {gradient_penalty}; expected a finite number of at least 0"
            )
        if clip is not None and not 0.0 < clip < float("inf"):
            raise ValueError(f"clip is {clip}; expected a finite number above 0, or None")
        if rule in ("wasserstein", "hinge") and schedule is not None and schedule.smoothing:
            raise ValueError(
                f"smoothing is {schedule.smoothing}; expected 0 with rule {rule!r}, whose critic "
                "has no targets. Choose another rule"
            )
        self.name, self.moves, self.sites = name, moves, view.sites
        self.view, self.critic = view, critic
        self.rule: Rule = rule
        self.weight = as_weight(weight)
        self.schedule = schedule or CriticSchedule()
        self.critic_steps = self.schedule.steps
        self.gradient_penalty, self.clip = gradient_penalty, clip
        self._make = optimizer
        self.register_buffer("step", torch.zeros(1))

    def make_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the critic's optimiser.

        Raises:
            ValueError: If the critic has nothing to train.
        """
        if not parameters:
            raise ValueError(
                f"the critic of hook {self.name!r} has no trainable parameters; expected some. "
                "Write a Hook with a penalty alone for a critic that is not trained"
            )
        make = super().make_optimizer if self._make is None else self._make
        return make(parameters)

    def critic_parameters(self) -> list[nn.Parameter]:
        """The critic's parameters."""
        return [parameter for parameter in self.critic.parameters() if parameter.requires_grad]

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted loss of the pair against the critic, a scalar.

        Raises:
            ValueError: If the view cannot have its examples, or the critic cannot judge them.
        """
        rule = TWO_SAMPLE_RULES[self.rule]
        shown = self.view(terms, batch, rule.both)
        if isinstance(shown, Labelled):
            loss = self._label_rule()(self._logits(shown.inputs), shown.labels)
        else:
            own = self._scores(shown.own)
            other = own if not rule.both else self._scores(_reference(shown))
            loss = rule.pair(own, other)
        return self.weighted(loss)

    def weighted(self, loss: Tensor) -> Tensor:
        """Return the weighted penalty, 0 while the critic learns alone."""
        if self.schedule.warmup:
            loss = loss * (self.step[0] >= self.schedule.warmup)
        return self.weight(loss, None)

    def _label_rule(self) -> Callable[[Tensor, Tensor], Tensor]:
        if self.rule not in LABEL_RULES:
            raise ValueError(
                f"rule of hook {self.name!r} is {self.rule!r}, for two samples; its view gives "
                f"labels. Expected one of {', '.join(LABEL_RULES)}"
            )
        if self.gradient_penalty:
            raise ValueError(
                f"gradient_penalty of hook {self.name!r} is {self.gradient_penalty}; expected 0, "
                "as its view gives labels. Drop it"
            )
        return LABEL_RULES[self.rule]

    def critic_inputs(self, terms: Terms, batch: Batch) -> list[tuple[Tensor, ...]]:
        """Return the examples of each of the critic's steps."""
        return [_flat(self.view(terms, batch, True)) for _ in range(self.critic_steps)]

    def critic_loss_of(self, inputs: tuple[Tensor, ...]) -> CriticLoss:
        """Return the critic's loss and its accuracy on one step's examples."""
        shown = _unflat(inputs)
        if isinstance(shown, Labelled):
            return self._loss_on_labels(shown)
        rule = TWO_SAMPLE_RULES[self.rule]
        own, reference = shown.own, _reference(shown)
        scores = self._scores(_joined(own, reference))
        mine, other = scores[: len(own[0])], scores[len(own[0]) :]
        threshold = rule.threshold
        if threshold is None:
            threshold = 0.5 * (mine.mean() + other.mean())
        right = (mine < threshold).float().mean() + (other > threshold).float().mean()
        target = scores.new_full((), 1.0 - self._smoothing)
        loss = rule.critic(*self._flip(mine, other), target)
        if self.gradient_penalty:
            loss = loss + self.gradient_penalty * self._slope_penalty(own, reference)
        figures = {"accuracy": 0.5 * right.detach()}
        return CriticLoss(loss, figures)

    @property
    def _smoothing(self) -> float:
        return self.schedule.smoothing

    def _flip(self, own: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange a few scores between the two sides, so that their targets are exchanged."""
        if not self.schedule.flips:
            return own, reference
        size = min(len(own), len(reference))
        flipped = torch.rand(size, device=own.device) < self.schedule.flips
        a, b = own[:size], reference[:size]
        mine = torch.cat([torch.where(flipped, b, a), own[size:]])
        return mine, torch.cat([torch.where(flipped, a, b), reference[size:]])

    def _loss_on_labels(self, shown: Labelled) -> CriticLoss:
        self._label_rule()
        logits, labels = self._logits(shown.inputs), shown.labels
        accuracy = known_accuracy(logits, labels)
        if self.schedule.flips:
            other = torch.randint(1, logits.shape[-1], labels.shape, device=labels.device)
            chosen = torch.rand(labels.shape, device=labels.device) < self.schedule.flips
            moved = (labels + other) % logits.shape[-1]
            labels = torch.where(chosen & (labels != UNKNOWN), moved, labels)
        loss = label_cross_entropy(logits, labels, self._smoothing)
        return CriticLoss(loss, {"accuracy": accuracy})

    def _scores(self, inputs: Inputs) -> Tensor:
        scores = self._judge(inputs)
        if scores.shape not in ((len(inputs[0]),), (len(inputs[0]), 1)):
            raise ValueError(
                f"the critic of hook {self.name!r} gives shape {tuple(scores.shape)}; expected "
                f"one score for each of the {len(inputs[0])} examples"
            )
        return scores.reshape(-1)

    def _logits(self, inputs: Inputs) -> Tensor:
        logits = self._judge(inputs)
        if logits.dim() == 2 and logits.shape[-1] == 1:  # of two classes, the second's log-odds
            logits = torch.cat([torch.zeros_like(logits), logits], -1)
        if logits.dim() != 2 or len(logits) != len(inputs[0]):
            raise ValueError(
                f"the critic of hook {self.name!r} gives shape {tuple(logits.shape)}; expected "
                f"logits ({len(inputs[0])}, classes)"
            )
        return logits

    def _judge(self, inputs: Inputs) -> Tensor:
        if self.schedule.noise:
            inputs = tuple(self._noisy(value) for value in inputs)
        try:
            scores = self.critic(*inputs)
        except (RuntimeError, TypeError, ValueError) as error:
            shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
            raise ValueError(
                f"the critic of hook {self.name!r} fails on inputs of shape {shapes}, from sites "
                f"{', '.join(self.sites)}: {error}. Make it for that size"
            ) from error
        return scores.to(torch.promote_types(scores.dtype, torch.float32))

    def _noisy(self, value: Tensor) -> Tensor:
        scale = self.schedule.noise
        if self.schedule.noise_steps is None:
            return value + scale * torch.randn_like(value)
        left = (1.0 - self.step[0] / self.schedule.noise_steps).clamp(min=0.0)
        return value + scale * left.to(value.dtype) * torch.randn_like(value)

    def _slope_penalty(self, own: Inputs, reference: Inputs) -> Tensor:
        size = min(len(own[0]), len(reference[0]))
        share = torch.rand(size, device=own[0].device, dtype=own[0].dtype)
        between = tuple(
            torch.lerp(b[:size], a[:size], share.view(-1, *(1,) * (a.dim() - 1))).requires_grad_()
            for a, b in zip(own, reference, strict=True)
        )
        slopes = torch.autograd.grad(self._scores(between).sum(), between, create_graph=True)
        squares = sum(slope.flatten(1).square().sum(-1) for slope in slopes)
        return (torch.as_tensor(squares).clamp(min=1e-12).sqrt() - 1.0).square().mean()

    def after_critic_step(self) -> None:
        """Clip the critic's parameters."""
        if self.clip is not None:
            with torch.no_grad():
                for parameter in self.critic_parameters():
                    parameter.clamp_(-self.clip, self.clip)

    def advance(self) -> None:
        """Go on to the next step of the schedules."""
        super().advance()
        self.step.add_(1.0)


def _joined(own: Inputs, reference: Inputs) -> Inputs:
    return tuple(torch.cat([a, b]) for a, b in zip(own, reference, strict=True))


def _reference(shown: TwoSamples) -> Inputs:
    if shown.reference is None:
        raise ValueError("the view gave no reference examples; expected some when asked for them")
    return shown.reference


def _flat(shown: Examples) -> tuple[Tensor, ...]:
    """Examples as detached tensors in a row, as a recorded step gives them out."""
    if isinstance(shown, Labelled):
        return (*(value.detach() for value in shown.inputs), shown.labels)
    if not shown.own[-1].is_floating_point():  # which `_unflat` would take for labels
        raise ValueError(
            f"the view gave {shown.own[-1].dtype} examples; expected floats. Convert them, class "
            "indices to one-hot rows"
        )
    return tuple(value.detach() for value in (*shown.own, *_reference(shown)))


def _unflat(tensors: tuple[Tensor, ...]) -> Examples:
    if not tensors[-1].is_floating_point():
        return Labelled(tensors[:-1], tensors[-1])
    half = len(tensors) // 2
    return TwoSamples(tensors[:half], tensors[half:])
