"""Coordinates by factor: what probes tell of a factor from samples of its own, and of the others.

Run: python -m benchmarks.active_table --seeds 0 1 2
Finished rows are kept under --out and not run again; one that was stopped goes on where it was.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unbraid import Run
from unbraid.analysis import told_condition
from unbraid.data import Batches
from unbraid.inference import write_json_atomically

from .label_run import mean_and_spread
from .rows import Row, table_parser

DATA, DATA_OPTIONS = "dsprites", {"size": 32}
STEPS = 4000
PROBED = 8000  # images that probes learn from, and at most so many that they are asked about
OPTIONS: dict[str, Any] = {
    "nets": "mlp",
    "hidden": (512, 512),
    "active": ("scale", "orientation", "position x", "position y"),
    "intrinsic": ("shape",),
    "active_dim": 2,
    "intrinsic_dim": 2,
    "together": 10,
}
TRAIN: dict[str, Any] = {"batch_size": 100}
ROWS: dict[str, dict[str, Any]] = {
    "filtered": {},
    "through-mean": {"filtered": False},
    "held-hard": {"invariance": 1.0},
}
"""By name: options of the method beside the common ones."""


def judge(run: Run, split: str) -> dict[str, Any]:
    """Accuracy of the shape, and R^2 of the rest, from a factor's coordinates and from others."""
    (learnt, known), (asked, truth) = (_codes(run, part) for part in ("train", split))
    hook: Any = run.parts.hooks[0]
    if run.parts.active is None:
        raise ValueError("the run has no active factors; expected one of dc-ign")
    data, found = run.split("train"), {}
    for number, (name,) in enumerate(run.parts.active.kinds):
        column = data.factor_names.index(name)
        for key, chosen in (("own", hook.kind == number), ("others", hook.kind != number)):
            told = told_condition(
                learnt[:, chosen],
                known[:, column],
                asked[:, chosen],
                truth[:, column],
                discrete=name == "shape",
                probes=("mlp",),
            )
            found[f"{name} {key}"] = told.score["mlp"]
    return {"told": found}


def _codes(run: Run, part: str) -> tuple[Tensor, Tensor]:
    """Samples of codes: means of coordinates that hold nothing still differ, and probes see it."""
    data = run.split(part)
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(1))[:PROBED]
    batches = Batches(data.take(chosen), 500, shuffle=False, device=run.device)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        codes = torch.cat([run.guide(batch["x"]).cpu() for batch in batches])
    return codes, data.annotations()["factors"][chosen]


def finish(row: Row, out: Path, *, progress: bool) -> dict[str, Any]:
    """Do what `Row.finish` says."""
    return row.finish(
        out,
        lambda run: judge(run, row.split),
        "dc-ign",
        DATA,
        options={**OPTIONS, **ROWS[row.method]},
        data_options=DATA_OPTIONS,
        progress=progress,
        **TRAIN,
    )


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print means over seeds."""
    seeds = sorted({row["seed"] for row in rows})
    print(f"\n### {DATA}, {rows[0]['steps']} steps, {rows[0]['split']}, seeds {seeds}\n")
    print("| row | factor | from its own coordinates | from all others |")
    print("|---|---|---|---|")
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = [row["told"] for row in rows if row["method"] == name]
        for factor in dict.fromkeys(key.rsplit(" ", 1)[0] for key in mine[0]):
            cells = [
                mean_and_spread([told[f"{factor} {where}"] for told in mine])
                for where in ("own", "others")
            ]
            print(f"| {name} | {factor} | " + " | ".join(cells) + " |", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows, print a table, and write all rows as JSON."""
    parser = table_parser(__doc__, ROWS, out="runs/active", shown=["filtered"], steps=STEPS)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    rows = []
    for seed in given.seeds:
        for name in given.rows:
            row = Row(f"active-{DATA}", name, seed, given.steps, given.split)
            rows.append(finish(row, given.out, progress=sys.stderr.isatty()))
            shown = ("method", "seed", "training_seconds", "told")
            print(json.dumps({key: rows[-1][key] for key in shown}), flush=True)
    print_table(rows)
    write_json_atomically(given.out / "rows.json", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
