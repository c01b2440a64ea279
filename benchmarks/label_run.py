"""One row of a table of classifiers: train by the last step's weights, judge; kept in its folder.

Weights are those of the last step: the best ones by validation would be chosen by labels of the
target domain, or for accuracy alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unbraid import Run
from unbraid.analysis import posterior_means, predicted_classes
from unbraid.data import Batches, Dataset

from .rows import Row


@dataclass(frozen=True)
class Task:
    """What the rows of one data set share.

    Attributes:
        data: Name of the data.
        data_options: Options of the data.
        options: Options of the method.
        train: Settings of the training.
        steps: Steps of a row.
    """

    data: str
    data_options: Mapping[str, Any]
    options: Mapping[str, Any]
    train: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 2000


@dataclass(frozen=True)
class Variant:
    """What is particular to a row.

    Attributes:
        method: Name of the method.
        options: Options beside those of the task.
        data_options: Options of the data beside those of the task.
    """

    method: str
    options: Mapping[str, Any]
    data_options: Mapping[str, Any] = field(default_factory=dict)


def finish(
    row: Row,
    task: Task,
    variant: Variant,
    out: Path,
    judge: Callable[[Run, str], dict[str, Any]],
    *,
    progress: bool,
) -> dict[str, Any]:
    """Do what `Row.finish` says."""
    return row.finish(
        out,
        lambda run: judge(run, row.split),
        variant.method,
        task.data,
        options={**task.options, **variant.options},
        data_options={**task.data_options, **variant.data_options},
        progress=progress,
        validate_every=row.steps,
        **task.train,
    )


def predictions(run: Run, dataset: Dataset) -> Tensor:
    """The class that a run predicts of every datum, int64 `(N,)`."""
    return predicted_classes(run.model, run.guide, _batches(run, dataset))


def codes(run: Run, dataset: Dataset) -> Tensor:
    """The code of every datum, `(N, K)`."""
    return posterior_means(run.model, run.guide, _batches(run, dataset))["z"]


def _batches(run: Run, dataset: Dataset) -> Any:
    for batch in Batches(dataset, 500, shuffle=False, device=run.device):
        yield tuple(batch[key] for key in run.parts.inspected)


def known(dataset: Dataset, name: str) -> tuple[Tensor, Tensor]:
    """Labels and a factor of all data, each int64 `(N,)`."""
    noted = dataset.annotations()
    return noted["labels"], noted["factors"][:, dataset.factor_names.index(name)]


def mean_and_spread(values: list[float]) -> str:
    """Mean of several seeds and, of more than one, their standard deviation."""
    numbers = torch.tensor(values, dtype=torch.float64)
    spread = "" if len(values) < 2 else f" ± {float(numbers.std()):.3f}"
    return f"{float(numbers.mean()):.3f}{spread}"
