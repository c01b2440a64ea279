"""The report of a run: what its evaluation, its curves and its pictures show."""

from itertools import islice
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from unbraid.analysis import (
    active_units,
    gallery,
    kl_chart,
    kl_per_dimension,
    sequence_gallery,
    warp_gallery,
    write_report,
)
from unbraid.data import Batches
from unbraid.inference import read_metrics

from .calibrating import calibration_figures
from .code_figures import code_figures
from .conditions import condition_figures
from .evaluation_files import evaluation_of, outdated
from .held_out import held_out_batches
from .labels import label_figures
from .model_cards import write_run_card
from .predicting import prediction_figures
from .run import Run
from .run_folder import require_writable
from .turning import turn_figures

SHOWN, COUNTED = 64, 2000  # images
FRAMES_SHOWN, FRAMES_COUNTED = 256, 1024
FEWEST = 8  # sequences, however long they are


def write_run_report(run: Run) -> Path:
    """Draw a run's figures on test data; write `report.html` and `model_card.md` into its folder.

    Args:
        run: A trained run; without an `evaluation.json` the report says how to get one.

    Returns:
        The report's path.
    """
    require_writable(run.folder)
    seed = run.config["seed"]
    drawn = prediction_figures(run, seed) or _figures(run, seed)
    figures = {**drawn, **calibration_figures(run)}
    metrics = run.folder / "metrics.jsonl"
    history = read_metrics(metrics) if metrics.exists() else []
    evaluation: Any = evaluation_of(run) or None
    remark = " ".join(filter(None, (run.parts.remark, outdated(run)))) or None
    write_run_card(run, evaluation, remark)
    return write_report(
        run.folder,
        title=f"{run.config['method']} on {Path(run.config['data']).name}",
        config={**run.config, "step of the weights": run.step},
        evaluation=evaluation,
        history=history,
        figures=figures,
        command=run.config["command"],
        bibtex=run.method.citation,
        datum="sequence" if run.parts.frames or run.parts.turning else "image",
        remark=remark,
        hooks=[hook.name for hook in run.parts.hooks],
    )


def _figures(run: Run, seed: int) -> dict[str, Figure]:
    """Figures of codes, samples and reconstructions, as the pair allows."""
    keys = run.parts.inspected
    counted = _counted(run, keys)
    kl = kl_per_dimension(run.model, run.guide, counted)
    # A single datum, such as the one video of a small test split, has no variance.
    several = sum(len(batch[0]) for batch in counted) > 1
    active = active_units(run.model, run.guide, counted) if several else None
    common = {"kl": kl, "active": active, "seed": seed}
    figures = {}
    if run.parts.turning is not None:
        figures = turn_figures(run, seed)
        if any(bool(nats.any()) for nats in kl.values()):
            figures["kl"] = kl_chart(kl, active)
    elif run.data.test.is_sequence:
        whole = [torch.cat(parts) for parts in zip(*counted, strict=True)]
        figures = sequence_gallery(run.model, run.guide, *whole, **common)
    # Nothing of sequences comes from pairs that know none, such as those of single frames.
    figures = figures or gallery(run.model, run.guide, *counted[0], **common)
    if keys == ("x",) and not run.data.test.is_sequence:
        images, labels = torch.cat([x for (x,) in counted]), run.data.test.labels
        labels = None if labels is None else labels[: len(images)]
        warps = warp_gallery(run.model, run.guide, images, labels=labels, seed=seed)
        figures = {**warps, **figures}
    codes = code_figures(run, counted, kl, seed)
    return {**condition_figures(run, seed), **label_figures(run, seed), **figures, **codes}


def _counted(run: Run, keys: tuple[str, ...]) -> list[tuple[torch.Tensor, ...]]:
    """Test data in batches, a bounded number of images or frames in each and in all."""
    test = run.data.test
    if run.parts.turning is not None:
        clips = held_out_batches(test, run.parts, run.device, 10 * SHOWN, seed=run.data_seed)
        return [tuple(batch[key].clone() for key in keys) for batch in clips]
    shown, counted = SHOWN, COUNTED
    if test.is_sequence:
        frames = test.images.shape[1]
        shown, counted = max(1, FRAMES_SHOWN // frames), max(FEWEST, FRAMES_COUNTED // frames)
    batches = Batches(test, shown, shuffle=False, device=run.device)
    return [
        tuple(batch[key].clone() for key in keys)
        for batch in islice(batches, -(-counted // shown))
    ]
