"""The report of a run: what its evaluation, its curves and its pictures show."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from unbraid.analysis import (
    active_units,
    gallery,
    kl_per_dimension,
    warp_gallery,
    write_report,
)
from unbraid.data import Batches
from unbraid.inference import read_metrics

from .run import Run

SHOWN, COUNTED = 64, 2000


def write_run_report(run: Run) -> Path:
    """Draw a run's figures on test data and write `report.html` into its folder.

    Args:
        run: A trained run; without an `evaluation.json` the report says how to get one.

    Returns:
        The report's path.
    """
    keys = run.parts.keys
    batches = Batches(run.data.test, SHOWN, shuffle=False, device=run.device)
    counted = [
        tuple(batch[key].clone() for key in keys)
        for batch in islice(batches, -(-COUNTED // SHOWN))
    ]
    kl = kl_per_dimension(run.model, run.guide, counted)
    active = active_units(run.model, run.guide, counted)
    seed = run.config["seed"]
    figures = gallery(run.model, run.guide, *counted[0], kl=kl, active=active, seed=seed)
    if keys == ("x",):
        images, labels = torch.cat([x for (x,) in counted]), run.data.test.labels
        labels = None if labels is None else labels[: len(images)]
        warps = warp_gallery(run.model, run.guide, images, labels=labels, seed=seed)
        figures = {**warps, **figures}
    metrics = run.folder / "metrics.jsonl"
    return write_report(
        run.folder,
        title=f"{run.config['method']} on {Path(run.config['data']).name}",
        config={**run.config, "step of the weights": run.step},
        evaluation=_read_evaluation(run.folder),
        history=read_metrics(metrics) if metrics.exists() else [],
        figures=figures,
        command=run.config["command"],
        bibtex=run.method.citation,
    )


def _read_evaluation(folder: Path) -> Any:
    path = folder / "evaluation.json"
    return json.loads(path.read_text()) if path.exists() else None
