"""Evaluations of a run: what is measured."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from unbraid.inference import (
    LogLikelihood,
    NoLikelihoodError,
    Proposal,
    fitted_log_likelihood,
    write_atomically,
)
from unbraid.methods import integer_in_range

from . import code_scores
from .evaluation_files import ANNEALED, CODES, FITTED, VALUES, keep, known_of
from .held_out import first_judged, held_out_batches
from .run import Run
from .run_folder import require_writable

FROM_CODES, TOLD = "condition_from_codes", "classification"
"""Where `evaluation.json` holds what probes tell of the condition from codes, of methods that are
given one, and how often methods that say the class of an image are wrong."""


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
    so_far = run.folder / f"evaluation-{settings}.partial"
    with _told_of(so_far):
        result = run.log_likelihood(
            samples,
            split=split,
            limit=limit,
            seed=seed,
            frames=frames,
            inner_samples=inner_samples,
            proposal=proposal,
            progress=progress,
            resume=so_far,
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
    values = partial(_keep_values, run, result, split, limit, judged_frames)
    # What took long is kept before anything else can fail.
    evaluation = _keep_beside(run, evaluation, values)
    so_far.unlink(missing_ok=True)
    if run.parts.given is not None:
        evaluation[FROM_CODES] = run.probe_condition(seed)
    told = run.judge_labels(split=split, limit=limit)
    if told is not None:
        evaluation[TOLD] = told
    if codes:
        evaluation[CODES] = _scores(run, split, seed)
    return _keep_beside(run, evaluation, values)


def _keep_beside(
    run: Run, evaluation: dict[str, Any], keep_values: Callable[[], None]
) -> dict[str, Any]:
    """Keep an evaluation beside what is known by other estimators and of codes; returns all.

    Another evaluation of the run may have ended in the meantime, so that both files are written.
    """
    known = known_of(run)
    codes, others = (
        {name: known[name] for name in names if name in known}
        for names in ((CODES,), (ANNEALED, FITTED))
    )
    evaluation = codes | evaluation | others
    keep(run, evaluation)
    keep_values()
    return evaluation


@contextmanager
def _told_of(so_far: Path) -> Iterator[None]:
    """Where an estimate is interrupted, say that what was judged is kept in a file."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if so_far.exists():
            stopped.add_note(
                "stopped; data that were judged are kept: the same evaluation goes on from them"
            )
        raise


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
    so_far = run.folder / f"annealing-{settings}.partial"
    with _told_of(so_far):
        result = run.annealed_log_likelihood(
            chains=chains,
            temperatures=temperatures,
            start=start,
            split=split,
            limit=limit,
            seed=seed,
            progress=progress,
            resume=so_far,
        )
    annealed = {**result.summary(), "split": split, "step": run.step, **_what_it_is_of(run)}
    keep(run, known_of(run) | {ANNEALED: annealed})
    so_far.unlink(missing_ok=True)
    return annealed


def evaluate_fitted(
    run: Run,
    samples: int,
    *,
    starts: int,
    steps: int,
    split: str,
    limit: int | None,
    seed: int,
    progress: bool,
) -> dict[str, Any]:
    """Estimate log p(x) from Normals fitted to each image; kept in `evaluation.json` as `fitted`.

    Args:
        run: The run.
        samples: Samples per datum.
        starts: Normals of a datum.
        steps: Steps of their fit.
        split: `"test"`, `"validation"` or `"train"`.
        limit: As of `Run.log_likelihood`; None for all.
        seed: Seed of the noise.
        progress: Whether to show progress and the remaining time.
    """
    require_writable(run.folder)
    dataset = first_judged(run, split, limit)
    settings = f"{run.step}-{split}-{limit or 'all'}-{samples}-{starts}-{steps}-{seed}"
    so_far = run.folder / f"fitting-{settings}.partial"
    with _told_of(so_far), tqdm(total=len(dataset), disable=not progress, unit="datum") as bar:

        def advance(done: int) -> None:
            bar.update(done - bar.n)

        result = fitted_log_likelihood(
            run.model,
            run.guide,
            held_out_batches(dataset, run.parts, run.device, 64, seed=run.data_seed),
            keys=run.parts.inspected,
            samples=samples,
            starts=starts,
            steps=steps,
            seed=seed,
            likelihood=run.parts.likelihood,
            resume=so_far,
            progress=advance,
        )
    fitted = {**result.summary(), "split": split, "step": run.step, **_what_it_is_of(run)}
    keep(run, known_of(run) | {FITTED: fitted})
    so_far.unlink(missing_ok=True)
    return fitted


def score_codes(run: Run, *, split: str, seed: int) -> dict[str, Any]:
    """Do what `Run.score_codes` says."""
    require_writable(run.folder)
    scores = _scores(run, split, seed)
    keep(run, known_of(run) | {CODES: scores})
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
