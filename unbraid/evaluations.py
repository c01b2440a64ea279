"""Evaluations of a run: what is measured, and `evaluation.json`, which holds it."""

import json
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from unbraid.inference import (
    LogLikelihood,
    NoLikelihoodError,
    Proposal,
    write_atomically,
    write_json_atomically,
)
from unbraid.methods import integer_in_range

from . import code_scores
from .config import ConfigError
from .run import Run
from .run_folder import EARLIER, require_writable

ANNEALED, CODES = "annealed", "codes"
"""Where `evaluation.json` holds what annealing found, and scores of codes; both have a `step` of
their own."""
FROM_CODES, TOLD = "condition_from_codes", "classification"
"""Where it holds what probes tell of the condition from codes, of methods that are given one, and
how often methods that say the class of an image are wrong."""

EVALUATION, VALUES = "evaluation.json", "evaluation.npz"
"""The second holds log p(x) of each datum, which comparisons pair."""

_SETTINGS = ("step", "split", "n", "samples", "seed", "frames", "inner_samples")
_PROPOSAL = ("widen", "prior_share")
_ANNEALING = ("step", "split", "n", "chains", "temperatures", "start", "seed")


class EvaluationWarning(UserWarning):
    """An evaluation took the place of another one, which is kept elsewhere."""


def evaluate(
    run: Run,
    samples: int,
    *,
    split: str,
    limit: int | None,
    seed: int,
    frames: int | None,
    inner_samples: int,
    proposal: Proposal,
    codes: bool,
    progress: bool,
) -> dict[str, Any]:
    """Do what `Run.evaluate` says."""
    require_writable(run.folder)
    settings = f"{run.step}-{split}-{limit or 'all'}-{samples}-{seed}"
    judged_frames = _frames(run, frames)
    if judged_frames is not None:
        settings += f"-{judged_frames}-{inner_samples}"
    if not proposal.is_guide:
        settings += f"-{proposal.widen}-{proposal.of_prior}"
    partial = run.folder / f"evaluation-{settings}.partial"
    result = run.log_likelihood(
        samples,
        split=split,
        limit=limit,
        seed=seed,
        frames=frames,
        inner_samples=inner_samples,
        proposal=proposal,
        progress=progress,
        resume=partial,
    )
    evaluation = {
        **result.summary(),
        "split": split,
        "method": run.config["method"],
        "data": run.config["data"],
        "likelihood": run.parts.likelihood.name,
        "step": run.step,
        **_what_it_is_of(run),
    }
    if judged_frames is not None:
        evaluation["frames"] = judged_frames
        # Poses that lead to each other, or a code that is turned, are codes of whole clips.
        whole = run.parts.past is not None or run.parts.turning is not None
        evaluation["averages_frames"] = not whole
    known = _known(run)
    evaluation |= {name: known[name] for name in (ANNEALED, CODES) if name in known}
    _set_aside(run, evaluation, (*_SETTINGS, *_PROPOSAL))
    # What took long is kept before anything else can fail.
    _keep(run, evaluation)
    _keep_values(run, result, split, limit, judged_frames)
    partial.unlink(missing_ok=True)
    if run.parts.given is not None:
        evaluation[FROM_CODES] = run.probe_condition(seed)
    told = run.judge_labels(split=split, limit=limit)
    if told is not None:
        evaluation[TOLD] = told
    if codes:
        evaluation[CODES] = _scores(run, split, seed)
    _keep(run, evaluation)
    return evaluation


def _frames(run: Run, frames: int | None) -> int | None:
    """How many frames of each sequence are judged together; None of images."""
    if run.parts.turning is not None:
        return frames or 1 + run.parts.turning.turns[-1]
    if run.parts.frames is None:
        return None
    return run.parts.frames if frames is None else integer_in_range("frames", frames, 1)


def evaluate_annealed(
    run: Run,
    chains: int,
    temperatures: int,
    *,
    start: str,
    split: str,
    limit: int | None,
    seed: int,
    progress: bool,
) -> dict[str, Any]:
    """Do what `Run.evaluate_annealed` says."""
    require_writable(run.folder)
    settings = f"{run.step}-{split}-{limit or 'all'}-{chains}-{temperatures}-{start}-{seed}"
    partial = run.folder / f"annealing-{settings}.partial"
    result = run.annealed_log_likelihood(
        chains=chains,
        temperatures=temperatures,
        start=start,
        split=split,
        limit=limit,
        seed=seed,
        progress=progress,
        resume=partial,
    )
    annealed = {**result.summary(), "split": split, "step": run.step, **_what_it_is_of(run)}
    _set_aside(run, annealed, _ANNEALING, ANNEALED)
    _keep(run, _known(run) | {ANNEALED: annealed})
    partial.unlink(missing_ok=True)
    return annealed


def score_codes(run: Run, *, split: str, seed: int) -> dict[str, Any]:
    """Do what `Run.score_codes` says."""
    require_writable(run.folder)
    scores = _scores(run, split, seed)
    _keep(run, _known(run) | {CODES: scores})
    return scores


def _scores(run: Run, split: str, seed: int) -> dict[str, Any]:
    return {**code_scores.score_codes(run, split=split, seed=seed), "step": run.step}


def _what_it_is_of(run: Run) -> dict[str, Any]:
    """What has to be said beside every likelihood of the pair."""
    said: dict[str, Any] = {}
    if run.parts.remark is not None:
        said["remark"] = run.parts.remark
    if run.parts.given is not None:
        said["given"] = list(run.parts.given.names)
    return said


def has_likelihood(run: Run) -> bool:
    """Return whether importance sampling can judge a run; one datum is tried."""
    return _is_judged(partial(run.log_likelihood, 1))


def can_be_annealed(run: Run) -> bool:
    """Return whether annealing can judge a run; one datum is tried."""
    return _is_judged(partial(run.annealed_log_likelihood, chains=2, temperatures=1))


def _is_judged(estimate: Callable[..., object]) -> bool:
    try:
        estimate(limit=1, progress=False)
    except NoLikelihoodError:
        return False
    return True


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
    parts = {name: known.pop(name, {}) for name in (ANNEALED, CODES)}
    kept = known if known.get("step") == run.step else {}
    return kept | {name: of for name, of in parts.items() if of.get("step") == run.step}


def outdated(run: Run) -> str | None:
    """Say that log p(x) in a run's `evaluation.json` is of other weights than the loaded ones.

    Returns:
        A sentence; None where it is of these, or not known.

    Raises:
        ConfigError: If the file is damaged.
    """
    known = read_evaluation(run.folder)
    if "log_likelihood" not in known or known.get("step") == run.step:
        return None
    return (
        f"{EVALUATION} holds log p(x) at step {known.get('step')}, which is not shown, since the "
        f"weights are of step {run.step}: run unbraid evaluate again."
    )


def _known(run: Run) -> dict[str, Any]:
    try:
        return evaluation_of(run)
    except ConfigError:
        return {}


def _set_aside(
    run: Run, found: dict[str, Any], settings: Sequence[str], part: str | None = None
) -> None:
    """Keep what is about to be replaced by an evaluation of other settings, and say where."""
    try:
        known = read_evaluation(run.folder)
    except ConfigError:
        return
    earlier = known if part is None else known.get(part, {})
    given = [earlier.get(name) for name in settings]
    if "log_likelihood" not in earlier or given == [found.get(name) for name in settings]:
        return
    name = "-".join(str(value) for value in ([part] if part else []) + given if value is not None)
    folder = run.folder / EARLIER
    folder.mkdir(exist_ok=True)
    write_json_atomically(folder / f"{name}.json", known)
    if part is None and (run.folder / VALUES).exists():
        write_atomically(folder / f"{name}.npz", (run.folder / VALUES).read_bytes())
    warnings.warn(
        f"the evaluation of {run.folder} before, of other settings, is kept as "
        f"{folder / name}.json",
        EvaluationWarning,
        stacklevel=4,
    )


def _keep_values(
    run: Run, result: LogLikelihood, split: str, limit: int | None, frames: int | None
) -> None:
    """Keep log p(x) of each datum, and what tells the data from others."""
    of = f"{run.config['fingerprint']} {split}"
    if run.data.mixed and split != "train":
        of += " in random order"
    elif run.data.mixed and limit is not None:
        of += " drawn at random"
    if run.data.transforms and split == "train":
        of += " changed as in the training"
    if frames is not None:
        of += f" {frames} frames by {run.data_seed}"
    buffer = BytesIO()
    np.savez(
        buffer,
        log_likelihood=result.log_likelihood.cpu().numpy(),
        elbo=result.elbo.cpu().numpy(),
        of=np.array(of),
        settings=np.array([run.step, result.samples, result.inner_samples, result.seed]),
        proposal=np.array([result.proposal.widen, result.proposal.prior_share]),
    )
    write_atomically(run.folder / VALUES, buffer.getvalue())


def _keep(run: Run, evaluation: dict[str, Any]) -> None:
    write_json_atomically(run.folder / EVALUATION, evaluation)
