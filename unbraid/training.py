"""Train a method by name into a run folder."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from unbraid.data import SOURCES, Batches, DataError, Dataset, labelled, typed_options
from unbraid.hooks import add_hooks, hook_options
from unbraid.inference import (
    Checkpoints,
    FitResult,
    FolderLock,
    Objective,
    check_writable,
    fit,
    resolve_device,
    try_hooks,
    write_json_atomically,
)
from unbraid.methods import Method, OptionError, Parts, load_method, read_options

from .conditions import check_given
from .config import FORMAT, ConfigError, Settings, TrainConfig, read_config
from .event_log import tensorboard_writer
from .first_stages import check_first_stages, keep_first_stages, own_first_stages
from .held_out import held_out_batches
from .labels import check_labels
from .preparation import RunData, prepare
from .run import Run
from .run_folder import check_data_outside, check_folder, check_same, clear
from .starting import start_with, starting_run
from .turning import check_turntables

Say = Callable[[str], None]
MEBIBYTE = 2**20
LOG_EVERY = 100  # steps, of long trainings
LABELLED = "labelled"


def train(
    method: str,
    data: str,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: bool = True,
    say: Say = print,
    options: Mapping[str, Any] | None = None,
    data_options: Mapping[str, Any] | None = None,
    hooks: Sequence[str] = (),
    **settings: Any,
) -> Run:
    """Train a method on data and keep everything in a folder.

    Args:
        method: Name of the method, such as `"vae"`.
        data: Name of a set, such as `"mnist-small"`, or the path of your own.
        out: The run's folder; made where it is missing.
        resume: Go on with the run that is there.
        force: Replace the run that is there.
        progress: Whether to show a progress bar.
        say: Told, line by line, what was chosen and what happened.
        options: The method's options by name.
        data_options: Options of the data by name, such as `{"size": 32}`.
        hooks: Loss hooks beside the method's own, such as `["factor:gamma=6"]`.
        **settings: Fields of `TrainConfig`, such as `epochs`, `seed` or `device`.

    Returns:
        The run; `run.result` says how the training ended.

    Raises:
        OptionError: If a name or number is not accepted.
        DataError: If the data cannot be used.
        RunExistsError: If the folder holds a run, without `resume` or `force`.
        NonFiniteError: If a loss or gradient is not finite.
        OSError: If the folder cannot be written or the device is not there.
    """
    _check_settings(method, settings)
    if not isinstance(data, str | Path):
        raise OptionError(
            f"data are a {type(data).__name__}; expected the name of a set, or a path. Save "
            "arrays by numpy.savez('mine.npz', images=...), or train by unbraid.inference.fit"
        )
    for name, given in (("options", options), ("data_options", data_options)):
        if given is not None and not isinstance(given, Mapping):
            raise OptionError(f"{name} are {given!r}; expected a mapping by name. Pass {{...}}")
    config = TrainConfig(
        method,
        str(data),
        dict(options or {}),
        dict(data_options or {}),
        _texts(hooks),
        **settings,
    )
    return train_config(config, out, resume=resume, force=force, progress=progress, say=say)


def train_config(
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: bool = True,
    say: Say = print,
) -> Run:
    """Train as `train` does, from a configuration."""
    if not str(out):
        raise OptionError("out is empty; expected the path of a folder. Name one")
    folder = Path(out)
    chosen = load_method(config.method)
    options = _options(chosen, config)
    for hook in config.hooks:
        hook_options(hook)
    config = replace(config, data_options=typed_options(config.data, config.data_options))
    check_folder(folder, resume, force)
    if config.data not in SOURCES:
        check_data_outside(folder, config.data)
    if not resume:
        check_first_stages(folder, options)
    elif config.epochs is None and config.steps is None:
        meant = read_config(folder)
        config = replace(config, epochs=meant["epochs"], steps=meant["steps"])
    absolute, start = _absolute(config), None
    if config.start_from is not None and not resume:
        start = starting_run(absolute, config.start_from, folder, options)
    device = resolve_device(config.device)
    run_data = prepare(config)
    torch.manual_seed(config.seed)
    own = own_first_stages(folder, chosen.options, config.options) if resume else config.options
    parts = _build(chosen, read_options(chosen.options, own), run_data, config)
    if parts.turning is not None:
        check_turntables(parts.turning, run_data, config)
    _check_support(parts, run_data, config)
    _check_choice(parts, config)
    if parts.given is not None:
        held_out = {"validation": run_data.validation, "test": run_data.test}
        check_given(parts.given, {"train": run_data.train, **held_out})
    if LABELLED in parts.streams:
        check_labels(run_data.train, config.method)
    record = _record(absolute, options, run_data, parts, str(out))
    if resume:
        stored = read_config(folder)
        check_same(record, stored, chosen.options)
        record["start_step"] = stored.get("start_step")
    else:
        record["start_step"] = None if start is None else start.step
    say(run_data.description)
    say(f"likelihood {parts.likelihood.name}, {_count(parts):,} parameters, device {device}")
    if start is not None:
        say(start_with(parts, start))
    batches = _batches(config, parts, run_data, device)
    steps = config.total_steps(batches.steps_per_epoch)
    if resume:
        _check_steps(steps, folder)
    objective = _tried_objective(parts, config, batches, device)
    check_writable(folder, 40 * _count(parts) + MEBIBYTE)
    with FolderLock(folder):
        if not resume:
            clear(folder)
            keep_first_stages(folder, options)
        write_json_atomically(folder / "config.json", record)
        result = _fit(config, parts, objective, run_data, batches, steps, folder, resume, progress)
    run = Run(folder, record, parts, run_data, result)
    run.load_weights()
    return run


def _fit(
    config: TrainConfig,
    parts: Parts,
    objective: Objective,
    run_data: RunData,
    batches: Batches,
    steps: int,
    folder: Path,
    resume: bool,
    progress: bool,
) -> FitResult:
    with tensorboard_writer(folder) as log:
        return fit(
            parts.model,
            parts.guide,
            batches,
            steps=steps,
            keys=parts.keys,
            objective=objective,
            optimizer=lambda p: torch.optim.Adam(p, lr=config.learning_rate, fused=True),
            schedule=_cosine(steps) if config.schedule == "cosine" else None,
            clip_norm=config.clip_norm,
            ema=config.ema,
            precision=config.precision,
            mode=config.mode,
            validation=held_out_batches(run_data.validation, parts, batches.dataset.device, 500)
            if parts.choose_by_bound
            else None,
            validation_keys=parts.inspected,
            validate_every=config.validate_every,
            patience=config.patience,
            folder=folder,
            resume=resume,
            seed=config.seed,
            progress=progress,
            log_every=max(1, min(LOG_EVERY, steps // 20)),  # a curve, not a dot
            on_log=log,
        )


def _batches(
    config: TrainConfig, parts: Parts, run_data: RunData, device: torch.device
) -> Batches:
    def make(
        dataset: Dataset, seed: int, streams: Mapping[str, Batches] | None = None, **more: Any
    ) -> Batches:
        return Batches(
            dataset,
            more.pop("size", config.batch_size),
            seed=seed % 2**32,
            transforms=run_data.transforms,
            device=device,
            streams=streams,
            frames=parts.frames,
            companions=parts.companions,
            ordered=parts.past is not None,
            **more,
        )

    train = run_data.train
    few = labelled(train) if LABELLED in parts.streams else train
    streams = {
        # Fewer labelled data than a batch has are what such methods are for: nothing to warn of.
        key: make(few, config.seed + i + 1, size=min(config.batch_size, len(few)))
        if key == LABELLED
        else make(train, config.seed + i + 1)
        for i, key in enumerate(parts.streams)
    }
    drawn = {"partners": parts.partners, "active": parts.active, "turning": parts.turning}
    return make(train, config.seed, streams, **drawn)


class CosineAnnealingLR(torch.optim.lr_scheduler.CosineAnnealingLR):
    """Torch's, whose states it takes up, but as long as this training, not as the one before."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a state; of a training of other length, where a whole one of this would be."""
        steps = self.T_max
        super().load_state_dict(state_dict)
        if self.T_max != steps:
            self.T_max = steps
            self._last_lr = self._get_closed_form_lr()
            for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
                group["lr"] = rate


def _cosine(steps: int) -> Callable[[torch.optim.Optimizer], CosineAnnealingLR]:
    """Let the learning rate fall to a hundredth along half a cosine (Loshchilov & Hutter 2017)."""

    def make(optimizer: torch.optim.Optimizer) -> CosineAnnealingLR:
        lowest = optimizer.param_groups[0]["lr"] / 100
        return CosineAnnealingLR(optimizer, steps, eta_min=lowest)

    return make


def _count(parts: Parts) -> int:
    modules = torch.nn.ModuleList([parts.model, parts.guide])
    return sum(p.numel() for p in modules.parameters())


def _options(method: Method, config: TrainConfig) -> Any:
    try:
        return read_options(method.options, config.options)
    except OptionError as error:
        if ". " in str(error):
            raise
        raise OptionError(f"{error}. See unbraid methods {config.method}") from error


def _check_steps(steps: int, folder: Path) -> None:
    """Refuse to go on with a run that has made more steps than it is to have."""
    done = Checkpoints(folder / "checkpoints").steps()[-1]
    if steps < done:
        raise ConfigError(
            f"steps is {steps}, but the run in {folder} has made {done}; expected at least as "
            "many. Name more, or leave them out to go on as it was meant"
        )


def _build(method: Method, options: Any, run_data: RunData, config: TrainConfig) -> Parts:
    try:
        return add_hooks(method.build(options, run_data.spec), config.hooks, run_data.spec)
    except OptionError:
        raise
    except ValueError as error:
        raise DataError(f"data {config.data} do not suit {method.name}: {error}") from error


def _texts(hooks: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(hooks, list | tuple) or not all(isinstance(hook, str) for hook in hooks):
        raise OptionError(
            f"hooks is {hooks!r}; expected a list of texts such as ['factor:gamma=6']. Hooks of "
            "your own go to unbraid.inference.fit"
        )
    return tuple(hooks)


def _check_settings(method: str, settings: Mapping[str, Any]) -> None:
    """Refuse settings that there are none of, also those that are options of the method."""
    known = [f.name for f in fields(Settings)]
    own = [f.name for f in fields(load_method(method).options)]
    for name in settings:
        if name in own:
            raise OptionError(
                f"setting is {name!r}, an option of {method}. Pass options={{{name!r}: ...}}"
            )
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else "See help(unbraid.train)"
            raise OptionError(f"setting is {name!r}; expected one of {', '.join(known)}. {hint}")


def _absolute(config: TrainConfig) -> TrainConfig:
    """Name data of the user's own, and a run to start from, so that they are found anywhere."""
    data, start = config.data, config.start_from
    return replace(
        config,
        data=data if data in SOURCES else str(Path(data).resolve()),
        start_from=None if start is None else str(Path(start).resolve()),
    )


def _check_support(parts: Parts, run_data: RunData, config: TrainConfig) -> None:
    """Refuse data outside of the likelihood's support; of binary ones every image is looked at."""
    size = min(256 if run_data.train.is_sequence else 4096, len(run_data.train))
    try:
        look = Batches(
            run_data.train,
            size,
            transforms=run_data.transforms,
            shuffle=False,
            frames=parts.frames,
            companions=parts.companions,
            ordered=parts.past is not None,
            partners=parts.partners,
            turning=parts.turning,
        )
        if parts.active is not None:
            Batches(run_data.train, config.batch_size, active=parts.active)
    except ValueError as error:  # of how many frames are drawn, of partners, or of sets
        raise OptionError(str(error)) from error
    for batch in look if parts.likelihood.discrete_levels == 2 else [look.batch(0)]:
        try:
            parts.likelihood.check(batch["x"])
        except ValueError as error:
            raise DataError(f"data {config.data}: {error}") from error


def _check_choice(parts: Parts, config: TrainConfig) -> None:
    """Refuse settings of a validation that there is none of."""
    if parts.choose_by_bound:
        return
    why = (
        f"since {config.method} raises no bound that could choose weights on validation data: "
        "the last ones are kept. Leave it out"
    )
    for name in ("patience", "validate_every"):
        if getattr(config, name) is not None:
            raise OptionError(f"{name} is {getattr(config, name)}; expected none, {why}")
    if config.keep == "best":
        raise OptionError(f"keep is {config.keep}; expected auto or last, {why}")


def _tried_objective(
    parts: Parts, config: TrainConfig, batches: Batches, device: torch.device
) -> Objective:
    """Move the pair to its device and try it and its hooks, before a run is replaced."""
    objective, first = parts.objective(config.particles), batches.batch(0)
    args = tuple(first[key] for key in parts.keys)
    objective.facts(parts.model.to(device), parts.guide.to(device), args)
    try_hooks(objective, parts.model, parts.guide, args, first)
    return objective


def _record(
    config: TrainConfig, options: Any, run_data: RunData, parts: Parts, out: str
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        **asdict(replace(config, options=asdict(options))),
        "likelihood": parts.likelihood.name,
        "spec": asdict(run_data.spec),
        "fingerprint": run_data.fingerprint,
        "annotation_fingerprints": run_data.annotation_fingerprints,
        "command": config.command(out),
        "versions": {
            "unbraid": version("unbraid"),
            "torch": torch.__version__,
            "pyro-ppl": version("pyro-ppl"),
            "python": platform.python_version(),
        },
    }
