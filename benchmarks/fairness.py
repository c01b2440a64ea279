"""Red and green digits: what predictions and codes give away, each method against none.

Run: python -m benchmarks.fairness --seeds 0 1 2
Finished rows are kept under --out and not run again; one that was stopped goes on where it was.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from unbraid import Run
from unbraid.analysis import attribute_probe, fairness
from unbraid.inference import write_json_atomically

from .label_run import Task, Variant, codes, finish, known, mean_and_spread, predictions
from .rows import Row, table_parser

ATTRIBUTE = "colour"
TASK = Task(
    "coloured-digits",
    {"correlation": 0.8},
    {
        "attribute": ATTRIBUTE,
        "nets": "conv",
        "channels": (16, 32),
        "hidden": (128,),
        "latent_dim": 16,
        "critic_hidden": (64, 64),
        "warmup": 500,
    },
    {"batch_size": 128, "schedule": "constant"},
    2000,
)
METHOD = "fair"
ROWS = {
    "none": Variant(METHOD, {"kind": "none"}),
    "edwards-storkey": Variant(
        METHOD,
        {"kind": "edwards-storkey", "weight": 1.0, "reconstruction": 1e-4, "likelihood": "normal"},
    ),
    "beutel": Variant(METHOD, {"kind": "beutel", "notion": "opportunity", "weight": 1.0}),
    "zhang-parity": Variant(METHOD, {"kind": "zhang", "weight": 1.0}),
    "zhang-odds": Variant(METHOD, {"kind": "zhang", "notion": "odds", "weight": 1.0}),
    "laftr-parity": Variant(METHOD, {"kind": "laftr", "weight": 1.0}),
    "laftr-odds": Variant(METHOD, {"kind": "laftr", "notion": "odds", "weight": 0.5}),
}
GAPS = ("accuracy", "parity_gap", "odds_gap", "mean_odds_gap", "opportunity_gap")


def judge(run: Run, split: str) -> dict[str, Any]:
    """Accuracy, gaps, and what fresh probes tell of the colour, beside the label and given it."""
    train, data = run.split("train"), run.split(split)
    labels, colour = known(data, ATTRIBUTE)
    train_labels, train_colour = known(train, ATTRIBUTE)
    parts = (codes(run, train), train_colour, codes(run, data), colour)
    given = attribute_probe(*parts, train_labels=train_labels, test_labels=labels)
    return {
        **asdict(fairness(predictions(run, data), labels, colour)),
        "probe": asdict(attribute_probe(*parts)),
        "probe_given_label": asdict(given),
    }


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print means over seeds."""
    seeds = sorted({row["seed"] for row in rows})
    print(f"\n### {rows[0]['steps']} steps, {rows[0]['split']} digits, seeds {seeds}\n")
    print(
        "| row | accuracy | parity gap | odds gap | mean odds gap | opportunity gap "
        "| probe of the colour | given the label |\n|---|---|---|---|---|---|---|---|"
    )
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == name]
        cells = [mean_and_spread([row[gap] for row in mine]) for gap in GAPS]
        cells += [
            mean_and_spread([row[probe]["accuracy"] for row in mine])
            for probe in ("probe", "probe_given_label")
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\na probe that guesses: {rows[0]['probe']['chance']:.3f}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows, print a table, and write all rows as JSON."""
    parser = table_parser(__doc__, ROWS, out="runs/fairness", steps=TASK.steps)
    parser.add_argument("--digits", choices=["mnist-small", "mnist"], default="mnist-small")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    task = replace(TASK, data_options={**TASK.data_options, "digits_from": given.digits})
    rows = []
    for seed in given.seeds:
        for name in given.rows:
            row = Row(f"colour-{given.digits}", name, seed, given.steps, given.split)
            progress = sys.stderr.isatty()
            rows.append(finish(row, task, ROWS[name], given.out, judge, progress=progress))
            shown = ("method", "seed", *GAPS, "training_seconds")
            print(json.dumps({key: rows[-1][key] for key in shown}), flush=True)
    print_table(rows)
    write_json_atomically(given.out / f"colour-{given.digits}.json", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
