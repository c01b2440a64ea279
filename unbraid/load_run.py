"""Load a run from its folder."""

from pathlib import Path

from unbraid.hooks import add_hooks
from unbraid.inference import CheckpointError, Checkpoints
from unbraid.methods import build_stored, load_method

from .config import ConfigError, read_config
from .first_stages import own_first_stages
from .run import Run


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
    try:
        kind = load_method(config["method"]).options
        options = own_first_stages(path, kind, config["options"])
        parts, data = build_stored({**config, "options": options})
        parts = add_hooks(parts, config["hooks"], data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path / 'config.json'} is damaged: {error!r}") from error
    run = Run(path, config, parts)
    if not Checkpoints(path / "checkpoints").steps():
        raise CheckpointError(f"{path} has no checkpoint; train it first, or with --force again")
    run.load_weights()
    return run.to(device)
