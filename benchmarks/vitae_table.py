"""The poster's comparison: VAE, beta-VAE, beta-TCVAE, DIP-VAE-II, U-VITAE and C-VITAE.

Run: python -m benchmarks.vitae_table --data mnist-grey --seeds 0 1
Finished rows are kept under --out and not run again; one that was stopped goes on where it was.
All rows of a data set have equally many parameters (2 %), and are judged on the same test images.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from .rows import Row, add_mode
from .vitae_print import print_row, print_table
from .vitae_run import finish
from .vitae_settings import ROWS, SETTINGS


def rows_of(given: argparse.Namespace) -> list[Row]:
    """Return the rows that were asked for: by seed, so that whole tables come early."""
    return [
        Row(
            setting,
            method,
            seed,
            given.steps or max(round(given.share * SETTINGS[setting].steps), 1),
            given.split,
        )
        for setting in given.data
        for seed in given.seeds
        for method in given.methods
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows and print a table per data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=list(SETTINGS), default=["mnist-grey"])
    parser.add_argument("--methods", nargs="+", choices=list(ROWS), default=list(ROWS)[::-1])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--share", type=float, default=1 / 3, help="of the steps in full")
    parser.add_argument("--steps", type=int, help="in place of a share")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--out", type=Path, default=Path("runs/vitae-table"))
    parser.add_argument("--print", action="store_true", help="what is there, and run nothing")
    parser.add_argument("--threads", type=int, default=1)
    add_mode(parser)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    found: list[dict[str, Any]] = []
    for row in rows_of(given):
        if given.print and not (row.folder(given.out) / "row.json").exists():
            continue
        found.append(finish(row, given.out, mode=given.mode, progress=sys.stderr.isatty()))
        print_row(found[-1])
    for setting in given.data:
        print_table(setting, [row for row in found if row["setting"] == setting], given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
