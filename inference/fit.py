"""The training loop: steps, logs, validation, checkpoints, and a way back from any stop."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyro
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from .atomic import write_json_atomically
from .average import AveragedPair
from .checkpoint import Checkpoints, TrainingState
from .device import seed_noise
from .interrupts import Interrupts
from .metrics import MetricsFile, Row, StepLog
from .nonfinite import NonFiniteError, find_nonfinite
from .objective import Objective
from .sites import Program, owner
from .step import Mode, Precision, Step
from .svi import MakeOptimizer, fused_adam
from .validation import validation_bound


class BatchSource(Protocol):
    """Batches as a pure function of the step."""

    def batch(self, step: int) -> Mapping[str, Any]:
        """Return the batch of a step."""
        ...


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


@dataclass
class _Progress:
    """What early stopping and the clock remember; part of a checkpoint."""

    best_bound: float | None = None
    best_step: int | None = None
    without_gain: int = 0
    seconds_before: float = 0.0

    def note(self, bound: float, step: int) -> bool:
        """Note a validation bound; True where it is the best so far."""
        if self.best_bound is None or bound > self.best_bound:
            self.best_bound, self.best_step, self.without_gain = bound, step, 0
            return True
        self.without_gain += 1
        return False

    def as_dict(self, seconds: float) -> dict[str, Any]:
        """The record for a checkpoint, with the seconds trained so far."""
        return {**asdict(self), "seconds_before": seconds}


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
        validate_every: Steps between validations; a tenth of `steps` unless given.
        patience: Stop after this many validations in a row without a better bound.
        folder: Where `metrics.jsonl` and `checkpoints/` go; nothing is written without.
        checkpoint_every: Seconds between checkpoints.
        resume: Go on from the last checkpoint in `folder`.
        seed: 0 to 2**32 - 1.
        log_every: Steps per logged row.
        progress: Whether to show a progress bar with the remaining time.
        on_log: Called with every logged row.

    Returns:
        How it ended, with the logged rows.

    Raises:
        PairError: If model and guide do not fit; before the first step.
        ValueError: If a number is out of range.
        NonFiniteError: If a loss or gradient is not finite; the parameters are those before that
            step.
    """
    _check_numbers(
        steps=steps, log_every=log_every, patience=patience, validate_every=validate_every
    )
    objective = Objective() if objective is None else objective
    first = batches.batch(0)
    facts = objective.facts(model, guide, tuple(first[key] for key in keys))
    parameters = facts.require_parameters()
    device = parameters[0].device
    chosen = optimizer(parameters)
    trainer = _Trainer(
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
        log=StepLog(log_every, device),
        on_log=on_log or _ignore,
    )
    trainer.start(resume)
    bar = tqdm(
        total=steps, initial=trainer.done, disable=not progress, unit="step", mininterval=0.5
    )
    every = max(1, steps // 10) if validate_every is None else validate_every
    with Interrupts() as interrupts, bar, _training(model, guide):
        stopped = "done"
        while trainer.done < steps:
            if interrupts.requested is not None:
                stopped = "signal"
                break
            trainer.take()
            bar.update()
            if trainer.log.full:
                bar.set_postfix(trainer.flush(), refresh=False)
            if validation is not None and (trainer.done % every == 0 or trainer.done == steps):
                trainer.validate(validation)
                if patience is not None and trainer.progress.without_gain >= patience:
                    stopped = "early"
                    break
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


@dataclass
class _Trainer:
    """The state of a run and what can be done with it between two steps."""

    model: Program
    guide: Program
    batches: BatchSource
    keys: tuple[str, ...]
    objective: Objective
    optimizer: Optimizer
    schedule: LRScheduler | None
    averaged: AveragedPair | None
    step: Step
    seed: int
    device: torch.device
    folder: Path | None
    log: StepLog
    on_log: Callable[[Row], None]
    progress: _Progress = field(default_factory=_Progress)
    done: int = 0

    def start(self, resume: bool) -> None:
        """Open the folder's files and, on a resume, go back to the last checkpoint."""
        self.store = None if self.folder is None else Checkpoints(self.folder / "checkpoints")
        if resume and self.store is not None and self.store.steps():
            state = self._state()
            self.done = self.store.load(state)
            self.progress = _Progress(**state.extra["progress"])
        path = None if self.folder is None else self.folder / "metrics.jsonl"
        self.metrics = MetricsFile(path, self.done)
        self._flushed = self.done
        self._saved = self.done if self.done else None
        self._started = self._saved_at = time.monotonic()

    def take(self) -> None:
        """Take the next step."""
        batch = self.batches.batch(self.done)
        seed_noise(self.seed, self.done, self.device)
        parts = self.step(tuple(batch[key] for key in self.keys), batch)
        self.log.add(parts, self.step.bad)
        self.objective.advance()
        if self.schedule is not None:
            self.schedule.step()
        self.done += 1
        if self.averaged is not None:
            self.averaged.update(self.done)

    def flush(self) -> dict[str, str]:
        """Write the means of the last steps out; raise if one of them was held back.

        Returns:
            What the progress bar shows.

        Raises:
            NonFiniteError: If a loss or gradient was not finite.
        """
        means, good = self.log.read()
        if good is not None:
            self._raise_nonfinite(self._flushed + good)
        self._flushed = self.done
        if not means:
            return {}
        self._write({**means, "learning_rate": self.optimizer.param_groups[0]["lr"]})
        return {name: f"{means[name]:.2f}" for name in ("loss", "elbo")}

    def _write(self, row: Row) -> None:
        row = {"step": self.done, "seconds": round(self._seconds(), 3), **row}
        self.metrics.add(row)
        self.on_log(row)

    def _seconds(self) -> float:
        return self.progress.seconds_before + time.monotonic() - self._started

    def validate(self, batches: Iterable[Mapping[str, Any]]) -> None:
        """Compute the validation bound, with averaged weights if there are any; keep the best."""
        self.flush()
        pair = self.averaged or self
        with _evaluating(pair.model, pair.guide):
            bound = validation_bound(pair.model, pair.guide, batches, self.keys, self.seed)
        best = self.progress.note(bound, self.done)
        self._write({"validation_elbo": bound})
        if best:
            self.save(best=True)

    @property
    def seconds_unsaved(self) -> float:
        """Seconds since the last checkpoint; none where nothing is saved."""
        return 0.0 if self.store is None else time.monotonic() - self._saved_at

    def save(self, best: bool = False) -> None:
        """Save a checkpoint of this step, unless there is one."""
        if self.store is None or (self._saved == self.done and not best):
            return
        self.flush()
        self.store.save(self._state(), best=best)
        self._saved, self._saved_at = self.done, time.monotonic()

    def _state(self) -> TrainingState:
        programs = {"model": self.model, "guide": self.guide}
        if self.averaged is not None:
            programs["averaged_model"] = self.averaged.model
            programs["averaged_guide"] = self.averaged.guide
        owners = {name: owner(program) for name, program in programs.items()}
        modules = {name: o for name, o in owners.items() if isinstance(o, nn.Module)}
        modules["objective"] = self.objective.as_module()
        critics = {f"critic_{k}": v for k, v in self.step.critics.optimizers.items()}
        return TrainingState(
            step=self.done,
            modules=modules,
            optimizers={"pair": self.optimizer, **critics},
            schedulers={} if self.schedule is None else {"pair": self.schedule},
            generators={
                hook.name: hook.generator
                for hook in self.objective.hooks
                if hook.generator is not None
            },
            extra={"progress": self.progress.as_dict(self._seconds() if self.done else 0.0)},
        )

    def _raise_nonfinite(self, step: int) -> None:
        """Run the bad step again, with the same noise, to say which site it was."""
        batch = self.batches.batch(step)
        seed_noise(self.seed, step, self.device)
        report = find_nonfinite(self.objective, self.model, self.guide, batch, self.keys)
        error = NonFiniteError(step, report, batch, self.seed)
        if self.folder is not None:
            write_json_atomically(self.folder / "crash.json", error.as_dict())
        raise error


def _ignore(row: Row) -> None:
    """Do nothing with a row."""


def _check_numbers(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} is {value}; expected an integer of at least 1")


@contextmanager
def _training(model: Program, guide: Program) -> Iterator[None]:
    """Modules in train mode, per-call checks off: the first pass was checked."""
    with pyro.validation_enabled(False), _train_flag(True, model, guide):
        yield


@contextmanager
def _evaluating(model: Program, guide: Program) -> Iterator[None]:
    with _train_flag(False, model, guide):
        yield


@contextmanager
def _train_flag(flag: bool, *programs: Program) -> Iterator[None]:
    modules = [m for m in map(owner, programs) if isinstance(m, nn.Module)]
    kept = [module.training for module in modules]
    for module in modules:
        module.train(flag)
    try:
        yield
    finally:
        for module, flag_before in zip(modules, kept, strict=True):
            module.train(flag_before)
