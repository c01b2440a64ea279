"""One row of `vitae_table`: train, estimate log p(x), score; everything is kept in its folder."""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unbraid import Run

from .matched import count_parameters, match_hidden
from .rows import DATA_SEED, VALUES, Row
from .vitae_scores import scores
from .vitae_settings import BASE, SETTINGS


def finish(row: Row, out: Path, *, progress: bool) -> dict[str, Any]:
    """Return the row's results; train, evaluate and score what is not there yet.

    Raises:
        AssertionError: If the estimate of log p(x) is below the ELBO of the same samples.
        KeyboardInterrupt: If a signal stopped the training; a part of it is never judged.
        ValueError: If the folder holds the results of other settings.
    """
    found = row.finished(out)
    if found is not None:
        return found
    folder = row.folder(out)
    setting = SETTINGS[row.setting]
    options = setting.row_options(row.method)
    if row.method != BASE:
        target = count_parameters(BASE, setting.row_options(BASE), setting.spec)
        options = match_hidden(row.method, target, options, setting.spec).options
    settings = {"validate_every": max(row.steps // 10, 1), "keep": "best", **setting.train}
    run, seconds = row.train(
        out,
        row.method,
        setting.data,
        options=options,
        batch_size=setting.batch_size,
        progress=progress,
        **settings,
    )
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
    return row.keep(
        out,
        run,
        images=_fingerprint(run, row.split, setting.images),
        training_seconds=seconds,
        evaluation=result.summary(),
        **scores(run, setting, part=row.split),
        judging_seconds=round(time.process_time() - trained),
    )


def _fingerprint(run: Run, split: str, count: int) -> str:
    """Hash of the images that are judged, so that rows are only paired on the same ones."""
    pixels = run.split(split).pixels(torch.arange(count))
    return hashlib.sha256(pixels.numpy().tobytes()).hexdigest()[:16]
