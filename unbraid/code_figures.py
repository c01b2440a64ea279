"""Pictures of the codes of a run, coloured by what is known of its test data."""

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.analysis import code_gallery, graph_figure
from unbraid.data import UNKNOWN, Dataset

from .run import Run

MOST_COLOURS = 21
Known = tuple[str, bool, Tensor]
"""Name of a label or factor, whether it is a class, and its value for each datum."""


def code_figures(
    run: Run, counted: list[tuple[Tensor, ...]], kl: dict[str, Tensor], seed: int = 0
) -> dict[str, Figure]:
    """Draw the graph of a run's pair and the codes of test data.

    Args:
        run: A run.
        counted: Arguments of the pair: the first test data, in batches.
        kl: Nats by dimension, by latent site.
        seed: Seed of what has to be sampled.
    """
    args = [torch.cat(parts) for parts in zip(*counted, strict=True)]
    if run.parts.turning is not None:
        return {"graph": graph_figure(run.model, run.guide, *(a[:2] for a in args))}
    known = known_of(run.data.test, len(args[0]))
    told: dict[str, Any] = {}
    for name, is_class, values in known:
        if is_class and len(values.unique()) <= MOST_COLOURS:
            told = {"labels": values.long(), "label_title": name}
            if name == "label":
                told["label_names"] = run.data.test.label_names
            break
    if known:
        told["factors"] = torch.stack([values.double() for _, _, values in known], 1)
        told["factor_names"] = [name for name, _, _ in known]
        told["discrete"] = [is_class for _, is_class, _ in known]
    return code_gallery(run.model, run.guide, *args, kl=kl, seed=seed, **told)


def known_of(dataset: Dataset, count: int) -> list[Known]:
    """Return the label and the factors of the first data that vary among them.

    Args:
        dataset: The data.
        count: Number of data.
    """
    known: list[Known] = []
    if dataset.labels is not None:
        known.append(("label", True, dataset.labels[:count].cpu()))
    if dataset.factors is not None:
        columns = dataset.factors[:count].cpu().T
        for name, size, values in zip(
            dataset.factor_names, dataset.factor_sizes, columns, strict=True
        ):
            known.append((name, size > 0, values))
    return [each for each in known if _varies(*each[1:])]


def _varies(is_class: bool, values: Tensor) -> bool:
    return len((values[values != UNKNOWN] if is_class else values).unique()) > 1
