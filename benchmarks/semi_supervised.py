"""How well M2 and M1+M2 tell digits of which a hundred are labelled, and how likely they are.

Run: python -m benchmarks.semi_supervised --seeds 0 1 2 3 4

| row | |
|---|---|
| `linear` | a linear classifier of codes (M1's posterior means), taught the labelled digits |
| `m2` | the model of images |
| `m1+m2` | the model of the codes of M1, a VAE that knows no label |

Each seed has labelled digits of its own. M1 is trained once, on the training part of data seed 100
and without labels; settings were chosen on the validation part of data seed 100, and no seed of
the table is 100. Finished rows are kept under --out and not run again; one that was stopped goes
on where it was.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import unbraid
from unbraid import Run
from unbraid.analysis import posterior_means, told_condition
from unbraid.data import Batches, Dataset, labelled, load

from .label_run import mean_and_spread
from .rows import Row, add_mode, mode_of

M1, M1_SEED = "m1", 100
LEAST_VARIANCE = 0.1  # of the largest
COMMON: dict[str, Any] = {"binarise": "dynamic"}


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        steps: Steps of the training.
        options: Options of the method.
        train: Settings of the training.
        stacked: Whether it models the codes of M1.
    """

    steps: int
    options: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    stacked: bool = False


ROWS = {
    M1: Variant(12_000, {"latent_dim": 50, "hidden": (500, 500)}, {"batch_size": 100}),
    "m2": Variant(
        40_000,
        {
            "nets": "conv",
            "channels": (16, 32),
            "hidden": (300,),
            "latent_dim": 20,
            "alpha": 10.0,
            "warmup": 32_000,
            "warmup_from": 10.0,
        },
        {"batch_size": 100, "mode": "compile"},
    ),
    "m1+m2": Variant(
        40_000,
        {"latent_dim": 8, "hidden": (300,), "alpha": 1.0},
        {"batch_size": 500, "learning_rate": 3e-3},
        stacked=True,
    ),
}


def first_model(
    data: str, out: Path, steps: int | None, *, mode: str | None = None, progress: bool
) -> Run:
    """M1, trained where it is not there yet."""
    variant = ROWS[M1]
    row = Row(data, M1, 0, variant.steps if steps is None else steps)
    settings = {
        **COMMON,
        **variant.train,
        **mode_of(mode),
        "options": variant.options,
        "data_seed": M1_SEED,
    }
    if row.finished(out, **settings) is not None:
        return unbraid.load(row.folder(out))
    run, seconds = row.train(out, "vae", data, progress=progress, **settings)
    row.keep(out, run, settings, training_seconds=seconds)
    return run


def finish(
    row: Row,
    labels: int,
    out: Path,
    first: Run | None,
    judged: int,
    *,
    mode: str | None = None,
    progress: bool,
) -> dict[str, Any]:
    """Do what `Row.finish` says.

    Args:
        row: The row.
        labels: Labelled digits of each class.
        out: Folder of the table.
        first: M1, of rows that need it.
        judged: Number of digits whose log p(x) is estimated; 0 for none.
        mode: How a step runs; as the row has it unless given.
        progress: Whether to show progress.
    """
    variant = ROWS[row.method]
    options = dict(variant.options)
    if variant.stacked and first is not None:
        options["features"] = str(first.folder)
    return row.finish(
        out,
        lambda run: {"labels": labels, **judge(run, row.split, judged, progress=progress)},
        "m2",
        row.setting,
        **COMMON,
        **{**variant.train, **mode_of(mode)},
        options=options,
        data_options={"labels_per_class": labels},
        data_seed=row.seed,
        keep="best",
        progress=progress,
    )


def judge(run: Run, split: str, judged: int, *, progress: bool) -> dict[str, Any]:
    """How often the class is wrong and, of so many digits, how likely they are."""
    told = run.judge_labels(split=split) or {}
    if not judged:
        return told
    estimate = run.log_likelihood(500, split=split, limit=judged, progress=progress).summary()
    keys = ("log_likelihood", "log_likelihood_se", "pareto_k_unreliable")
    return told | {key: estimate[key] for key in keys}


def linear_error(first: Run, data: str, labels: int, seed: int, split: str) -> float:
    """The error of a linear classifier of M1's means, taught the labelled digits.

    Coordinates that hardly vary say nothing. They are left out, since all get variance 1.
    """
    parts = load(data, seed=seed, options={"labels_per_class": labels})
    few, judged = labelled(parts.train), getattr(parts, split)
    truth = [part.annotations()["labels"] for part in (few, judged)]
    codes = [_codes(first, part) for part in (few, judged)]
    variance = codes[1].var(0)
    used = variance > LEAST_VARIANCE * variance.max()
    codes = [code[:, used] for code in codes]
    told = told_condition(codes[0], truth[0], codes[1], truth[1], probes=("logistic",))
    return 1 - told.score["logistic"]


def _codes(run: Run, dataset: Dataset) -> torch.Tensor:
    batches = Batches(dataset, 500, shuffle=False, transforms=run.data.transforms)
    return posterior_means(run.model, run.guide, (batch["x"] for batch in batches))["z"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = ["linear", "m1+m2", "m2"]
    parser.add_argument("--rows", nargs="+", choices=names, default=names)
    parser.add_argument("--labels", type=int, default=10, help="labelled digits of each class")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, help="of every training, to try the table")
    parser.add_argument("--judged", type=int, default=200, help="digits whose log p(x) is told")
    parser.add_argument("--data", choices=["mnist", "mnist-small"], default="mnist")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--out", type=Path, default=Path("runs/semi-supervised"))
    add_mode(parser)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    out, shown = (
        given.out / f"labels-{given.labels}",
        {"mode": given.mode, "progress": sys.stderr.isatty()},
    )
    first = None
    if {"linear", "m1+m2"} & set(given.rows):
        first = first_model(given.data, given.out, given.steps, **shown)
    print("| row | seed | error | log p(x), nats | s |\n|---|---|---|---|---|")
    for name in given.rows:
        errors = []
        for seed in given.seeds:
            if name == "linear" and first is not None:
                found: dict[str, Any] = {
                    "error": linear_error(first, given.data, given.labels, seed, given.split)
                }
            else:
                steps = ROWS[name].steps if given.steps is None else given.steps
                row = Row(given.data, name, seed, steps, given.split)
                found = finish(row, given.labels, out, first, given.judged, **shown)
            errors.append(100 * found["error"])
            print(f"| {name} | {seed} | {errors[-1]:.2f} % | {_nats(found)} |", flush=True)
        print(f"| {name} | all | {mean_and_spread(errors)} % | | |", flush=True)
    return 0


def _nats(found: dict[str, Any]) -> str:
    if "log_likelihood" not in found:
        return f" | {found.get('training_seconds', '')}"
    value = f"{found['log_likelihood']:.2f} ± {found['log_likelihood_se']:.2f}"
    return f"{value} | {found['training_seconds']}"


if __name__ == "__main__":
    sys.exit(main())
