"""Objects of COIL-20 turned by actions: squared errors by angle, beside those of a copied view.

Run: python -m benchmarks.action_rotation

All objects train at the angles 5, 15, ... 355 degrees. They are judged at 0, 10, ... 350 degrees,
which no training clip shows, neither as the view that is given nor as one that is asked for: from
every such view, either way, by 10 to 90 degrees and by 180. A row has passed where the squared
error of the turned view is at most two thirds of that of the view itself, at each of these angles
up to 90. `--split validation` judges the four objects by which settings were chosen.
Finished rows are kept under --out and not run again; one that was stopped goes on where it was.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from unbraid import Run, load
from unbraid.analysis import rotation_errors
from unbraid.inference import write_json_atomically

from .label_run import mean_and_spread
from .rows import Row, table_parser

SETTING = "coil20-32x32"
STEP = 10  # degrees
ANGLES = (*range(10, 100, STEP), 180)
FARTHEST = 90  # degrees, up to which rows are to pass
MOST = 2 / 3  # of the error of a copied view
DATA = {"turns": True, "size": 32}
TRAIN = {"batch_size": 20}


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        steps: Steps of its training: as many frames are decoded in all rows.
        options: Options of the method.
    """

    steps: int
    options: dict[str, Any] = field(default_factory=dict)


STAGES = {"stage_steps": (1000,)}
VARIANTS = {
    "tensor": Variant(5000, STAGES),
    "planes": Variant(5000, {**STAGES, "turn": "planes"}),
    "tensor-at-once": Variant(2118, {"curriculum": (16,)}),
    "tensor-one-step": Variant(18_000, {"curriculum": (1,)}),
}
ROWS = ("tensor", "planes", "tensor-at-once")


def judge(run: Run, split: str) -> dict[str, Any]:
    """Errors by angle, and at how many objects a row passes at each."""
    data = run.split(split)
    turns = data.pixels(torch.arange(len(data))).to(run.device).float() / 255
    steps = [angle // STEP for angle in ANGLES]
    found = rotation_errors(run.model, run.guide, turns, steps)  # angles grow
    passing = (found.by_object <= MOST * found.copied_by_object).sum(1).tolist()
    ratios = [a / b for a, b in zip(found.turned, found.copied, strict=True)]
    return {
        "angles": list(ANGLES),
        "objects": turns.shape[0],
        "turned": list(found.turned),
        "copied": list(found.copied),
        "ratios": ratios,
        "objects_passing": passing,
        "passed": all(r <= MOST for r, a in zip(ratios, ANGLES, strict=True) if a <= FARTHEST),
    }


def finish(row: Row, out: Path, *, progress: bool) -> dict[str, Any]:
    """Do what `Row.finish` says."""
    return row.finish(
        out,
        lambda run: judge(run, row.split),
        "action-rotation",
        "coil20",
        data_options=DATA,
        options=VARIANTS[row.method].options,
        progress=progress,
        **TRAIN,
    )


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print errors by angle, means over seeds, and who has passed."""
    seeds = sorted({row["seed"] for row in rows})
    first = rows[0]
    print(f"\n### {SETTING}, {first['split']}: {first['objects']} objects, seeds {seeds}\n")
    print("| mean squared error | " + " | ".join(f"{a}\N{DEGREE SIGN}" for a in ANGLES) + " |")
    print("|---" * (len(ANGLES) + 1) + "|")
    print("| the view itself | " + " | ".join(f"{e:.4f}" for e in first["copied"]) + " |")
    for kind, name in (("turned", ""), ("ratios", ", share of it"), ("objects_passing", "")):
        for method in dict.fromkeys(row["method"] for row in rows):
            mine = [row for row in rows if row["method"] == method]
            values = zip(*(row[kind] for row in mine), strict=True)
            if kind == "objects_passing":
                label = f"{method}, objects that pass"
                cells = ["/".join(map(str, each)) for each in values]
            elif kind == "ratios":
                label, cells = method + name, [mean_and_spread(list(v)) for v in values]
            else:
                label = method + name
                cells = [f"{sum(each) / len(each):.4f}" for each in values]
            print(f"| {label} | " + " | ".join(cells) + " |")
    print(f"\nto pass: at most {MOST:.3f} of the view's own error up to {FARTHEST} degrees")
    for row in rows:
        verdict = "passed" if row["passed"] else "missed"
        print(
            f"{row['method']}, seed {row['seed']}: {verdict}; {row['steps']} steps, "
            f"{row['training_seconds']} s of CPU time"
        )
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows, print a table, and write all rows as JSON."""
    parser = table_parser(__doc__, VARIANTS, out="runs/action-rotation", shown=ROWS)
    parser.add_argument("--picture", type=Path, help="of the first row")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    rows = []
    for seed in given.seeds:
        for name in given.rows:
            steps = given.steps or VARIANTS[name].steps
            row = Row(SETTING, name, seed, steps, given.split)
            rows.append(finish(row, given.out, progress=sys.stderr.isatty()))
            told = {key: rows[-1][key] for key in ("method", "seed", "training_seconds")}
            print(json.dumps({**told, "ratios": rows[-1]["ratios"]}), flush=True)
    print_table(rows)
    write_json_atomically(given.out / f"{SETTING}.json", rows)
    if given.picture is not None:
        run = load(given.out / SETTING / f"{given.rows[0]}-{given.seeds[0]}")
        run.report()
        given.picture.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run.folder / "figures" / "turns.png", given.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
