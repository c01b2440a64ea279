"""One row of `vitae_table`: train, estimate log p(x), score; everything is kept in its folder."""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unbraid
from unbraid import Run
from unbraid.inference import pair_parameters, write_json_atomically

from .matched import count_parameters, match_hidden
from .rows import ROW, VALUES, Row
from .vitae_scores import scores
from .vitae_settings import BASE, SETTINGS, Setting

DATA_SEED = 0  # all rows and seeds are judged on the same images


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
    started = time.process_time()
    run = _train(row, setting, folder, progress)
    if run.result is None or run.result.stopped == "signal":
        raise KeyboardInterrupt(f"{folder} was stopped; the same command goes on with it")
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
    found = {
        "setting": row.setting,
        "method": row.method,
        "seed": row.seed,
        "steps": row.steps,
        "split": row.split,
        "parameters": sum(p.numel() for p in pair_parameters(run.model, run.guide)),
        "images": _fingerprint(run, row.split, setting.images),
        "training_seconds": round(trained - started),
        "evaluation": result.summary(),
        **scores(run, setting, part=row.split),
        "judging_seconds": round(time.process_time() - trained),
        "options": run.config["options"],
        "versions": run.config.get("versions"),
    }
    write_json_atomically(folder / ROW, found)
    return found


def _train(row: Row, setting: Setting, folder: Path, progress: bool) -> Run:
    """Train; a run that is there, whole or not, is gone on with."""
    settings = {
        "steps": row.steps,
        "batch_size": setting.batch_size,
        "seed": row.seed,
        "data_seed": DATA_SEED,
        "validate_every": max(row.steps // 10, 1),
        **setting.train,
    }
    options = setting.row_options(row.method)
    if row.method != BASE:
        target = count_parameters(BASE, setting.row_options(BASE), setting.spec)
        options = match_hidden(row.method, target, options, setting.spec).options
    return unbraid.train(
        row.method,
        setting.data,
        folder,
        options=options,
        resume=(folder / "checkpoints").exists(),
        force=folder.exists() and not (folder / "checkpoints").exists(),
        progress=progress,
        say=lambda _: None,
        **settings,
    )


def _fingerprint(run: Run, split: str, count: int) -> str:
    """Hash of the images that are judged, so that rows are only paired on the same ones."""
    pixels = run.split(split).pixels(torch.arange(count))
    return hashlib.sha256(pixels.numpy().tobytes()).hexdigest()[:16]
