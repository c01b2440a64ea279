"""Begin a training with the weights of a run that is there."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unbraid.inference import Checkpoints
from unbraid.methods import OptionError, Parts

from .config import TrainConfig
from .load_run import load
from .run import Run
from .run_folder import CHECKPOINTS


def starting_run(config: TrainConfig, start_from: str, folder: Path, options: Any) -> Run:
    """Return the run whose weights a training is to begin with, on the CPU.

    The weights of its pair are those that it is judged by, and its hooks' nets are of the same
    step.

    Args:
        config: The training that is to begin, with data of the user's own by their whole path.
        start_from: The folder of that run.
        folder: The folder that is to be written.
        options: Options of the method that is to be trained.

    Raises:
        ConfigError: If there is no run.
        CheckpointError: If it has no usable weights.
        OptionError: If it lies in the folder that is to be written, the method is to build on a
            run of its own, or the same data would be split by another seed.
    """
    source = Path(start_from)
    if folder.resolve() in (source.resolve(), *source.resolve().parents):
        raise OptionError(
            f"start_from is {start_from}, in {folder}, which is to be written; expected a run "
            "elsewhere. Choose another --out, or --resume to go on with the run there"
        )
    for name in getattr(type(options), "first_stages", ()):
        if getattr(options, name) is not None:
            raise OptionError(
                f"start_from is {start_from}, but a part of the weights is taken from {name}, "
                f"{getattr(options, name)}; expected nothing. Leave start_from out"
            )
    run = load(source, "cpu")
    seed = config.seed if config.data_seed is None else config.data_seed
    if run.config["data"] == config.data and run.data_seed != seed:
        raise OptionError(
            f"start_from is {start_from}, whose data were split by the seed {run.data_seed}, and "
            f"are now split by {seed}, so that it has trained on some of what is held out; "
            f"expected the same split. Give --data-seed {run.data_seed}"
        )
    hooks = run.parts.objective().as_module()
    Checkpoints(source / CHECKPOINTS).load_modules({"objective": hooks}, run.step)
    return run


def start_with(parts: Parts, run: Run) -> str:
    """Give a pair, and hooks that the run has as well, the weights of that run.

    Hooks are the same where their names and the shapes of their nets are; others begin anew, and
    so do all schedules and optimisers.

    Args:
        parts: What is to be trained, on the CPU.
        run: As of `starting_run`.

    Returns:
        A sentence on what was taken over.

    Raises:
        OptionError: If the pair's weights do not fit.
    """
    taken = []
    for role in ("model", "guide"):
        asked, given = getattr(parts, role).state_dict(), getattr(run.parts, role).state_dict()
        _check_fit(role, asked, given, run)
        getattr(parts, role).load_state_dict(given)
        taken.append(role)
    theirs = {hook.name: dict(hook.named_parameters()) for hook in run.parts.hooks}
    for hook in parts.hooks:
        nets = dict(hook.named_parameters())
        if nets and _shapes(nets) == _shapes(theirs.get(hook.name, {})):
            _copy(nets, theirs[hook.name])
            taken.append(f"hook {hook.name}")
    return f"begins with the weights of {run.folder}, step {run.step:,}: {', '.join(taken)}"


@torch.no_grad()
def _copy(nets: dict[str, nn.Parameter], theirs: dict[str, nn.Parameter]) -> None:
    for name, parameter in nets.items():
        parameter.copy_(theirs[name])


def _check_fit(role: str, asked: dict[str, Tensor], given: dict[str, Tensor], run: Run) -> None:
    """Refuse weights of other names or shapes than those of the pair, by the first of them."""
    has, needs = _shapes(given), _shapes(asked)
    for name in sorted({*has, *needs}):
        if has.get(name) != needs.get(name):
            there, here = (_said(shapes.get(name)) for shapes in (has, needs))
            raise OptionError(
                f"start_from is {run.folder}, a run of {run.config['method']} whose {role} has "
                f"{there} as {name}, where this one has {here}; expected the same nets. Give the "
                "options of that run that nets are made by, and data of the same shape"
            )


def _shapes(tensors: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _said(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else f"shape {shape}"
