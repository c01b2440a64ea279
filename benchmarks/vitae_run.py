"""One row of `vitae_table`: train, estimate log p(x), score; everything is kept in its folder."""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unbraid import Run

from .matched import count_parameters, match_hidden
from .rows import DATA_SEED, VALUES, Row, mode_of
from .vitae_scores import scores
from .vitae_settings import BASE, SETTINGS


def finish(row: Row, out: Path, *, mode: str | None = None, progress: bool) -> dict[str, Any]:
    """Do what `Row.finish` says, with the steps of `mode` where it is not the setting's own."""
    setting = SETTINGS[row.setting]
    options = setting.row_options(row.method)
    if row.method != BASE:
        target = count_parameters(BASE, setting.row_options(BASE), setting.spec)
        options = match_hidden(row.method, target, options, setting.spec).options
    settings = {"validate_every": max(row.steps // 10, 1), "keep": "best", **setting.train}
    settings |= mode_of(mode)
    return row.finish(
        out,
        lambda run: judge(run, row, row.folder(out), progress=progress),
        row.method,
        setting.data,
        options=options,
        batch_size=setting.batch_size,
        progress=progress,
        **settings,
    )


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
