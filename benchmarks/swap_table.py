"""Digits in two codes, one swapped with partners: which of them tells the label, by fresh probes.

Run: python -m benchmarks.swap_table --seeds 0 1 2
Finished rows are kept under --out and not run again; one that was stopped goes on where it was.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unbraid import Run
from unbraid.analysis import (
    attribute_probe,
    knn_accuracy,
    posterior_means,
    swap_change,
    swap_codes,
)
from unbraid.data import Batches, Dataset
from unbraid.inference import write_json_atomically

from .label_run import mean_and_spread
from .rows import Row, table_parser

DATA = "mnist-small"
STEPS = 4000
# Binary cross-entropies of grey digits: their nats are nearer to those of the paper's Gaussian of
# variance 1/2 than the densities of the default are.
NETS = {"hidden": (256, 128), "likelihood": "bernoulli-grey"}
SIZES = {"specified_dim": 16, "unspecified_dim": 16}
CRITIC = {"critic_channels": (16, 32), "critic_hidden": 64}
DEAR = {"divergence": 6.0}  # so that z holds little
TRAIN = {"batch_size": 64, "schedule": "constant"}
PAIRS = 200  # of test digits of different labels, for what swaps change


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        method: Name of the method.
        options: Its options.
        held: The site whose code is to tell the label.
        rest: The site whose code is to tell the rest.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    held: str | None = "specified"
    rest: str = "unspecified"


ROWS = {
    "vae": Variant("vae", {"latent_dim": 32}, held=None, rest="z"),
    "no-swaps": Variant("swap-vae", {**SIZES, "reconstruction": 1.0, "swapped": 0.0}),
    "swap-vae": Variant("swap-vae", SIZES),
    "swap-vae-dear": Variant("swap-vae", {**SIZES, **DEAR}),
    "swap-gan": Variant("swap-gan", {**SIZES, **CRITIC}),
    "swap-gan-dear": Variant("swap-gan", {**SIZES, **CRITIC, **DEAR, "adversary": 30.0}),
    "pairs-dear": Variant(
        "swap-gan",
        {**SIZES, **CRITIC, **DEAR, "adversary": 30.0, "critic": "pair", "reconstruction": 0.0},
    ),
}


def judge(run: Run, variant: Variant, split: str) -> dict[str, Any]:
    """What fresh probes tell of the label from each code, and what swaps change in images."""
    train, data = run.split("train"), run.split(split)
    codes = {"train": codes_of(run, train), "test": codes_of(run, data)}
    labels, truth = (part.annotations()["labels"] for part in (train, data))
    found: dict[str, Any] = {}
    for name, site in (("held", variant.held), ("rest", variant.rest)):
        if site is None:
            continue
        parts = codes["train"][site], labels, codes["test"][site], truth
        found[f"{name}_mlp"] = attribute_probe(*parts).accuracy
        found[f"{name}_knn"] = knn_accuracy(*parts).accuracy
    if variant.held is not None:
        change = change_by_swaps(run, data, variant.held)
        found |= {"common_change": change.common, "varying_change": change.varying}
    return found


def codes_of(run: Run, dataset: Dataset) -> dict[str, Tensor]:
    """The codes of all data by site."""
    batches = Batches(dataset, 500, shuffle=False, device=run.device)
    return posterior_means(run.model, run.guide, (batch["x"] for batch in batches))


def change_by_swaps(run: Run, dataset: Dataset, site: str) -> Any:
    """What the swapped code changes in images of digits of different labels."""
    labels = dataset.annotations()["labels"]
    first = torch.arange(len(labels) - 1)
    first = first[labels[first] != labels[first + 1]][:PAIRS]
    x = dataset.pixels(torch.arange(int(first.max()) + 2)).float() / 255
    own, other, swapped = [], [], []
    for i in first.tolist():
        pair = x[i : i + 2].to(run.device)
        grid = swap_codes(run.model, run.guide, pair, pair, swapped=site)
        own.append(grid[0, 0])
        other.append(grid[1, 1])
        swapped.append(grid[1, 0])  # the other's code at the site, its own elsewhere
    return swap_change(torch.stack(own), torch.stack(other), torch.stack(swapped))


def finish(row: Row, out: Path, *, progress: bool) -> dict[str, Any]:
    """Do what `Row.finish` says."""
    variant = ROWS[row.method]
    return row.finish(
        out,
        lambda run: judge(run, variant, row.split),
        variant.method,
        DATA,
        options={**NETS, **variant.options},
        progress=progress,
        **TRAIN,
    )


COLUMNS = {
    "held_mlp": "s tells label (MLP)",
    "held_knn": "s (kNN)",
    "rest_mlp": "z tells label (MLP)",
    "rest_knn": "z (kNN)",
    "common_change": "change by s",
    "varying_change": "change by z",
}


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print means over seeds."""
    seeds = sorted({row["seed"] for row in rows})
    print(f"\n### {DATA}, {rows[0]['steps']} steps, {rows[0]['split']} digits, seeds {seeds}\n")
    print("| row | " + " | ".join(COLUMNS.values()) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == name]
        cells = [
            mean_and_spread([row[key] for row in mine]) if key in mine[0] else ""
            for key in COLUMNS
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\na probe that guesses: 0.100", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows, print a table, and write all rows as JSON."""
    parser = table_parser(__doc__, ROWS, out="runs/swaps", steps=STEPS)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    rows = []
    for seed in given.seeds:
        for name in given.rows:
            row = Row(f"swaps-{DATA}-{given.steps}", name, seed, given.steps, given.split)
            rows.append(finish(row, given.out, progress=sys.stderr.isatty()))
            shown = {key: rows[-1][key] for key in COLUMNS if key in rows[-1]}
            told = {key: rows[-1][key] for key in ("method", "seed", "training_seconds")}
            print(json.dumps({**told, **shown}), flush=True)
    print_table(rows)
    write_json_atomically(given.out / f"swaps-{DATA}-{given.steps}.json", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
