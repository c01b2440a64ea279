"""One row of `sequence_table`: train, estimate log p(x), score; all is kept in its folder."""

import json
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

import unbraid
from unbraid import Run
from unbraid.inference import pair_parameters, write_json_atomically
from unbraid.methods import load_method

from .sequence_scores import scores
from .sequence_settings import ROWS, SETTINGS, Setting

DATA_SEED = 0  # all rows and seeds are judged on the same sequences
ROW, VALUES = "row.json", "values.npz"


@dataclass(frozen=True)
class Row:
    """What is trained: a row of a setting, by a seed.

    Attributes:
        setting: Key of `SETTINGS`.
        name: Key of `ROWS`.
        seed: Seed of weights, batches and noise.
        steps: Steps of the training.
        split: Which sequences are judged: `"test"`, or `"validation"` while settings are chosen.
    """

    setting: str
    name: str
    seed: int
    steps: int
    split: str = "test"

    def folder(self, out: Path) -> Path:
        """Where the row is kept."""
        return out / self.setting / f"{self.name}-{self.seed}"


def finish(row: Row, out: Path, *, progress: bool) -> dict[str, Any]:
    """Return the row's results; train, evaluate and score what is not there yet.

    Raises:
        KeyboardInterrupt: If a signal stopped the training; a part of it is never judged.
        ValueError: If the folder holds the results of other settings.
    """
    folder = row.folder(out)
    if (folder / ROW).exists():
        found = json.loads((folder / ROW).read_text(encoding="utf-8"))
        if (found["steps"], found["split"]) != (row.steps, row.split):
            raise ValueError(
                f"{folder} holds {found['steps']} steps judged on {found['split']}; expected "
                f"{row.steps} on {row.split}. Choose another --out, or remove the folder"
            )
        return found
    setting = SETTINGS[row.setting]
    started = time.process_time()
    run = _train(row, setting, folder, progress)
    if run.result is None or run.result.stopped == "signal":
        raise KeyboardInterrupt(f"{folder} was stopped; the same command goes on with it")
    trained = round(time.process_time() - started)
    found = {
        "setting": row.setting,
        "name": row.name,
        "seed": row.seed,
        "steps": row.steps,
        "split": row.split,
        "training_seconds": trained,
        **judge(run, setting, row.split, progress=progress),
    }
    write_json_atomically(folder / ROW, found)
    return found


def judge(run: Run, setting: Setting, split: str, *, progress: bool) -> dict[str, Any]:
    """Estimate joint log p(x) and score the codes of a trained run."""
    started = time.process_time()
    result = run.log_likelihood(
        setting.samples,
        split=split,
        limit=setting.sequences,
        seed=DATA_SEED,
        frames=setting.frames,
        inner_samples=setting.inner_samples,
        progress=progress,
        resume=run.folder / f"evaluation-{split}.partial",
    )
    np.savez(
        run.folder / VALUES,
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
        "name": f"{run.config['method']} in {folder.name}",
        "seed": run.config["seed"],
        "steps": run.step,
        "split": split,
        "training_seconds": None,
        **judge(run, SETTINGS[setting], split, progress=progress),
    }


def _train(row: Row, setting: Setting, folder: Path, progress: bool) -> Run:
    """Train; a run that is there, whole or not, is gone on with."""
    method, own = ROWS[row.name]
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
