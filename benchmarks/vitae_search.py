"""What searched codes and fitted Normals add to the guides of `vitae_table`.

Run: python -m benchmarks.vitae_search --data mnist-grey --methods c-vitae --seeds 0 1
With --starts 3, seed 0 stands for trainings of seeds 0 to 2, seed 1 for those of 3 to 5 and so on,
and of each three only the one with the best bound on validation data is judged.
Takes rows of `vitae_table` (and trains those that are not there), searches a perspective for every
image, and asks the five nearest neighbours for the class, as the table does. Where the setting has
a likelihood, log p(x) is estimated once more, from Normals fitted to each image, and compared with
c-vitae's on the same images. What was found is kept beside the row.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unbraid
from unbraid import Run
from unbraid.analysis import knn_accuracy, search_codes
from unbraid.data import Batches
from unbraid.inference import fitted_log_likelihood, write_json_atomically

from .rows import DATA_SEED, Row, add_mode
from .vitae_run import best_start, finish
from .vitae_scores import codes_of, scored
from .vitae_settings import BASE, ROWS, SETTINGS, VITAE, Setting

ROUNDS, CANDIDATES, CHUNK = 4, 20, 250
FOUND, VALUES = "search.json", "fitted.npz"


def searched(run: Run, setting: Setting, split: str, seed: int = 0) -> dict[str, Any]:
    """Accuracy of the class by site, from the guide's means and from searched codes."""
    known = scored(run, setting, "train", setting.train_codes, seed + 1)
    asked = scored(run, setting, split, setting.test_codes, seed)
    found: dict[str, Any] = {}
    parts = [part.images.split(CHUNK) for part in (known, asked)]
    better = [
        search_codes(
            run.model,
            run.guide,
            [part.to(run.device) for part in of],
            site="perspective",
            rounds=ROUNDS,
            candidates=CANDIDATES,
            seed=seed,
        )
        for of in parts
    ]
    codes = {
        "guide": [codes_of(run, part.images) for part in (known, asked)],
        "searched": [part.codes for part in better],
    }
    for name, (learnt, judged) in codes.items():
        told = {s: knn_accuracy(learnt[s], known.labels, judged[s], asked.labels) for s in learnt}
        found[name] = {site: [one.accuracy, one.standard_error] for site, one in told.items()}
    found["gain"] = float(better[1].gain.mean())
    return found


def fitted(run: Run, setting: Setting, split: str, folder: Path) -> dict[str, Any]:
    """Summary of log p(x) from fitted Normals, of the images that the table judges."""
    dataset = run.split(split).take(torch.arange(setting.images))
    result = fitted_log_likelihood(
        run.model,
        run.guide,
        Batches(dataset, 100, shuffle=False, device=run.device),
        samples=setting.samples,
        seed=DATA_SEED,
        likelihood=run.parts.likelihood,
    )
    np.savez(folder / VALUES, log_likelihood=result.log_likelihood.cpu().numpy())
    return result.summary()


def row_of(row: Row, out: Path, mode: str | None) -> dict[str, Any]:
    """Search one row, or return what is kept of it."""
    folder = row.folder(out)
    table = finish(row, out, mode=mode, progress=sys.stderr.isatty())
    kept = folder / FOUND
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    run, setting = unbraid.load(folder), SETTINGS[row.setting]
    found: dict[str, Any] = {"method": row.method, "seed": row.seed, "images": table["images"]}
    if row.method in VITAE:
        found |= searched(run, setting, row.split)
    if table["evaluation"]["is_likelihood"]:
        found["before"] = table["evaluation"]["log_likelihood"]
        found["fitted"] = fitted(run, setting, row.split, folder)
    write_json_atomically(kept, found)
    return found


def chosen(row: Row, starts: int, out: Path, mode: str | None) -> Row:
    """Return the row of the best start, saying how good all of them were."""
    if starts == 1:
        return row
    best, bounds = best_start(row, starts, out, mode=mode, progress=sys.stderr.isatty())
    first = row.seed * starts
    told = ", ".join(f"{first + start}: {bound:.2f}" for start, bound in enumerate(bounds))
    print(f"`{row.method}`, validation bounds of seeds {told}; seed {best.seed} is judged")
    return best


def print_search(rows: Sequence[dict[str, Any]]) -> None:
    """Print the classes' accuracies, before and after."""
    rows = [row for row in rows if "searched" in row]
    if not rows:
        return
    print("\n| method, seed | codes | appearance | perspective | gain, nats |")
    print("|---|---|---|---|---|")
    for row in rows:
        for name, gain in (("guide", ""), ("searched", f"{row['gain']:.2f}")):
            told = " | ".join(
                f"{row[name][site][0]:.3f} ± {row[name][site][1]:.3f}"
                for site in ("appearance", "perspective")
            )
            print(f"| `{row['method']}`, {row['seed']} | {name} | {told} | {gain} |")


def print_fitted(rows: Sequence[dict[str, Any]], setting: str, out: Path) -> None:
    """Print log p(x) before and after, and c-vitae's minus it, means over seeds, paired."""
    rows = [row for row in rows if "fitted" in row]
    if not rows:
        return

    def values(of: Sequence[dict[str, Any]]) -> np.ndarray:
        folders = [Row(setting, row["method"], row["seed"], 1).folder(out) for row in of]
        return np.mean([np.load(folder / VALUES)["log_likelihood"] for folder in folders], axis=0)

    base = [row for row in rows if row["method"] == BASE]
    print(f"\n| method, seeds | from the guide | from fitted Normals | {BASE} minus it | ", end="")
    print("k-hat above 0.7 |\n|---|---|---|---|---|")
    for method in ROWS:
        mine = [row for row in rows if row["method"] == method]
        if not mine:
            continue
        difference = ""
        if base and method != BASE and len({row["images"] for row in (*mine, *base)}) == 1:
            by_image = values(base) - values(mine)
            error = by_image.std(ddof=1) / math.sqrt(len(by_image))
            difference = f"{by_image.mean():+.2f} ± {error:.2f}"
        told = [", ".join(f"{row['before']:.2f}" for row in mine)]
        told += [", ".join(f"{row['fitted']['log_likelihood']:.2f}" for row in mine), difference]
        told += [", ".join(f"{row['fitted']['pareto_k_unreliable']:.2f}" for row in mine)]
        seeds = " ".join(str(row["seed"]) for row in mine)
        print(f"| `{method}`, {seeds} | " + " | ".join(told) + " |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Search the rows and print a table per data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", choices=list(SETTINGS), default="mnist-grey")
    parser.add_argument("--methods", nargs="+", choices=list(ROWS), default=[BASE])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--starts", type=int, default=1, help="trainings of each seed")
    parser.add_argument("--share", type=float, default=1 / 3, help="of the steps in full")
    parser.add_argument("--steps", type=int, help="in place of a share")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--out", type=Path, default=Path("runs/vitae-table"))
    add_mode(parser)
    given = parser.parse_args(arguments)
    if given.starts < 1:
        parser.error(f"--starts is {given.starts}; expected at least 1")
    torch.set_num_threads(1)
    steps = given.steps or max(round(given.share * SETTINGS[given.data].steps), 1)
    rows = [
        Row(given.data, method, seed, steps, given.split)
        for seed in given.seeds
        for method in given.methods
    ]
    found = []
    for row in rows:
        best = chosen(row, given.starts, given.out, given.mode)
        found.append(row_of(best, given.out, given.mode))
    print_search(found)
    print_fitted(found, given.data, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
