"""The files of a run that hold its evaluation, and those that keep what it replaced."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unbraid.inference import write_atomically, write_json_atomically

from .config import ConfigError
from .run import Run
from .run_folder import EARLIER

ANNEALED, FITTED, CODES = "annealed", "fitted", "codes"
"""Where `evaluation.json` holds what annealing and fitted Normals found, and scores of codes;
each has a `step` of its own."""
EVALUATION, VALUES = "evaluation.json", "evaluation.npz"
"""The second holds log p(x) of each datum, which comparisons pair."""

# What an estimate is of, with what earlier versions left out.
_SETTINGS: dict[str, Any] = {
    "step": None,
    "split": None,
    "n": None,
    "samples": None,
    "seed": None,
    "frames": None,
    "inner_samples": 1,
    "widen": 1.0,
    "prior_share": 0.0,
}
_ANNEALING: dict[str, Any] = dict.fromkeys(
    ("step", "split", "n", "chains", "temperatures", "start", "seed")
)


_FITTING: dict[str, Any] = dict.fromkeys(
    ("step", "split", "n", "samples", "starts", "steps", "prior_share", "seed")
)


class EvaluationWarning(UserWarning):
    """An evaluation took the place of another one, which is kept elsewhere."""


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Return what a run's `evaluation.json` says; nothing where there is none.

    Raises:
        ConfigError: If it is damaged.
    """
    path = folder / EVALUATION
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise ConfigError(
            f"{path} is damaged ({error}); expected JSON. Run unbraid evaluate {folder} again"
        ) from error


def evaluation_of(run: Run) -> dict[str, Any]:
    """Return what a run's `evaluation.json` says of the loaded weights, not of those of others.

    Raises:
        ConfigError: If it is damaged.
    """
    known = read_evaluation(run.folder)
    parts = {name: known.pop(name, {}) for name in (ANNEALED, FITTED, CODES)}
    kept = known if known.get("step") == run.step else {}
    return kept | {name: of for name, of in parts.items() if of.get("step") == run.step}


def known_of(run: Run) -> dict[str, Any]:
    """Return the same; nothing where the file is damaged and is about to be replaced."""
    try:
        return evaluation_of(run)
    except ConfigError:
        return {}


def outdated(run: Run) -> str | None:
    """Say that a run's `evaluation.json` has numbers of other weights than the loaded ones.

    Returns:
        A sentence; None where all are of these.

    Raises:
        ConfigError: If the file is damaged.
    """
    known = read_evaluation(run.folder)
    parts = {
        "log p(x)": known,
        "annealing": known.get(ANNEALED, {}),
        "log p(x) by fitted Normals": known.get(FITTED, {}),
    }
    steps = {
        name: of.get("step")
        for name, of in parts.items()
        if "log_likelihood" in of and of.get("step") != run.step
    }
    if not steps:
        return None
    held = " and ".join(f"{name} at step {step}" for name, step in steps.items())
    return (
        f"{EVALUATION} holds {held}, which is not shown, since the weights are of step "
        f"{run.step}: run unbraid evaluate again."
    )


def keep(run: Run, evaluation: Mapping[str, Any]) -> None:
    """Write `evaluation.json`; what an estimate in it is lost by that is kept elsewhere.

    Warns:
        EvaluationWarning: If there is such an estimate.
    """
    _set_aside(run, evaluation)
    write_json_atomically(run.folder / EVALUATION, evaluation)


def _set_aside(run: Run, evaluation: Mapping[str, Any]) -> None:
    """Keep the file that is there, if an estimate in it is to be replaced by another, or lost."""
    try:
        known = read_evaluation(run.folder)
    except ConfigError:
        return
    there, to_come = _estimates(known), _estimates(evaluation)
    lost = {what: of for what, of in there.items() if to_come.get(what) != of}
    if not lost:
        return
    folder = run.folder / EARLIER
    folder.mkdir(exist_ok=True)
    named = [[*([what] if what else []), *of.values()] for what, of in there.items()]
    name = "-".join(str(value) for of in named for value in of if value is not None)
    write_json_atomically(folder / f"{name}.json", known)
    if (run.folder / VALUES).exists():
        write_atomically(folder / f"{name}.npz", (run.folder / VALUES).read_bytes())
    # One that nothing takes the place of is lost since it is of other weights.
    by_step = all(to_come.get(what, of) | {"step": of["step"]} == of for what, of in lost.items())
    warnings.warn(
        f"the evaluation of {run.folder} before, of other "
        f"{'weights' if by_step else 'settings'}, is kept as {folder / name}.json",
        EvaluationWarning,
        stacklevel=5,
    )


def _estimates(evaluation: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each estimate is of: `""` for importance sampling, `annealed` and `fitted`."""
    parts = {
        "": (evaluation, _SETTINGS),
        ANNEALED: (evaluation.get(ANNEALED, {}), _ANNEALING),
        FITTED: (evaluation.get(FITTED, {}), _FITTING),
    }
    return {
        what: {name: of.get(name, default) for name, default in settings.items()}
        for what, (of, settings) in parts.items()
        if "log_likelihood" in of
    }
