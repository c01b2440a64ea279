"""Runs that another run builds on: it keeps a copy of each, so that its own folder suffices."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unbraid.methods import OptionError

FIRST_STAGES = "first-stages"


def check_first_stages(folder: Path, options: Any) -> None:
    """Refuse to build on a run in the folder that is to be written, and to write over others.

    Raises:
        OptionError: If an option names a run in the folder, whose weights would be lost; or if
            copies were to go among the files of others.
    """
    for name in _names(type(options)):
        source = getattr(options, name)
        if source is None:
            continue
        path = Path(source).resolve()
        if folder.resolve() in (path, *path.parents):
            raise OptionError(
                f"{name} is {source}, in {folder}, which is to be replaced; expected a run "
                "elsewhere. Choose another --out"
            )
        copies = folder / FIRST_STAGES
        if copies.exists() and not (folder / "config.json").exists():
            raise OptionError(
                f"out is {folder}, which is no run but has a {FIRST_STAGES} of its own, where a "
                f"copy of {name} would go; expected a folder without. Choose another --out"
            )


def keep_first_stages(folder: Path, options: Any) -> None:
    """Copy what the runs that the options name need to be loaded: settings and weights.

    Args:
        folder: The run that builds on them.
        options: Options of its method, which lists those that name runs as `first_stages`.
    """
    for name in _names(type(options)):
        source = getattr(options, name)
        if source is None:
            continue
        copy = folder / FIRST_STAGES / name
        shutil.copytree(Path(source) / "checkpoints", copy / "checkpoints")
        shutil.copyfile(Path(source) / "config.json", copy / "config.json")


def own_first_stages(folder: Path, kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by name that name the copies which a run keeps, where it does.

    Args:
        folder: The run.
        kind: The class of its method's options.
        options: Its options, as they were given.
    """
    copies = {name: folder / FIRST_STAGES / name for name in _names(kind)}
    there = {name: str(copy) for name, copy in copies.items() if (copy / "config.json").exists()}
    return {**options, **there}


def _names(kind: type) -> tuple[str, ...]:
    return getattr(kind, "first_stages", ())
