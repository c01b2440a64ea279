"""One row of `sequence_table`: train, estimate log p(x), score; all is kept in its folder."""

import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

import unbraid
from unbraid import Run
from unbraid.inference import pair_parameters, write_json_atomically
from unbraid.methods import load_method

from .rows import ROW, VALUES, Row
from .sequence_scores import scores
from .sequence_settings import ROWS, SETTINGS, Setting

DATA_SEED = 0  # all rows and seeds are judged on the same sequences


def finish(row: Row, out: Path, *, progress: bool) -> dict[str, Any]:
    """Return the row's results; train, evaluate and score what is not there yet.

    Raises:
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
    trained = round(time.process_time() - started)
    found = {
        "setting": row.setting,
        "method": row.method,
        "seed": row.seed,
        "steps": row.steps,
        "split": row.split,
        "training_seconds": trained,
        **judge(run, setting, row.split, progress=progress, kept=folder),
    }
    write_json_atomically(folder / ROW, found)
    return found


def judge(
    run: Run, setting: Setting, split: str, *, progress: bool, kept: Path | None = None
) -> dict[str, Any]:
    """Estimate joint log p(x) and score the codes of a trained run.

    Args:
        run: A trained run.
        setting: How it is judged.
        split: Which of its data.
        progress: Whether to show progress.
        kept: Folder where estimates are kept as they come; nothing is kept unless given.
    """
    started = time.process_time()
    result = run.log_likelihood(
        setting.samples,
        split=split,
        limit=setting.sequences,
        seed=DATA_SEED,
        frames=setting.frames,
        inner_samples=setting.inner_samples,
        progress=progress,
        resume=None if kept is None else kept / "evaluation.partial",
    )
    if kept is not None:
        np.savez(
            kept / VALUES,
            log_likelihood=result.log_likelihood.cpu().numpy(),
            elbo=result.elbo.cpu().numpy(),
        )
    return {
        "parameters": sum(p.numel() for p in pair_parameters(run.model, run.guide)),
        "evaluation": {**result.summary(), "frames": setting.frames},
        **scores(run, setting, split),
        "judging_seconds": round(time.process_time() - started),
        "options": run.config["options"],
        "versions": run.config.get("versions"),
    }


def judge_folder(folder: Path, setting: str, split: str, *, progress: bool) -> dict[str, Any]:
    """Judge a run that was trained otherwise, such as from the command line; keep nothing."""
    run = unbraid.load(folder, "cpu")
    return {
        "setting": setting,
        "method": f"{run.config['method']} in {folder.name}",
        "seed": run.config["seed"],
        "steps": run.step,
        "split": split,
        "training_seconds": None,
        **judge(run, SETTINGS[setting], split, progress=progress),
    }


def _train(row: Row, setting: Setting, folder: Path, progress: bool) -> Run:
    """Train; a run that is there, whole or not, is gone on with."""
    method, own = ROWS[row.method]
    known = {field.name for field in fields(load_method(method).options)}
    options = {name: value for name, value in setting.options.items() if name in known}
    return unbraid.train(
        method,
        setting.data,
        folder,
        options={**options, **own},
        data_options=setting.data_options,
        resume=(folder / "checkpoints").exists(),
        force=folder.exists() and not (folder / "checkpoints").exists(),
        progress=progress,
        say=lambda _: None,
        steps=row.steps,
        seed=row.seed,
        data_seed=DATA_SEED,
        validate_every=max(row.steps // 20, 1),
        **setting.train,
    )
