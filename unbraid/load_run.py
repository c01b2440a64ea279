"""Load a run from its folder."""

from pathlib import Path
from typing import Any

from unbraid.hooks import add_hooks
from unbraid.inference import CheckpointError, Checkpoints
from unbraid.methods import Parts, build_stored, judged_weights, load_method

from .config import ConfigError, read_config
from .first_stages import own_first_stages
from .run import Run
from .run_folder import CHECKPOINTS, damaged_records


def load(folder: str | Path, device: str = "auto") -> Run:
    """Load a run from its folder.

    Args:
        folder: What `out` was when it was trained.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        ConfigError: If the folder holds no run, or one of a newer version.
        CheckpointError: If it has no usable checkpoint.
    """
    path = Path(folder)
    config = read_config(path)
    run = Run(path, config, _build(path, config))
    if not Checkpoints(path / CHECKPOINTS).steps():
        raise CheckpointError(
            damaged_records(path)
            or f"{path} has no checkpoint; train it first, or with --force again"
        )
    run.load_weights()
    return run.to(device)


def judged_step(folder: Path) -> int | None:
    """Return the step of the weights that a run's evaluation judges; they are not loaded.

    Args:
        folder: The folder of the run.

    Returns:
        The step; None where no checkpoint is usable, such as of numbers that were copied alone.

    Raises:
        ConfigError: If the folder holds no run, or one of a newer version.
    """
    store = Checkpoints(folder / CHECKPOINTS)
    if not store.steps():
        return None
    config = read_config(folder)
    try:
        return store.step(judged_weights(config, _build(folder, config)))
    except CheckpointError:
        return None


def _build(path: Path, config: dict[str, Any]) -> Parts:
    try:
        kind = load_method(config["method"]).options
        options = own_first_stages(path, kind, config["options"])
        parts, data = build_stored({**config, "options": options})
        return add_hooks(parts, config["hooks"], data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path / 'config.json'} is damaged: {error!r}") from error
