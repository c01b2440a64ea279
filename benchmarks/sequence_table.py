"""Methods of sequences side by side: what each code knows, what swaps keep, and joint log p(x).

Run: python -m benchmarks.sequence_table --data sprites --rows static-dynamic --seeds 0
Finished rows are kept under --out and not run again; one that was stopped goes on where it was.
With --judge DIR a run that was trained otherwise is judged as the rows of --data are.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from .rows import Row, add_mode, table_parser
from .sequence_run import finish, judge_folder
from .sequence_scores import LEAKAGE
from .sequence_settings import ROWS, SETTINGS


def print_row(row: dict[str, Any]) -> None:
    """Print what is known of a finished row."""
    judged = row["evaluation"]
    print(
        f"\n### {row['setting']}: {row['method']}, seed {row['seed']}, {row['steps']} steps, "
        f"{row['split']} sequences\n\n"
        f"{row['parameters']:,} parameters, {_seconds(row)}joint "
        f"log p(x) of {judged['frames']} frames {judged['log_likelihood']:.1f} ± "
        f"{judged['log_likelihood_se']:.1f}, ELBO {judged['elbo']:.1f}, n {judged['n']}\n"
    )
    for name in LEAKAGE:
        if name in row:
            _print_leakage(name, row[name])
    for judge in ("nearest rendering", "judge", "tolerant judge"):
        for name, rows in row.get(judge, {}).items():
            print(f"\n| the {judge} sees, {name} | share | real | chance |\n|---|---|---|---|")
            for told in rows:
                share = f"{told['share']:.3f} ± {told['standard_error']:.3f}"
                real = f"{told['ceiling']:.3f} | {told['chance']:.3f}"
                print(f"| {told['name']} | {share} | {real} |")
    print("\n| encoded again | distance | to the other's | nearer to its own |\n|---|---|---|---|")
    for name, parts in row["recovery"].items():
        for part, found in parts.items():
            print(
                f"| {part} of a {name} | {found['distance']:.3f} | {found['other']:.3f} "
                f"| {found['nearer']:.3f} |"
            )
    sys.stdout.flush()


def _print_leakage(name: str, probes: list[dict[str, Any]]) -> None:
    print(f"\n| {name} | from static | chance | from dynamic | chance |\n|---|---|---|---|---|")
    for about in ("content", "pose"):
        mine = [probe for probe in probes if probe["about"] == about]
        for factor in dict.fromkeys((p["factor"], p["discrete"]) for p in mine):
            cells = [f"{about}: {factor[0]}{'' if factor[1] else ' (R²)'}"]
            for codes in ("static", "dynamic"):
                (probe,) = (
                    p for p in mine if (p["factor"], p["discrete"], p["codes"]) == (*factor, codes)
                )
                cells += [
                    f"{probe['score']:.3f} ± {probe['standard_error']:.3f}",
                    f"{probe['chance']:.3f}",
                ]
            print("| " + " | ".join(cells) + " |")


def _seconds(row: dict[str, Any]) -> str:
    seconds = row["training_seconds"]
    return "" if seconds is None else f"{seconds} s of training; "


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows and print a table for each."""
    parser = table_parser(__doc__, ROWS, out="runs/sequence-table")
    parser.add_argument("--data", nargs="+", choices=list(SETTINGS), default=["sprites"])
    parser.add_argument("--judge", type=Path, help="the folder of a run")
    add_mode(parser)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    progress = sys.stderr.isatty()
    if given.judge is not None:
        print_row(judge_folder(given.judge, given.data[0], given.split, progress=progress))
        return 0
    for setting in given.data:
        for seed in given.seeds:
            for name in given.rows:
                steps = given.steps or SETTINGS[setting].steps
                row = Row(setting, name, seed, steps, given.split)
                print_row(finish(row, given.out, mode=given.mode, progress=progress))
    return 0


if __name__ == "__main__":
    sys.exit(main())
