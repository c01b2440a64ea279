"""One row of `vitae_table`: train, estimate log p(x), score; everything is kept in its folder."""

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unbraid import Run
from unbraid.inference import read_metrics

from .matched import count_parameters, match_hidden
from .rows import DATA_SEED, VALUES, Row, mode_of
from .vitae_scores import scores
from .vitae_settings import BASE, SETTINGS


def finish(row: Row, out: Path, *, mode: str | None = None, progress: bool) -> dict[str, Any]:
    """Do what `Row.finish` says, with the steps of `mode` where it is not the setting's own."""
    return row.finish(
        out,
        lambda run: judge(run, row, row.folder(out), progress=progress),
        row.method,
        SETTINGS[row.setting].data,
        progress=progress,
        **_training(row, mode),
    )


def best_start(
    row: Row, starts: int, out: Path, *, mode: str | None = None, progress: bool
) -> tuple[Row, list[float]]:
    """Train a row from several starts, and tell which has the best bound on validation data.

    Where trainings end depends on how they begin, and bounds tell those that ended badly, without
    a look at what is judged.

    Args:
        row: The row; its seed `s` stands for the seeds from `s * starts` to `s * starts + starts
            - 1`.
        starts: Number of trainings, at least 1. Those that are there are not trained again.
        out: Folder of the table.
        mode: As of `finish`.
        progress: Likewise.

    Returns:
        The row of the best start, and the bounds of all, nats.

    Raises:
        ValueError: If a folder holds the results of other settings.
    """
    tried = [replace(row, seed=row.seed * starts + start) for start in range(starts)]
    bounds = []
    for each in tried:
        data, settings = SETTINGS[row.setting].data, _training(each, mode)
        if each.finished(out, data=data, **settings) is None:
            each.train(out, row.method, data, progress=progress, **settings)
        kept = read_metrics(each.folder(out) / "metrics.jsonl")
        bounds.append(max(one["validation_elbo"] for one in kept if "validation_elbo" in one))
    return tried[int(np.argmax(bounds))], bounds


def _training(row: Row, mode: str | None) -> dict[str, Any]:
    """What a row is trained with."""
    setting = SETTINGS[row.setting]
    options = setting.row_options(row.method)
    if row.method != BASE:
        target = count_parameters(BASE, setting.row_options(BASE), setting.spec)
        options = match_hidden(row.method, target, options, setting.spec).options
    return {
        "options": options,
        "batch_size": setting.batch_size,
        "validate_every": max(row.steps // 10, 1),
        "keep": "best",
        **setting.train,
        **mode_of(mode),
    }


def judge(run: Run, row: Row, folder: Path, *, progress: bool) -> dict[str, Any]:
    """Estimate log p(x) of a trained run, keep the values, and score its codes.

    Raises:
        AssertionError: If the estimate of log p(x) is below the ELBO of the same samples.
    """
    setting = SETTINGS[row.setting]
    trained = time.process_time()
    result = run.log_likelihood(
        setting.samples,
        split=row.split,
        limit=setting.images,
        seed=DATA_SEED,
        progress=progress,
        resume=folder / "evaluation.partial",
    )
    if not bool((result.log_likelihood >= result.elbo).all()):
        raise AssertionError(
            f"{folder}: an estimate of log p(x) is below the bound of its samples"
        )
    np.savez(
        folder / VALUES,
        log_likelihood=result.log_likelihood.cpu().numpy(),
        elbo=result.elbo.cpu().numpy(),
    )
    return {
        "images": _fingerprint(run, row.split, setting.images),
        "evaluation": result.summary(),
        **scores(run, setting, part=row.split),
        "judging_seconds": round(time.process_time() - trained),
    }


def _fingerprint(run: Run, split: str, count: int) -> str:
    """Hash of the images that are judged, so that rows are only paired on the same ones."""
    pixels = run.split(split).pixels(torch.arange(count))
    return hashlib.sha256(pixels.numpy().tobytes()).hexdigest()[:16]
