"""Checkpoints of a run: written whole or not at all, rotated, read with a way back if damaged."""

import errno
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from .atomic import remove_left_over, sync_folder, temporary_folder
from .checkpoint_folder import (
    TRAIN,
    WEIGHTS,
    CheckpointError,
    DamagedError,
    Record,
    library_versions,
    parse_train,
    parse_weights,
    read_record,
    read_verified,
    write_folder,
)
from .training_state import (
    TrainingState,
    check_tensors,
    copy_tensors,
    named_tensors,
    pack_train,
    pack_weights,
    unpack,
)

_NAME = re.compile(r"ckpt-(\d{6,})(?:\.(\d+))?")


class CheckpointWarning(UserWarning):
    """A checkpoint was passed over, or comes from another setting than this one."""


class Checkpoints:
    """The checkpoints of one run, in folders `ckpt-000123` named by step.

    Writing belongs to one process at a time (see `FolderLock`); any number may read. A damaged
    checkpoint is passed over and never removed.

    Args:
        folder: Where they are; made by the first save.
        keep: How many of the newest stay, at least 1; the best stays too.

    Raises:
        ValueError: If `keep` is less than 1.
    """

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        if not isinstance(keep, int) or keep < 1:
            raise ValueError(
                f"keep is {keep}; expected an integer of at least 1. Use 2 to survive one bad file"
            )
        self.folder = Path(folder)
        self.keep = keep
        self._intact: dict[
            str, bool
        ] = {}  # by folder name: checkpoints whose hashes have been compared
        self._is_writer = False

    def save(self, state: TrainingState, *, best: bool = False) -> Path:
        """Write a checkpoint and remove those that are no longer kept.

        A crash or a full disk at any moment leaves the earlier ones as they are. Checkpoints of
        later steps, which a run has left behind by going back, are renamed to `left-...`.

        Args:
            state: What to store.
            best: Whether it is the best so far.

        Returns:
            Its folder.

        Raises:
            OSError: If it cannot be written, with needed and free bytes where room is the reason.
            TypeError: If the state holds something that is neither tensor nor plain value.
        """
        weights, shared = pack_weights(state)
        train = pack_train(state)
        self._become_writer()
        with temporary_folder(self.folder) as temporary:
            write_folder(temporary, state.step, best, weights, shared, train)
            self._set_later_aside(state.step)
            path = _rename_to_free_name(temporary, self.folder / f"ckpt-{state.step:06d}")
        sync_folder(self.folder)
        self._intact[path.name] = True
        self._rotate()
        return path

    def load(self, state: TrainingState, which: str | int = "last") -> int:
        """Fill the objects of a state, and the global random generators, from a checkpoint.

        Args:
            state: The run's objects, built as when it was saved; its `step` is not looked at.
            which: `"last"`, `"best"`, or a step.

        Returns:
            The step at which it was saved.

        Raises:
            CheckpointError: If no undamaged checkpoint is left, or it does not fit the state.

        Warns:
            CheckpointWarning: If a damaged checkpoint was passed over for an earlier one, or if
                other versions or another number of threads change the rounding of resumed numbers.
        """
        path, record, (weights, train) = self._open(which, (WEIGHTS, TRAIN))
        parsed = parse_weights(weights, record, path.name), parse_train(train, path.name)
        unpack(state, *parsed, path.name)
        _warn_of_rounding(record, path.name)
        return record.step

    def load_modules(
        self, modules: Mapping[str, nn.Module], which: str | int = "best-or-last"
    ) -> int:
        """Fill some of the saved modules by name, and nothing else; for evaluation.

        Args:
            modules: Networks by the names that they were saved under.
            which: `"best-or-last"`, `"last"`, `"best"`, or a step.

        Returns:
            The step at which it was saved.

        Raises:
            CheckpointError: If no undamaged checkpoint is left, or it does not fit the modules.

        Warns:
            CheckpointWarning: If a damaged checkpoint was passed over for the one before it.
        """
        path, record, (weights,) = self._open(which, (WEIGHTS,))
        prefixes = tuple(f"{name}." for name in modules)
        stored = parse_weights(weights, record, path.name)
        stored = {name: tensor for name, tensor in stored.items() if name.startswith(prefixes)}
        asked = named_tensors(modules)
        check_tensors(asked, stored, path.name)
        copy_tensors(asked, stored)
        return record.step

    def steps(self) -> list[int]:
        """Steps of the checkpoints whose record is valid, ascending."""
        return sorted({record.step for _, record in self._recorded()})

    def damaged(self) -> dict[str, str]:
        """Why the record of a checkpoint is not valid, by the name of its folder, in order."""
        return self._read()[1]

    def step(self, which: str | int = "best-or-last") -> int:
        """Return the step whose weights `load_modules` would load, once they are verified.

        Args:
            which: `"best-or-last"`, `"last"`, `"best"`, or a step.

        Raises:
            CheckpointError: If no undamaged checkpoint is left.

        Warns:
            CheckpointWarning: If a damaged checkpoint was passed over for the one before it.
        """
        return self._open(which, (WEIGHTS,))[1].step

    def best_step(self) -> int | None:
        """Step of the newest checkpoint that was saved as the best, or None."""
        return max((record.step for _, record in self._recorded() if record.best), default=None)

    def _become_writer(self) -> None:
        if not self._is_writer:
            self.folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder.parent)
            remove_left_over(self.folder)
            self._is_writer = True

    def _folders(self) -> list[Path]:
        """Everything named as a checkpoint, in the order of saving."""
        if not self.folder.is_dir():
            return []
        named = [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(named, key=_step_and_attempt)

    def _recorded(self) -> list[tuple[Path, Record]]:
        """Checkpoints with a valid record, in the order of saving."""
        return self._read()[0]

    def _read(self) -> tuple[list[tuple[Path, Record]], dict[str, str]]:
        """Checkpoints with a valid record, and why the others have none, by name of the folder.

        Each is read once: where a run is still training, it may be gone the next time.
        """
        valid, damaged = [], {}
        for path in self._folders():
            try:
                valid.append((path, _read_record(path)))
            except DamagedError as error:
                damaged[path.name] = str(error)
        return valid, damaged

    def _open(self, which: str | int, files: Sequence[str]) -> tuple[Path, Record, list[bytes]]:
        """The record and the verified files of the first undamaged candidate."""
        for path in self._candidates(which):
            try:
                record = _read_record(path)
                return path, record, [read_verified(path, name, record) for name in files]
            except DamagedError as error:
                self._intact[path.name] = False
                warnings.warn(f"{error}; {path} is passed over", CheckpointWarning, stacklevel=3)
        raise CheckpointError(
            f"{self.folder} has no undamaged checkpoint for {which!r}; expected one of steps "
            f"{self.steps()}. Choose another, or train afresh"
        )

    def _candidates(self, which: str | int) -> list[Path]:
        """Folders to try, the wanted one first and then those before it."""
        newest_first = self._folders()[::-1]
        if isinstance(which, int):
            return [path for path in newest_first if _step_and_attempt(path)[0] == which]
        if which not in ("last", "best", "best-or-last"):
            raise ValueError(
                f"which is {which!r}; expected 'last', 'best', 'best-or-last' or a step"
            )
        best = [path for path, record in self._recorded() if record.best][::-1]
        if which == "last" or (which == "best-or-last" and not best):
            return newest_first
        return best + [path for path in newest_first if best and path not in best]

    def _set_later_aside(self, step: int) -> None:
        for path in self._folders():
            if _step_and_attempt(path)[0] > step:
                _rename_to_free_name(path, path.with_name(f"left-{path.name}"))

    def _rotate(self) -> None:
        """Remove the undamaged checkpoints that are neither the newest ones nor the best."""
        intact = [
            (path, record) for path, record in self._recorded() if self._is_intact(path, record)
        ]
        best = [path for path, record in intact if record.best][-1:]
        for path, _ in intact[: -self.keep]:
            if path not in best:
                # Out of every loader's sight at once, before its files go one by one.
                with temporary_folder(self.folder) as temporary:
                    os.replace(path, temporary)

    def _is_intact(self, path: Path, record: Record) -> bool:
        if path.name not in self._intact:
            try:
                for name in record.files:
                    read_verified(path, name, record)
                self._intact[path.name] = True
            except DamagedError:
                self._intact[path.name] = False
        return self._intact[path.name]


def _step_and_attempt(path: Path) -> tuple[int, int]:
    step, attempt = re.findall(r"\d+", f"{path.name}.0")[:2]
    return int(step), int(attempt)


def _read_record(path: Path) -> Record:
    record = read_record(path)
    if record.step != _step_and_attempt(path)[0]:
        raise DamagedError(f"{path.name} holds step {record.step}")
    return record


def _rename_to_free_name(source: Path, target: Path) -> Path:
    """Rename to `target`, or to `target.1`, `target.2` and so on where others have these names."""
    path, attempt = target, 0
    while True:
        try:
            os.rename(source, path)
            return path
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        attempt += 1
        path = target.with_name(f"{target.name}.{attempt}")


def _warn_of_rounding(record: Record, where: str) -> None:
    here = library_versions() | {"threads": torch.get_num_threads()}
    there = record.versions | {"threads": record.threads}
    differing = [
        f"{name} {there.get(name)} there, {value} here"
        for name, value in here.items()
        if there.get(name) != value
    ]
    if differing:
        warnings.warn(
            f"{where} comes from another setting ({'; '.join(differing)}); "
            "resumed numbers may differ in rounding",
            CheckpointWarning,
            stacklevel=3,
        )
