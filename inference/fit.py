"""The training loop: steps, logs, validation, checkpoints, and a way back from any stop."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from .average import AveragedPair
from .interrupts import Interrupts
from .metrics import Row, StepLog
from .objective import Objective
from .sites import Program
from .step import Mode, Precision, Step
from .svi import MakeOptimizer, fused_adam
from .trainer import BatchSource, Trainer, evaluating, training
from .trial import try_hooks
from .validation import require_bound
from .whole_numbers import whole_number


@dataclass(frozen=True)
class FitResult:
    """What a training run came to.

    Args:
        step: Steps taken in all, those before a resume included.
        stopped: `"done"`, `"early"` (validation no longer improved), or `"signal"`.
        signal: Number of the signal that stopped it, or None.
        history: The logged rows.
        best_step: Step of the best validation bound, or None without validation.
        best_bound: That bound, nats per datum.
        averaged: The averaged pair, where `ema` was given.
    """

    step: int
    stopped: str
    signal: int | None
    history: list[Row]
    best_step: int | None
    best_bound: float | None
    averaged: AveragedPair | None


def fit(
    model: Program,
    guide: Program,
    batches: BatchSource,
    *,
    steps: int,
    keys: tuple[str, ...] = ("x",),
    objective: Objective | None = None,
    optimizer: MakeOptimizer = fused_adam,
    schedule: Callable[[Optimizer], LRScheduler] | None = None,
    clip_norm: float | None = None,
    ema: float | None = None,
    precision: Precision = "float32",
    mode: Mode = "record",
    validation: Iterable[Mapping[str, Any]] | None = None,
    validation_keys: tuple[str, ...] | None = None,
    validate_every: int | None = None,
    patience: int | None = None,
    folder: Path | None = None,
    checkpoint_every: float = 300.0,
    resume: bool = False,
    seed: int = 0,
    log_every: int = 100,
    progress: bool = True,
    on_log: Callable[[Row], None] | None = None,
) -> FitResult:
    """Train a pair by stochastic variational inference.

    The noise of a step depends on `(seed, step)` alone and a batch on its own seed and the step,
    so a resumed run goes on as if it had never stopped: to the bit on a CPU with the same number
    of threads.

    Args:
        model: The generative program, on the device of the batches.
        guide: The inference program.
        batches: Gives the batch of a step, such as `unbraid.data.Batches`.
        steps: Steps in all, at least 1; a resumed run takes what is missing.
        keys: Keys of a batch that the pair takes, in order.
        objective: Weights and hooks; unit weights and none unless given.
        optimizer: Makes the optimiser of the pair's parameters; fused Adam, learning rate 1e-3,
            unless given.
        schedule: Makes a learning-rate schedule, advanced at every step.
        clip_norm: Largest norm of the gradient.
        ema: Decay of an exponential moving average of the weights, which validation then uses.
        precision: `"bfloat16"` runs the nets under autocast, densities in float32.
        mode: How a step runs; see `Step`.
        validation: One pass over held-out batches, iterated anew each time.
        validation_keys: Keys that the pair takes of held-out batches; `keys` unless given.
        validate_every: Steps between validations; a tenth of `steps` unless given.
        patience: Stop after this many validations in a row without a better bound.
        folder: Where `metrics.jsonl` and `checkpoints/` go; nothing is written without.
        checkpoint_every: Seconds between checkpoints.
        resume: Go on from the last checkpoint in `folder`, if there is one. Without it, a folder
            that has one is refused.
        seed: 0 to 2**32 - 1.
        log_every: Steps per logged row.
        progress: Whether to show a progress bar with the remaining time.
        on_log: Called with every logged row.

    Returns:
        How it ended, with the logged rows.

    Raises:
        PairError: If model and guide do not fit; before the first step.
        HookError: If a hook cannot be had from the pair and its batches; before the first step.
        ValueError: If a number is out of range, or batches lack one of the keys.
        TypeError: If `batches` has no `batch`.
        CheckpointError: If `folder` holds checkpoints that are not asked for or cannot be used.
        NonFiniteError: If a loss or gradient is not finite; the parameters are those before that
            step.
    """
    plan = _Plan(
        steps=steps,
        validation=validation,
        validation_keys=validation_keys or keys,
        validate_every=validate_every,
        patience=patience,
        checkpoint_every=checkpoint_every,
        log_every=log_every,
    )
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; expected 0 to 2**32 - 1")
    if resume and folder is None:
        raise ValueError("resume is True without a folder; expected the folder of the run")
    objective = Objective() if objective is None else objective
    parameters = _tried(model, guide, objective, _first_batch(batches, keys), keys, plan)
    chosen = optimizer(parameters)
    trainer = Trainer(
        model=model,
        guide=guide,
        batches=batches,
        keys=keys,
        objective=objective,
        optimizer=chosen,
        schedule=None if schedule is None else schedule(chosen),
        averaged=None if ema is None else AveragedPair(model, guide, ema),
        step=Step(
            model,
            guide,
            objective,
            chosen,
            mode=mode,
            clip_norm=clip_norm,
            precision=precision,
            guard=True,
        ),
        seed=whole_number("seed", seed, 0),
        device=parameters[0].device,
        folder=None if folder is None else Path(folder),
        log=StepLog(),
        on_log=on_log or _ignore,
    )
    trainer.start(resume)
    bar = tqdm(
        total=steps, initial=trainer.done, disable=not progress, unit="step", mininterval=0.5
    )
    with Interrupts() as interrupts, bar, training(model, guide):
        stopped = _take_steps(trainer, plan, interrupts, bar)
    return FitResult(
        step=trainer.done,
        stopped=stopped,
        signal=interrupts.requested if stopped == "signal" else None,
        history=trainer.metrics.rows,
        best_step=trainer.progress.best_step,
        best_bound=trainer.progress.best_bound,
        averaged=trainer.averaged,
    )


@dataclass(frozen=True)
class _Plan:
    """How far a run goes, and what is done on its way; as `fit` is given it."""

    steps: int
    validation: Iterable[Mapping[str, Any]] | None
    validation_keys: tuple[str, ...]
    validate_every: int | None
    patience: int | None
    checkpoint_every: float
    log_every: int

    def __post_init__(self) -> None:
        for name in ("steps", "log_every", "patience", "validate_every"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, whole_number(name, value, 1))
        if not self.checkpoint_every >= 0:
            raise ValueError(
                f"checkpoint_every is {self.checkpoint_every}; expected seconds, at least 0"
            )
        if self.patience is not None and self.validation is None:
            raise ValueError(
                "patience is given without validation; expected both. Pass validation"
            )

    def validates(self, step: int) -> bool:
        """Whether held-out data are asked after a step: every so often, and after the last."""
        every = self.validate_every or max(1, self.steps // 10)
        return step % every == 0 or step == self.steps


def _tried(
    model: Program,
    guide: Program,
    objective: Objective,
    first: Mapping[str, Any],
    keys: tuple[str, ...],
    plan: _Plan,
) -> tuple[nn.Parameter, ...]:
    """Try all that a run needs on its first batch; return the pair's parameters."""
    args = tuple(first[key] for key in keys)
    facts = objective.facts(model, guide, args)
    held_out = None if plan.validation is None else next(iter(plan.validation), None)
    if held_out is not None:
        with evaluating(model, guide):
            held_out_args = tuple(held_out[key] for key in plan.validation_keys)
            require_bound(objective, model, guide, held_out_args)
    try_hooks(objective, model, guide, args, first)
    return facts.require_parameters()


def _take_steps(trainer: Trainer, plan: _Plan, interrupts: Interrupts, bar: tqdm) -> str:
    """Take the steps that are missing; return why it stopped, as `FitResult.stopped` says it."""
    stopped = "done"
    while trainer.done < plan.steps:
        if interrupts.requested is not None:
            stopped = "signal"
            break
        if plan.patience is not None and trainer.progress.without_gain >= plan.patience:
            stopped = "early"
            break
        trainer.take()
        bar.update()
        if trainer.done % plan.log_every == 0:
            bar.set_postfix(trainer.flush(), refresh=False)
        if plan.validation is not None and plan.validates(trainer.done):
            trainer.validate(plan.validation, plan.validation_keys)
        if trainer.seconds_unsaved > plan.checkpoint_every:
            trainer.save()
    trainer.flush()
    trainer.save()
    return stopped


def _first_batch(batches: BatchSource, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not hasattr(batches, "batch"):
        raise TypeError(
            f"batches are a {type(batches).__name__}; expected an object whose batch(step) gives "
            "the batch of a step. Pass unbraid.data.Batches"
        )
    first = batches.batch(0)
    missing = [key for key in keys if key not in first]
    if missing:
        raise ValueError(
            f"batches have no {missing[0]!r}; they have {', '.join(map(repr, first))}. "
            "Pass keys=(...) with names of theirs"
        )
    return first


def _ignore(row: Row) -> None:
    """Do nothing with a row."""
