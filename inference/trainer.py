"""A training run between two steps: take one, log, validate, save."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyro
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .atomic import write_json_atomically
from .average import AveragedPair
from .checkpoint import CheckpointError, Checkpoints, TrainingState
from .metrics import MetricsFile, Row, StepLog
from .noise_seeds import seed_noise
from .nonfinite import NonFiniteError, find_nonfinite
from .objective import Objective
from .sites import Program, in_mode, modules_of
from .step import Step
from .validation import validation_bound


class BatchSource(Protocol):
    """Batches as a pure function of the step."""

    def batch(self, step: int) -> Mapping[str, Any]:
        """Return the batch of a step."""
        ...


@dataclass
class Progress:
    """What early stopping and the clock remember; part of a checkpoint."""

    best_bound: float | None = None
    best_step: int | None = None
    without_gain: int = 0
    seconds_before: float = 0.0

    def note(self, bound: float, step: int) -> bool:
        """Note a validation bound; True where it is the best so far. NaN never is."""
        if bound == bound and (self.best_bound is None or bound > self.best_bound):
            self.best_bound, self.best_step, self.without_gain = bound, step, 0
            return True
        self.without_gain += 1
        return False

    def as_dict(self, seconds: float) -> dict[str, Any]:
        """The record for a checkpoint, with the seconds trained so far."""
        return {**asdict(self), "seconds_before": seconds}


@dataclass
class Trainer:
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
    progress: Progress = field(default_factory=Progress)
    done: int = 0
    store: Checkpoints | None = field(init=False)
    metrics: MetricsFile = field(init=False)
    _flushed: int = field(init=False)
    _saved: int | None = field(init=False)
    _saved_at: float = field(init=False)
    _started: float = field(init=False)

    def start(self, resume: bool) -> None:
        """Open the folder's files and, on a resume, go back to the last checkpoint.

        Raises:
            CheckpointError: If there are checkpoints and it is no resume, or none can be loaded.
        """
        self.store = None if self.folder is None else Checkpoints(self.folder / "checkpoints")
        # Damaged ones are no steps, but loading says so, where starting anew would hide it.
        if self.store is not None and any(self.store.folder.glob("ckpt-*")):
            if not resume:
                raise CheckpointError(
                    f"{self.store.folder} holds checkpoints of an earlier run; expected none. "
                    "Pass resume=True to go on with it, or another folder"
                )
            state = self._state()
            self.done = self.store.load(state)
            self.progress = Progress(**state.extra["progress"])
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
        told = [hook.name for hook in self.objective.hooks]
        told += [name for name in means if name.endswith("_accuracy")]
        shown = [name for name in ("loss", "elbo", *told) if name in means]
        return {name: f"{means[name]:.2f}" for name in shown}

    def _stop_if_bad(self) -> None:
        """Raise if a step was held back, without ending the window of the log."""
        if bool(self.step.bad):
            self.flush()

    def _write(self, row: Row) -> None:
        row = {"step": self.done, "seconds": round(self._seconds(), 3), **row}
        self.metrics.add(row)
        self.on_log(row)

    def _seconds(self) -> float:
        return self.progress.seconds_before + time.monotonic() - self._started

    def validate(self, batches: Iterable[Mapping[str, Any]], keys: tuple[str, ...]) -> None:
        """Compute the validation bound, with averaged weights if there are any; keep the best."""
        self._stop_if_bad()
        pair = self.averaged or self
        with evaluating(pair.model, pair.guide):
            bound = validation_bound(pair.model, pair.guide, batches, keys, self.seed)
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
        self._stop_if_bad()
        self.store.save(self._state(), best=best)
        self._saved, self._saved_at = self.done, time.monotonic()

    def _state(self) -> TrainingState:
        programs = {"model": self.model, "guide": self.guide}
        if self.averaged is not None:
            programs["averaged_model"] = self.averaged.model
            programs["averaged_guide"] = self.averaged.guide
        modules = {name: m for name, program in programs.items() for m in modules_of(program)}
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


@contextmanager
def training(model: Program, guide: Program) -> Iterator[None]:
    """Modules in train mode, per-call checks off: the first pass was checked."""
    with pyro.validation_enabled(False), in_mode(True, modules_of(model, guide)):
        yield


@contextmanager
def evaluating(model: Program, guide: Program) -> Iterator[None]:
    """Modules in eval mode."""
    with in_mode(False, modules_of(model, guide)):
        yield
