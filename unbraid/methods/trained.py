"""The pair of a run that is there already, for methods that build on one."""

import json
from pathlib import Path

from unbraid.inference import CheckpointError, Checkpoints

from .method import Parts
from .options import OptionError
from .stored import build_stored, judged_weights


def trained_parts(option: str, folder: str) -> tuple[str, Parts]:
    """Return the method of a run, and its parts with the weights that are judged.

    Args:
        option: Name of the option that names the run.
        folder: The run's folder.

    Raises:
        OptionError: If the folder holds no run, or none with weights that fit.
    """
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise OptionError(
            f"{option} is {folder}, which has no config.json; expected the folder of a run. "
            "Train it first"
        )
    try:
        config = json.loads((path / "config.json").read_text())
        parts, _ = build_stored(config)
        prefix = "averaged_" if config["ema"] is not None else ""
        modules = {f"{prefix}model": parts.model, f"{prefix}guide": parts.guide}
        Checkpoints(path / "checkpoints").load_modules(modules, judged_weights(config, parts))
    except (CheckpointError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise OptionError(
            f"{option} is {folder}, of which the weights cannot be had: {error}. Expected the "
            "folder of a trained run. Train it again"
        ) from error
    return config["method"], parts
