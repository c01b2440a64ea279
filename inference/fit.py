"""The training loop: steps, logs, validation, checkpoints, and a way back from any stop."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    _check_numbers(
        steps=steps, log_every=log_every, patience=patience, validate_every=validate_every
    )
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; expected 0 to 2**32 - 1")
    if not checkpoint_every >= 0:
        raise ValueError(f"checkpoint_every is {checkpoint_every}; expected seconds, at least 0")
    if patience is not None and validation is None:
        raise ValueError("patience is given without validation; expected both. Pass validation")
    if resume and folder is None:
        raise ValueError("resume is True without a folder; expected the folder of the run")
    objective = Objective() if objective is None else objective
    first = _first_batch(batches, keys)
    args = tuple(first[key] for key in keys)
    facts = objective.facts(model, guide, args)
    held_out = None if validation is None else next(iter(validation), None)
    if held_out is not None:
        chosen_keys = validation_keys or keys
        with evaluating(model, guide):
            require_bound(objective, model, guide, tuple(held_out[key] for key in chosen_keys))
    try_hooks(objective, model, guide, args, first)
    parameters = facts.require_parameters()
    device = parameters[0].device
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
        seed=seed,
        device=device,
        folder=None if folder is None else Path(folder),
        log=StepLog(),
        on_log=on_log or _ignore,
    )
    trainer.start(resume)
    bar = tqdm(
        total=steps, initial=trainer.done, disable=not progress, unit="step", mininterval=0.5
    )
    every = max(1, steps // 10) if validate_every is None else validate_every
    with Interrupts() as interrupts, bar, training(model, guide):
        stopped = "done"
        while trainer.done < steps:
            if interrupts.requested is not None:
                stopped = "signal"
                break
            if patience is not None and trainer.progress.without_gain >= patience:
                stopped = "early"
                break
            trainer.take()
            bar.update()
            if trainer.done % log_every == 0:
                bar.set_postfix(trainer.flush(), refresh=False)
            if validation is not None and (trainer.done % every == 0 or trainer.done == steps):
                trainer.validate(validation, validation_keys or keys)
            if trainer.seconds_unsaved > checkpoint_every:
                trainer.save()
        trainer.flush()
        trainer.save()
    return FitResult(
        step=trainer.done,
        stopped=stopped,
        signal=interrupts.requested if stopped == "signal" else None,
        history=trainer.metrics.rows,
        best_step=trainer.progress.best_step,
        best_bound=trainer.progress.best_bound,
        averaged=trainer.averaged,
    )


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


def _check_numbers(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} is {value}; expected an integer of at least 1")
