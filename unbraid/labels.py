"""Runs of methods that say the class of an image: labels to learn from, errors, pictures."""

import warnings
from math import sqrt
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.analysis import conditional_grid, predicted_classes, style_transfer
from unbraid.data import UNKNOWN, Batches, DataError, Dataset, DataWarning

from .held_out import arguments_of
from .run import Run

ROWS, COLUMNS, STYLES = 20, 10, 8


def check_labels(dataset: Dataset, name: str) -> None:
    """Make sure that there are labelled data to train on, before a step is made.

    Args:
        dataset: The training data.
        name: The method that is to learn from them.

    Raises:
        DataError: If no label is known.
    """
    labels = dataset.labels
    known = torch.empty(0) if labels is None else labels[labels != UNKNOWN]
    if not len(known):
        raise DataError(
            f"number of {dataset.name} (train) with a known label is 0 of {len(dataset):,}; "
            f"expected some of each class, from which {name} learns. Give labels, -1 where one is "
            "not known"
        )
    counts = known.bincount(minlength=len(dataset.label_names)).tolist()
    missing = [dataset.label_names[k] for k, count in enumerate(counts) if not count]
    if missing:
        warnings.warn(
            f"no datum of {dataset.name} (train) is labelled {' or '.join(missing)}: nothing says "
            f"what {name} should call so. Label at least one of each class",
            DataWarning,
        )


def judge_labels(run: Run, dataset: Dataset) -> dict[str, Any] | None:
    """Count how often the likeliest class is wrong.

    Args:
        run: A run of a method that says classes.
        dataset: Data, some of whose labels may be unknown: those are not counted.

    Returns:
        `error` and its `standard_error` over the data, in [0, 1], and the number `n` of data; None
        where no label is known, or the method says no classes.
    """
    site = run.parts.tells
    if site is None or dataset.labels is None:
        return None
    known = (dataset.labels != UNKNOWN).nonzero().squeeze(1)
    if not len(known):
        return None
    labelled = dataset.take(known)
    told = predicted_classes(run.model, run.guide, arguments_of(run, labelled), site=site)
    error = float((told != labelled.annotations()["labels"].cpu()).double().mean())
    count = len(known)
    return {"error": error, "standard_error": sqrt(error * (1 - error) / count), "n": count}


def shown_classes(run: Run) -> tuple[Tensor, list[str]]:
    """Classes `(R,)` that pictures show, and their names."""
    names = list(run.data.test.label_names[:ROWS])
    return torch.arange(len(names), device=run.device), names


def label_figures(run: Run, seed: int = 0) -> dict[str, Figure]:
    """Draw classes against codes of the rest, and the codes of images under other classes.

    Args:
        run: A run; of methods that say no classes there are no figures.
        seed: Seed of the codes.
    """
    if run.parts.tells is None:
        return {}
    classes, names = shown_classes(run)
    batch = Batches(run.data.test, STYLES, shuffle=False, device=run.device).batch(0)
    images = batch["x"].clone()
    own = predicted_classes(run.model, run.guide, [images], site=run.parts.tells).to(run.device)
    return {
        "conditional_grid": conditional_grid(
            run.model, classes, names, columns=COLUMNS, seed=seed
        ),
        "style_transfer": style_transfer(
            run.model, run.guide, images, own, classes[:COLUMNS], names[:COLUMNS], seed=seed
        ),
    }
