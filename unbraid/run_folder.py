"""The folder of a run: whether it may be written, what is removed, what a resumed run shares."""

import os
import shutil
import unicodedata
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from unbraid.inference import Checkpoints, check_writable
from unbraid.methods import OptionError

from .config import ConfigError, Settings
from .fingerprints import check_annotations
from .first_stages import FIRST_STAGES

LONGEST_NAME = 255
_NUMBERS = 2**20  # bytes
_FILES = (
    "metrics.jsonl",
    "evaluation.json",
    "evaluation.npz",
    "calibration.json",
    "calibration.npz",
    "report.html",
    "model_card.md",
    "crash.json",
)


CHECKPOINTS = "checkpoints"
EARLIER = "earlier-evaluations"
"""Holds evaluations that others replaced."""
ON_REQUEST = "pictures"
"""Holds what commands draw on request; reports have `figures` to themselves."""
_FOLDERS = (CHECKPOINTS, "figures", ON_REQUEST, EARLIER, "tensorboard", FIRST_STAGES)


class RunExistsError(ValueError):
    """The output folder already holds a run, and was not to be resumed or replaced."""


def check_folder(folder: Path, resume: bool, force: bool) -> None:
    """Refuse a folder that training must not write.

    Raises:
        ConfigError: If there is nothing to resume.
        OptionError: If the folder's name is none that files can have.
        OSError: If it is a file.
        RunExistsError: If it holds a run that is neither to be resumed nor replaced.
    """
    _check_name(folder)
    if folder.exists() and not folder.is_dir():
        raise OSError(f"out is {folder}, a file; expected a folder. Choose another --out")
    there = (folder / "config.json").exists()
    if resume and not there:
        raise ConfigError(f"{folder} holds no run to resume. Drop --resume to start one")
    if there and not (resume or force):
        raise RunExistsError(
            f"{folder} already holds a run. "
            "Add --resume to go on with it, or --force to replace it "
            "(in Python resume=True or force=True)"
        )
    if not (there or force) and folder.is_dir():
        _refuse_others(folder)
    if resume and not Checkpoints(folder / CHECKPOINTS).steps():
        raise ConfigError(
            damaged_records(folder)
            or f"{folder} has no checkpoint yet. Add --force to start again"
        )


def damaged_records(folder: Path) -> str | None:
    """Say that no checkpoint of a run can be told what it holds; None where there are none."""
    damaged = Checkpoints(folder / CHECKPOINTS).damaged()
    if not damaged:
        return None
    name, why = next(reversed(damaged.items()))
    return (
        f"{folder} has {len(damaged)} checkpoints and none that can be read, the last of them "
        f"{name} ({why}). Put back a copy of its files, or train into another folder"
    )


def _refuse_others(folder: Path) -> None:
    """Refuse a folder with files of others, whose images a report's pictures would join."""
    others = sorted(
        path.name
        for path in folder.iterdir()
        if path.name != "lock" and not path.name.startswith(".")
    )
    if others:
        raise RunExistsError(
            f"{folder} holds other files, such as {others[0]}; expected a folder of the run's "
            "own. Choose another --out, or add --force to write among them"
        )


def _check_name(folder: Path) -> None:
    """Refuse names that break lines or file systems, or that some take for another run's."""
    name = str(folder)
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise OptionError(f"out is {name!r}; expected a path without control characters")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in folder.parts):
        raise OptionError(f"out is {name!r}; expected names of at most {LONGEST_NAME} bytes")
    if folder.exists() or not folder.parent.is_dir():
        return
    for other in folder.parent.iterdir():
        if other.name.casefold() == folder.name.casefold() and (other / "config.json").exists():
            raise RunExistsError(
                f"out is {name}; expected another name than {other.name}, which differs by case "
                "alone. Choose another --out"
            )


def require_writable(folder: Path) -> None:
    """Make sure, before hours of work, that its numbers and pictures can be written.

    Raises:
        OSError: If the folder is not writable, or too little room is free.
    """
    check_writable(folder, _NUMBERS)


def check_data_outside(folder: Path, data: str) -> None:
    """Refuse data in a folder that a run makes anew, and so would remove.

    Raises:
        OptionError: If the data lie there.
    """
    path = Path(os.path.realpath(data))  # of links that loop, too
    for name in _FOLDERS:
        place = Path(os.path.realpath(folder / name))
        if place == path or place in path.parents:
            raise OptionError(
                f"data {data} lie in {place}, which a run in {folder} writes itself; expected "
                "data elsewhere. Choose another --out, or move the data"
            )


def clear(folder: Path) -> None:
    """Remove what an earlier run left in the folder; nothing else in it is touched.

    Where there was no run, files that merely have such names are of others.
    """
    if not (folder / "config.json").exists():
        return
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    for path in folder.glob("*.partial"):
        path.unlink()


_PIXELS, _ANNOTATIONS = "fingerprint of the data", "annotation_fingerprints"
# Of the data, the fingerprints are compared; they may have moved.
_MAY_CHANGE = (
    "data",
    "options",
    "spec",
    "epochs",
    "steps",
    "device",
    "versions",
    "command",
    "patience",
    "validate_every",
    "keep",
    "mode",
)


_OTHER_DATA = "Resume with its own data, or train into another --out"


def check_same(asked: dict[str, Any], stored: dict[str, Any], kind: type) -> None:
    """Refuse to resume with other settings than those that the run was started with.

    Args:
        asked: The record of the run that is asked for.
        stored: That of the run in the folder. What it does not name, since an earlier version
            wrote it, had its default.
        kind: The class of the method's options.

    Raises:
        ConfigError: If a setting differs.
    """
    options = {**_defaults(kind), **stored["options"]}
    stored = _flat({**_defaults(Settings), **stored, "options": options})
    asked = _flat(asked)
    # Other data may change what is said of the likelihood, and other settings all of these.
    last = (_PIXELS, _ANNOTATIONS, "likelihood")
    settings = [name for name in asked if name not in last]
    for name in (*settings, *last):
        if name in _MAY_CHANGE or asked[name] == stored.get(name):
            continue
        if name == _PIXELS:
            raise ConfigError(
                f"data {asked['data']} have other pixels than {stored['data']}, which the run was "
                f"started with, or are split otherwise. {_OTHER_DATA}"
            )
        if name == _ANNOTATIONS:
            check_annotations(asked[name], stored.get(name), asked["data"], _OTHER_DATA)
            continue
        raise ConfigError(
            f"{name} is {_said(asked[name])}, but the run was started with "
            f"{_said(stored.get(name))}. "
            "Resume with its own settings, or train into another --out"
        )


def _said(value: Any) -> str:
    return "none" if value is None else str(value)


def _defaults(kind: type) -> dict[str, Any]:
    """The defaults of a dataclass by name."""
    return {f.name: f.default for f in fields(kind) if f.default is not MISSING}


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """The settings of a record by name, options and fingerprint among them."""
    settings = {**record, **{f"option {k}": v for k, v in record["options"].items()}}
    settings["fingerprint of the data"] = settings.pop("fingerprint", None)
    return {k: _as_stored(v) for k, v in settings.items()}


def _as_stored(value: Any) -> Any:
    """The value as JSON gives it back: lists for tuples, also among options."""
    if isinstance(value, dict):
        return {k: _as_stored(v) for k, v in value.items()}
    return [_as_stored(v) for v in value] if isinstance(value, list | tuple) else value
