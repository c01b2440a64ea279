"""One row of `sequence_table`: train, estimate log p(x), score; all is kept in its folder."""

import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

import unbraid
from unbraid import Run
from unbraid.methods import load_method

from .rows import DATA_SEED, VALUES, Row, mode_of, row_of
from .sequence_scores import scores
from .sequence_settings import ROWS, SETTINGS, Setting


def finish(row: Row, out: Path, *, mode: str | None = None, progress: bool) -> dict[str, Any]:
    """Do what `Row.finish` says, with the steps of `mode` where it is not the setting's own."""
    setting = SETTINGS[row.setting]
    method, own, hooks = ROWS[row.method]
    known = {field.name for field in fields(load_method(method).options)}
    options = {name: value for name, value in setting.options.items() if name in known}
    return row.finish(
        out,
        lambda run: judge(run, setting, row.split, progress=progress, kept=run.folder),
        method,
        setting.data,
        options={**options, **own},
        data_options=setting.data_options,
        progress=progress,
        validate_every=max(row.steps // 20, 1),
        keep="best",
        **{**setting.train, **mode_of(mode), **({"hooks": hooks} if hooks else {})},
    )


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
        "evaluation": {**result.summary(), "frames": setting.frames},
        **scores(run, setting, split),
        "judging_seconds": round(time.process_time() - started),
    }


def judge_folder(folder: Path, setting: str, split: str, *, progress: bool) -> dict[str, Any]:
    """Judge a run that was trained otherwise, such as from the command line; keep nothing."""
    run = unbraid.load(folder, "cpu")
    judged = judge(run, SETTINGS[setting], split, progress=progress)
    return {**row_of(run, setting, split), **judged}
