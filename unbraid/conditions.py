"""Runs of conditional methods: data that know the condition, what codes tell of it, pictures."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.analysis import (
    completions,
    conditional_grid,
    posterior_means,
    style_transfer,
    told_condition,
)
from unbraid.data import UNKNOWN, Batches, DataError, Dataset
from unbraid.inference import Runner, in_mode, modules_of, own_noise
from unbraid.methods import Given, OptionError

from .held_out import arguments_of
from .run import Run

SITE = "z"
PROBED = 5000  # data, to train probes on and to judge them on
ROWS, COLUMNS, STYLES, COMPLETED, DRAWN = 20, 10, 8, 8, 8


def check_given(given: Given, parts: dict[str, Dataset]) -> None:
    """Make sure that the condition of all data is known, before a step is made.

    Args:
        given: The condition.
        parts: The parts of the data by name, such as `train`.

    Raises:
        DataError: If one is not known, out of range or not finite.
    """
    if given.key == "x":
        return
    for part, dataset in parts.items():
        for name, size, values in _columns(given, dataset, part):
            if size:
                wrong = (values < 0) | (values >= size)
                expected = f"0 to {size - 1}"
            else:
                wrong, expected = ~torch.isfinite(values), "a finite number"
            if not bool(wrong.any()):
                continue
            row = int(wrong.nonzero()[0])
            value = values[row].item()
            unknown = ", not known" if size and value == UNKNOWN else ""
            raise DataError(
                f"{name} of datum {row} of {dataset.name} ({part}) is {value:g}{unknown}; "
                f"expected {expected}, as {int(wrong.sum()):,} of {len(dataset):,} data are not. "
                "Give every datum its condition, or leave those without one out"
            )


def _columns(given: Given, dataset: Dataset, part: str) -> Iterator[tuple[str, int, Tensor]]:
    """Name, number of classes (0 for real values) and values `(N,)` of each column."""
    known = dataset.labels if given.key == "label" else dataset.factors
    if known is None:
        raise DataError(
            f"{dataset.name} ({part}) has no {given.key}; expected {' and '.join(given.names)} "
            "of every datum"
        )
    columns = [known] if given.key == "label" else [known[:, c] for c in given.columns]
    yield from zip(given.names, given.sizes, columns, strict=True)


def probe_condition(run: Run, seed: int = 0) -> dict[str, Any]:
    """Tell the condition from codes of test data, by probes that training data taught.

    Args:
        run: A run of a method with a condition.
        seed: Seed of the codes that are sampled.

    Returns:
        By name of the condition: `of_means`, from posterior means, and `of_samples`, from samples
        of the posterior, each as `ToldCondition.summary`. Empty where the condition is a part of
        the image, and without names whose training data are all alike.
    """
    given = run.parts.given
    if given is None or given.key == "x":
        return {}
    learned, judged = _some(run.data.train), _some(run.data.test)
    train, test = ([*_columns(given, part, "")] for part in (learned, judged))
    codes = (
        _codes(run, partial(arguments_of, run, learned, run.data.transforms, seed), seed),
        _codes(run, partial(arguments_of, run, judged), seed + 1),
    )
    told: dict[str, Any] = {}
    for (name, size, values), (_, _, truth) in zip(train, test, strict=True):
        if len(values.unique()) < 2 or (not size and len(truth.unique()) < 2):
            continue
        told[name] = {
            f"of_{kind}": told_condition(
                codes[0][kind], values.cpu(), codes[1][kind], truth.cpu(), discrete=size > 0
            ).summary()
            for kind in ("means", "samples")
        }
    return told


def _some(dataset: Dataset) -> Dataset:
    rows = torch.linspace(0, len(dataset) - 1, min(PROBED, len(dataset))).long()
    return dataset.take(rows.to(dataset.device))


def _codes(
    run: Run, arguments: Callable[[], Iterator[tuple[Tensor, ...]]], seed: int
) -> dict[str, Tensor]:
    """Means and samples of the posterior, `(N, K)`; `arguments` are walked through twice."""
    means = posterior_means(run.model, run.guide, arguments(), seed)[SITE]
    with torch.no_grad(), in_mode(False, modules_of(run.guide)), own_noise(run.device):
        torch.manual_seed(seed)
        drawn = [Runner().run(run.guide, args).sites[SITE].value.cpu() for args in arguments()]
    return {"means": means, "samples": torch.cat(drawn)}


def shown_conditions(run: Run) -> tuple[Tensor, list[str]]:
    """Conditions `(R, ...)` that pictures show, and their names.

    All classes where the condition is one; otherwise, what the first test data have that differ.
    """
    given, test = _given(run), run.data.test
    if given.key == "label":
        labels = torch.arange(min(given.sizes[0], ROWS), device=run.device)
        return labels, list(test.label_names[: len(labels)])
    if given.key == "x":
        images = Batches(test, COMPLETED, shuffle=False, device=run.device).batch(0)["x"].clone()
        return images, [""] * len(images)
    factors = test.annotations()["factors"].to(run.device)
    columns = list(given.columns)
    if len(columns) == 1 and given.sizes[0]:
        values = torch.arange(min(given.sizes[0], ROWS), device=run.device)
        rows = factors[:1].repeat(len(values), 1)
        rows[:, columns[0]] = values.to(rows.dtype)
        return rows, [f"{given.names[0]} {int(v)}" for v in values]
    seen: dict[tuple[float, ...], int] = {}
    for row, values in enumerate(factors[:, columns].tolist()):
        seen.setdefault(tuple(values), row)
        if len(seen) == COLUMNS:
            break
    return factors[list(seen.values())], [", ".join(f"{v:.3g}" for v in key) for key in seen]


def condition_figures(run: Run, seed: int = 0) -> dict[str, Figure]:
    """Draw what a condition does: a grid of conditions and codes, transfers, or completions.

    Args:
        run: A run; without a condition there are no figures.
        seed: Seed of the codes.
    """
    given = run.parts.given
    if given is None:
        return {}
    conditions, names = shown_conditions(run)
    if given.key == "x":
        model: Any = run.model
        hidden = model.decoder.condition.hidden
        drawn = completions(run.model, conditions, hidden, draws=DRAWN, seed=seed)
        return {"completions": drawn}
    batch = Batches(run.data.test, STYLES, shuffle=False, device=run.device).batch(0)
    images, own = batch["x"].clone(), batch[given.key].clone()
    few, called = conditions[:COLUMNS], names[:COLUMNS]
    return {
        "conditional_grid": conditional_grid(
            run.model, conditions, names, columns=COLUMNS, seed=seed
        ),
        "style_transfer": style_transfer(
            run.model, run.guide, images, own, few, called, seed=seed
        ),
    }


def sampled_conditions(run: Run, count: int) -> Tensor:
    """Return `count` conditions, those of `shown_conditions` in turn."""
    conditions, _ = shown_conditions(run)
    return conditions[torch.arange(count, device=conditions.device) % len(conditions)]


def _given(run: Run) -> Given:
    given = run.parts.given
    if given is None:
        raise OptionError(f"{run.config['method']} has no condition; expected one, such as cvae")
    return given
