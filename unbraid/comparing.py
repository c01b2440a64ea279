"""Compare runs by what their evaluations left in their folders; nothing is computed anew."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import cast
from zipfile import BadZipFile

import numpy as np

from unbraid.analysis import Comparison, Evaluation, JudgedRun
from unbraid.analysis import compare as compare_judged
from unbraid.methods import OptionError

from .config import ConfigError, read_config
from .evaluation_files import VALUES, read_evaluation
from .load_run import judged_step


def compare(folders: Sequence[Path | str], against: Path | str | None = None) -> Comparison:
    """Compare evaluated runs.

    Args:
        folders: Folders of runs, at least two.
        against: The folder that the others are held against; the first unless given.

    Raises:
        OptionError: If there are fewer than two, one is named twice, one was not evaluated or
            with other weights than it has now, or `against` is none of them.
        ConfigError: If a folder holds no run.

    Example:
        >>> print(comparison_text(compare(["runs/vae", "runs/beta-vae"])))
    """
    paths = [Path(folder) for folder in folders]
    if len(paths) < 2:
        raise OptionError(
            f"number of runs is {len(paths)}; expected at least 2. Name more folders"
        )
    real = [path.resolve() for path in paths]
    for path, found in zip(paths, real, strict=True):
        if real.count(found) > 1:
            raise OptionError(f"{path} is named twice; expected different runs. Name it once")
    place = 0
    if against is not None:
        if Path(against).resolve() not in real:
            raise OptionError(
                f"against is {str(against)!r}; expected one of {', '.join(map(str, paths))}"
            )
        place = real.index(Path(against).resolve())
    runs = [_read(path) for path in paths]
    sequences = any("frames" in run.evaluation for run in runs)
    return compare_judged(runs, place, "sequence" if sequences else "image")


def _read(folder: Path) -> JudgedRun:
    config = read_config(folder)
    evaluation = cast(Evaluation, read_evaluation(folder))
    if "log_likelihood" not in evaluation:
        raise OptionError(
            f"{folder} has no log-likelihood; expected one. Run unbraid evaluate {folder}"
        )
    step = judged_step(folder)
    if step not in (None, evaluation.get("step")):
        raise OptionError(
            f"{folder} was evaluated at step {evaluation.get('step')}, but its weights are of "
            f"step {step}; expected numbers of these. Run unbraid evaluate {folder}"
        )
    values, of = None, None
    if (folder / VALUES).exists():
        try:
            with np.load(BytesIO((folder / VALUES).read_bytes()), allow_pickle=False) as kept:
                values, of = kept["log_likelihood"], str(kept["of"])
                settings = kept["settings"].tolist()
                proposal = kept["proposal"].tolist() if "proposal" in kept else [1.0, 0.0]
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise ConfigError(
                f"{folder / VALUES} cannot be read: {error}. Run unbraid evaluate {folder} again"
            ) from error
        told = [evaluation.get(name) for name in ("step", "samples", "inner_samples", "seed")]
        told += [evaluation.get("widen", 1.0), evaluation.get("prior_share", 0.0)]
        if settings + proposal != told or len(values) != evaluation.get("n"):
            values = None  # of an evaluation that was cut off before its numbers were written
    return JudgedRun(
        str(folder), config["method"], Path(config["data"]).name, evaluation, values, of
    )
