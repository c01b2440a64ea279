"""Groups in two codes: what probes tell from the shared code and from the items' own.

Run: python -m benchmarks.group_table --settings sprites pairs --seeds 0 1 2
Finished rows are kept under --out and not run again; one that was stopped goes on where it was.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from unbraid import Run
from unbraid.analysis import KnownSequences, leakage
from unbraid.inference import write_json_atomically

from .label_run import mean_and_spread
from .rows import Row, table_parser
from .sequence_scores import Shown, show


@dataclass(frozen=True)
class Setting:
    """One data set: what is trained on it, and how it is judged.

    Attributes:
        data: Name of the data.
        data_options: Options of the data.
        options: Options of every row.
        train: Settings of the training.
        steps: Steps of a row.
        probed: Items of each group that probes are given; 1 tells the shared code from one item.
        learnt: Groups that probes learn from, at most.
        numbers: Factors that are told as numbers, by R^2, though they have classes.
    """

    data: str
    data_options: Mapping[str, Any]
    options: Mapping[str, Any]
    train: Mapping[str, Any]
    steps: int
    probed: int
    learnt: int = 8000
    numbers: tuple[str, ...] = ()


NUMBERS = ("scale", "orientation", "position x", "position y")

SETTINGS = {
    "sprites": Setting(
        "sprites",
        {"size": 32},
        {
            "static_dim": 16,
            "dynamic_dim": 4,
            "frames": 4,
            "likelihood": "normal",
            "hidden": (512,),
            "join": "modulate",
            "warmup": 500,
        },
        {"batch_size": 24, "clip_norm": 1000.0},
        steps=5000,
        probed=16,
    ),
    "pairs-but-place": Setting(
        "dsprites",
        {
            "size": 32,
            "groups": ("shape", "scale", "orientation", "position y"),
            "group_size": 2,
        },
        {
            "nets": "mlp",
            "hidden": (512, 512),
            "static_dim": 10,
            "dynamic_dim": 1,
            "frames": 2,
            "warmup": 1000,
        },
        {"batch_size": 64},
        steps=18_000,
        probed=2,
        learnt=80_000,
        numbers=NUMBERS,
    ),
    "pairs-of-shape": Setting(
        "dsprites",
        {"size": 32, "groups": ("shape",), "group_size": 2},
        {
            "nets": "mlp",
            "hidden": (512, 512),
            "static_dim": 2,
            "dynamic_dim": 4,
            "frames": 2,
            "warmup": 1000,
        },
        {"batch_size": 64},
        steps=18_000,
        probed=2,
        learnt=80_000,
        numbers=NUMBERS,
    ),
}
ROWS: dict[str, dict[str, Any]] = {
    "product": {},
    "product-of-items": {"accumulate": "product-of-items"},
    "mean": {"accumulate": "mean"},
}
"""By name: options of the group VAE beside those of the setting."""


def judge(run: Run, setting: Setting, split: str) -> dict[str, Any]:
    """What fresh probes tell of groups and of items, from the shared code and from items' own."""
    learnt = show(run, "train", setting.probed, 1, False, setting.learnt)
    asked = show(run, split, setting.probed, 0, False)
    data = run.split("train")
    sizes = dict(zip(data.factor_names, data.factor_sizes, strict=True))
    sizes |= dict(zip(data.frame_factor_names, data.frame_factor_sizes, strict=True))
    sizes |= {"label": len(data.label_names)} if data.label_names else {}
    of_groups = [name for name in learnt.content if sizes[name] != 1]
    of_items = [name for name in learnt.pose if sizes[name] != 1]
    told = leakage(
        _known(learnt, of_groups, of_items),
        _known(asked, of_groups, of_items),
        sequence_names=of_groups,
        sequence_sizes=[0 if name in setting.numbers else sizes[name] for name in of_groups],
        frame_names=of_items,
        frame_sizes=[0 if name in setting.numbers else sizes[name] for name in of_items],
        max_rows=max(setting.learnt, 10_000),
    )
    return {"told": told.table()}


def _known(shown: Shown, of_groups: Sequence[str], of_items: Sequence[str]) -> KnownSequences:
    """Codes, and of what is known the factors that are named: those that vary."""
    groups = [shown.content[name] for name in of_groups]
    items = [shown.pose[name] for name in of_items]
    return replace(
        shown.known,
        sequence_factors=torch.stack(groups, 1) if groups else None,
        frame_factors=torch.stack(items, -1) if items else None,
    )


def finish(row: Row, out: Path, *, progress: bool) -> dict[str, Any]:
    """Do what `Row.finish` says."""
    setting = SETTINGS[row.setting]
    return row.finish(
        out,
        lambda run: judge(run, setting, row.split),
        "group-vae",
        setting.data,
        options={**setting.options, **ROWS[row.method]},
        data_options=setting.data_options,
        progress=progress,
        validate_every=row.steps,
        **setting.train,
    )


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print means over seeds, a table per setting: accuracies, or R^2 of numbers."""
    for setting in dict.fromkeys(row["setting"] for row in rows):
        chosen = [row for row in rows if row["setting"] == setting]
        seeds = sorted({row["seed"] for row in chosen})
        print(
            f"\n### {setting}, {chosen[0]['steps']} steps, {chosen[0]['split']}, seeds {seeds}\n"
        )
        print("| row | of | factor | from the shared code | from an item's own | a guess |")
        print("|---|---|---|---|---|---|")
        for name in dict.fromkeys(row["method"] for row in chosen):
            mine = [row["told"] for row in chosen if row["method"] == name]
            for line in _lines(mine):
                print(f"| {name} | {line} |", flush=True)


def _lines(told: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    lines = []
    of = {"content": "group", "pose": "item"}
    for key in dict.fromkeys((p["about"], p["factor"], p["discrete"]) for p in told[0]):
        scores: dict[str, list[float]] = {"static": [], "dynamic": []}
        chance = 0.0
        for probe in (p for seed in told for p in seed):
            if (probe["about"], probe["factor"], probe["discrete"]) == key:
                scores[probe["codes"]].append(probe["score"])
                chance = probe["chance"]
        cells = [mean_and_spread(scores[codes]) for codes in ("static", "dynamic")]
        guess = f"{chance:.3f}" if key[2] else "R²"
        lines.append(" | ".join([of[key[0]], key[1], *cells, guess]))
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows, print a table, and write all rows as JSON."""
    parser = table_parser(__doc__, ROWS, out="runs/groups", shown=["product"])
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    rows = []
    for setting in given.settings:
        steps = given.steps or SETTINGS[setting].steps
        for seed in given.seeds:
            for name in given.rows:
                row = Row(setting, name, seed, steps, given.split)
                rows.append(finish(row, given.out, progress=sys.stderr.isatty()))
                shown = ("setting", "method", "seed", "training_seconds")
                print(json.dumps({key: rows[-1][key] for key in shown}), flush=True)
    print_table(rows)
    write_json_atomically(given.out / "rows.json", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
