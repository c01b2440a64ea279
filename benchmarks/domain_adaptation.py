"""Digits of one domain labelled, those of another judged: three targets of the adversary.

Run: python -m benchmarks.domain_adaptation --tasks coloured --seeds 0 1 2
Finished rows are kept under --out and not run again; one that was stopped goes on where it was.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import torch

from unbraid import Run
from unbraid.inference import write_json_atomically

from .label_run import Task, Variant, finish, known, mean_and_spread, predictions
from .rows import Row, table_parser

OPTIONS = {
    "nets": "conv",
    "channels": (16, 32),
    "hidden": (128,),
    "latent_dim": 32,
    "critic_hidden": (100,),
    "critic_noise": 0.3,
    "warmup": 500,
}
# A shallow encoder cannot match the classes wrongly: an early code differs by domain in brightness
# alone, which the critic takes out, and the head, shared by the domains, tells the classes.
SHALLOW = {**OPTIONS, "standardised": True, "hidden": (), "latent_dim": 64, "head_hidden": (128,)}
TRAIN = {"batch_size": 64, "schedule": "constant"}
DATA = "mnist-domains"
TASKS = {
    "inverted": Task(DATA, {"target": "inverted"}, SHALLOW, TRAIN, 3000),
    "inverted-few": Task(
        DATA, {"target": "inverted", "labels_per_class": 10}, OPTIONS, TRAIN, 3000
    ),
    "coloured": Task(DATA, {"target": "coloured", "brightness": 0.5}, OPTIONS, TRAIN, 3000),
    "coloured-bright": Task(DATA, {"target": "coloured"}, OPTIONS, TRAIN, 3000),
}
METHOD = "domain-adaptation"
ROWS = {
    "source-only": Variant(METHOD, {"target": "none"}),
    "target-trained": Variant(METHOD, {"target": "none"}, {"labelled": "target"}),
    "reverse": Variant(METHOD, {"target": "reverse", "weight": 0.2}),
    # Of both domains' codes, at weight 0.1, it drove all target digits to one class.
    "flip": Variant(METHOD, {"target": "flip", "weight": 0.2, "moved": "target"}),
    "uniform": Variant(METHOD, {"target": "uniform", "weight": 0.1, "moved": "target"}),
}
# Chosen on validation digits of several seeds, of which each pair of settings saw one to three.
INVERTED = {
    "reverse": Variant(METHOD, {"target": "reverse", "weight": 0.5, "moved": "target"}),
    "flip": Variant(METHOD, {"target": "flip", "weight": 0.3, "moved": "target"}),
    "uniform": Variant(METHOD, {"target": "uniform", "weight": 0.5, "warmup": 0}),
}


def judge(run: Run, split: str) -> dict[str, Any]:
    """Accuracy on each domain, and of a guess at the target: its commonest class."""
    data = run.split(split)
    labels, domain = known(data, "domain")
    right = (predictions(run, data) == labels).double()
    guess = labels[domain == 1].bincount().max() / (domain == 1).sum()
    return {
        "source_accuracy": float(right[domain == 0].mean()),
        "target_accuracy": float(right[domain == 1].mean()),
        "guess": float(guess),
    }


def closed(rows: Sequence[dict[str, Any]], name: str, seed: int) -> float | None:
    """Share of the gap from source-only to target-trained that a row closes; None without both."""
    told = {row["method"]: row["target_accuracy"] for row in rows if row["seed"] == seed}
    if not {"source-only", "target-trained", name} <= set(told):
        return None
    low, high = told["source-only"], told["target-trained"]
    return (told[name] - low) / (high - low)


def print_table(task: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print means over seeds."""
    seeds = sorted({row["seed"] for row in rows})
    print(f"\n### {task}, {rows[0]['steps']} steps, {rows[0]['split']} digits, seeds {seeds}\n")
    print(
        "| row | accuracy on the source | on the target | of the gap closed |\n|---|---|---|---|"
    )
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == name]
        shares = [closed(rows, name, row["seed"]) for row in mine]
        shown = [share for share in shares if share is not None]
        cells = [
            mean_and_spread([row["source_accuracy"] for row in mine]),
            mean_and_spread([row["target_accuracy"] for row in mine]),
            mean_and_spread(shown) if shown else "",
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\nguessing the commonest class: {rows[0]['guess']:.3f}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows, print a table for each task, and write all rows as JSON."""
    parser = table_parser(__doc__, ROWS, out="runs/domain-adaptation")
    parser.add_argument(
        "--tasks", nargs="+", choices=list(TASKS), default=["inverted", "coloured"]
    )
    parser.add_argument("--digits", choices=["mnist-small", "mnist"], default="mnist-small")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    for name in given.tasks:
        rows = []
        for seed in given.seeds:
            for variant in given.rows:
                rows.append(_row(name, variant, seed, given))
                print(json.dumps({k: rows[-1][k] for k in SHOWN}), flush=True)
        print_table(name, rows)
        write_json_atomically(given.out / f"{name}-{given.digits}.json", rows)
    return 0


SHOWN = ("setting", "method", "seed", "source_accuracy", "target_accuracy", "training_seconds")


def _row(name: str, variant: str, seed: int, given: Namespace) -> dict[str, Any]:
    task = TASKS[name]
    task = Task(
        task.data,
        {**task.data_options, "digits_from": given.digits},
        task.options,
        task.train,
        given.steps or task.steps,
    )
    row = Row(f"{name}-{given.digits}", variant, seed, task.steps, given.split)
    chosen = INVERTED.get(variant) if name == "inverted" else None
    return finish(
        row, task, chosen or ROWS[variant], given.out, judge, progress=sys.stderr.isatty()
    )


if __name__ == "__main__":
    sys.exit(main())
