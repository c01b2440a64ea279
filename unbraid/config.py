"""The configuration of a run: all that, with the versions, reproduces it. Imports no torch."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from unbraid.methods import OptionError, in_range, integer_in_range

Schedule = Literal["constant", "cosine"]
Binarisation = Literal["dynamic", "threshold"]
Precision = Literal["float32", "bfloat16"]
Mode = Literal["record", "eager", "compile", "fused", "graph"]
Keep = Literal["auto", "best", "last"]
CHOICES: dict[str, tuple[str | None, ...]] = {
    "schedule": get_args(Schedule),
    "binarise": (None, *get_args(Binarisation)),
    "precision": get_args(Precision),
    "mode": get_args(Mode),
    "keep": get_args(Keep),
}

FORMAT = 1
_GIVEN_BY_NAME = {"options": "--set", "data_options": "--data-set"}
DEFAULT_EPOCHS = 20


class ConfigError(ValueError):
    """A run folder's configuration is missing, damaged, of a newer version, or another run's."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the training, whatever the method and the data.

    Args:
        epochs: Passes over the training data; 20 unless epochs or steps are given.
        steps: Steps in all, in place of epochs.
        batch_size: Data per step.
        learning_rate: Adam's learning rate at the start.
        schedule: Course of the learning rate: constant, or cosine down to a hundredth.
        clip_norm: Largest norm of the gradient.
        ema: Decay of an average of the weights, which is then evaluated in place of the last ones.
        particles: Draws of the guide per datum and step. Several raise the importance-weighted
            bound (Burda et al. 2016) in place of the ELBO, and `keep=auto` judges the last
            weights; a step takes about as many times as long.
        binarise: dynamic draws black and white pixels anew at every step, by their grey values;
            threshold cuts at 0.5. Validation and test images are drawn once, by the data's seed.
        rotate: Rotate images at random by up to this many degrees.
        translate: Shift images at random by up to this share of their size.
        patience: Stop after this many validations without a better bound.
        validate_every: Steps between validations; a tenth of all steps unless given.
        keep: Weights that are judged, of those in the folder: best by the validation bound, last,
            or auto: best where training raises that bound alone or patience is given, last where
            hooks or weights of its terms are in the loss as well.
        seed: Seed of weights, batches and noise, 0 to 2**32 - 1.
        data_seed: Seed of the splits and of what is drawn once for validation and test images;
            the seed unless given. Give it to judge runs of several seeds on the very same images.
        start_from: Folder of a run whose weights the training begins with: those of a pair of the
            same nets, whatever its method, and of hooks' nets of the same name and shape. Rates,
            schedules and optimisers begin anew; to go on with a run, resume it.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: bfloat16 runs the nets under autocast; densities stay in float32.
        mode: How a step runs: record (fast, for methods without data-dependent control flow),
            eager, compile, fused, or graph (fastest on an NVIDIA GPU, which is then told of a
            whole step at once).
    """

    epochs: float | None = None
    steps: int | None = None
    batch_size: int = 100
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    clip_norm: float | None = None
    ema: float | None = None
    particles: int = 1
    binarise: Binarisation | None = None
    rotate: float = 0.0
    translate: float = 0.0
    patience: int | None = None
    validate_every: int | None = None
    keep: Keep = "auto"
    seed: int = 0
    data_seed: int | None = None
    start_from: str | None = None
    device: str = "auto"
    precision: Precision = "float32"
    mode: Mode = "record"


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How a run is trained: `Settings`, and of what.

    Args:
        method: Name of the method; `unbraid methods` lists them.
        data: Name of a set (`unbraid data` lists them) or path of your own: an .npz file, a
            folder of images, of frame folders or of videos, or idx files.
        options: The method's options by name; those not given have their defaults.
        data_options: Options of the data by name, such as the size of drawn frames.
        hooks: Loss hooks beside the method's own, each as on the command line: factor:gamma=6.

    Raises:
        OptionError: If a value is none of the accepted.
    """

    method: str
    data: str
    options: Mapping[str, Any] = field(default_factory=dict)
    data_options: Mapping[str, Any] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise OptionError("epochs and steps are both given; expected one of them. Drop one")
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                accepted = ", ".join(str(choice) for choice in choices)
                raise OptionError(f"{name} is {value!r}; expected one of {accepted}")
        for name, low, high in (
            ("steps", 1, None),
            ("batch_size", 1, None),
            ("particles", 1, 10_000),
            ("patience", 1, None),
            ("validate_every", 1, None),
            ("seed", 0, 2**32 - 1),
            ("data_seed", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, integer_in_range(name, value, low, high))
        start = self.start_from
        if not isinstance(start, str | Path | None) or not str(start):
            raise OptionError(f"start_from is {start!r}; expected the path of a run's folder")
        for name in ("epochs", "learning_rate", "clip_norm", "rotate", "translate", "ema"):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float)
            ):
                raise OptionError(f"{name} is {value!r}; expected a number, an int or a float")
        for name, high in (("epochs", 1e9), ("learning_rate", 10.0), ("clip_norm", 1e9)):
            value = getattr(self, name)
            if value is not None:
                in_range(name, value, 0.0, high, open_low=True)
        in_range("rotate", self.rotate, 0.0, 180.0)
        in_range("translate", self.translate, 0.0, 1.0)
        if self.ema is not None:
            in_range("ema", self.ema, 0.0, 0.999_999, open_low=True)

    def total_steps(self, steps_per_epoch: int) -> int:
        """Number of steps of the whole run."""
        if self.steps is not None:
            return self.steps
        epochs = DEFAULT_EPOCHS if self.epochs is None else self.epochs
        return max(1, round(epochs * steps_per_epoch))

    def command(self, out: str) -> str:
        """The command line that trains this configuration."""
        words = ["unbraid", "train", self.method, "--data", self.data, "--out", out]
        default = TrainConfig(self.method, self.data)
        for name, value in asdict(self).items():
            apart = name in ("method", "data", "hooks", *_GIVEN_BY_NAME)
            if apart or value == getattr(default, name):
                continue
            words += [f"--{name.replace('_', '-')}", str(value)]
        for field_name, flag in _GIVEN_BY_NAME.items():
            for name, value in getattr(self, field_name).items():
                words += [flag, f"{name}={_as_text(value)}"]
        for hook in self.hooks:
            words += ["--hook", hook]
        return shlex.join(words)


def _as_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read a run folder's `config.json`.

    Raises:
        ConfigError: If there is none, it is damaged, or a newer version wrote it.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise ConfigError(
            f"{folder} has no config.json; expected the folder of a run. See --out of train"
        )
    try:
        config = json.loads(path.read_text())
        version = config["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged ({error}); expected JSON of a run") from error
    config.setdefault("data_options", {})  # which runs of older versions do not name
    config.setdefault("hooks", [])
    config.setdefault("keep", "best")
    config.setdefault("particles", 1)
    if version != FORMAT:
        raise ConfigError(
            f"{path} has format {version}; expected {FORMAT}. "
            "Use the version of unbraid that wrote it"
        )
    return config
