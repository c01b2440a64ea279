"""The lines and tables that `vitae_table` prints."""

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .rows import VALUES, Row
from .vitae_settings import BASE, ROWS, SETTINGS


def print_row(row: dict[str, Any]) -> None:
    """Print one line for a finished row."""
    judged = row["evaluation"]
    accuracies = ", ".join(f"{site} {value:.3f}" for site, value in row["accuracy"].items())
    print(
        f"{row['setting']} {row['method']} seed {row['seed']}: "
        f"log p {judged['log_likelihood']:.2f} +- {judged['log_likelihood_se']:.2f}, "
        f"ELBO {judged['elbo']:.2f}, class from {accuracies}, D {row['disentanglement']:.2f}, "
        f"{row['parameters']:,} parameters, {row['training_seconds']} s",
        flush=True,
    )


def print_table(setting: str, rows: Sequence[dict[str, Any]], out: Path) -> None:
    """Print the rows of a data set in Markdown: means over seeds, and their deviations."""
    if not rows:
        return
    judged = rows[0]["evaluation"]
    kind = "log p(x)" if judged["is_likelihood"] else "not a likelihood: cross-entropy"
    print(
        f"\n### {setting}: {SETTINGS[setting].data}, {judged['n']} {rows[0]['split']} images, "
        f"K = {judged['samples']}, {rows[0]['steps']} steps of "
        f"{SETTINGS[setting].batch_size}; {kind}\n"
    )
    names = ["ELBO", kind.split(":")[0], f"{BASE} minus it", "class from its code", "perspective"]
    names += ["unwarped", "D", "C", "I", "parameters", "seeds"]
    print("| method | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
    for method in ROWS:
        mine = [row for row in rows if row["method"] == method]
        if mine:
            base = [row for row in rows if row["method"] == BASE]
            print(f"| `{method}` | " + " | ".join(_cells(mine, base, out)) + " |", flush=True)
    _print_pose(rows)


def _cells(mine: list[dict[str, Any]], base: list[dict[str, Any]], out: Path) -> list[str]:
    def mean(values: Iterable[float | None]) -> str:
        known = [value for value in values if value is not None]
        if not known:
            return ""
        spread = f" ± {statistics.stdev(known):.2g}" if len(known) > 1 else ""
        digits = 2 if abs(known[0]) > 10 else 3
        return f"{statistics.mean(known):.{digits}f}{spread}"

    def accuracy(*sites: str) -> str:
        return mean(
            next((r["accuracy"][site] for site in sites if site in r["accuracy"]), None)
            for r in mine
        )

    errors = [r["evaluation"]["log_likelihood_se"] for r in mine]
    bound_errors = [r["evaluation"]["elbo_se"] for r in mine]
    return [
        f"{mean(r['evaluation']['elbo'] for r in mine)} (se {max(bound_errors):.2f})",
        f"{mean(r['evaluation']['log_likelihood'] for r in mine)} (se {max(errors):.2f})",
        "" if mine[0]["method"] == BASE else _difference(mine, base, out),
        accuracy("appearance", "z"),
        accuracy("perspective"),
        accuracy("unwarped"),
        *(
            mean(r[k] for r in mine)
            for k in ("disentanglement", "completeness", "informativeness")
        ),
        f"{mine[0]['parameters']:,}",
        " ".join(str(r["seed"]) for r in mine),
    ]


def _difference(mine: list[dict[str, Any]], base: list[dict[str, Any]], out: Path) -> str:
    """Mean over images of the base's log p minus the row's, each the mean over seeds, paired."""
    if not base or len({r["images"] for r in (*mine, *base)}) != 1:
        return ""
    values = _log_likelihoods(base, out) - _log_likelihoods(mine, out)
    return f"{values.mean():+.2f} ± {values.std(ddof=1) / math.sqrt(len(values)):.2f}"


def _log_likelihoods(rows: list[dict[str, Any]], out: Path) -> np.ndarray:
    folders = [Row(r["setting"], r["method"], r["seed"], 1).folder(out) for r in rows]
    return np.mean([np.load(folder / VALUES)["log_likelihood"] for folder in folders], axis=0)


def _print_pose(rows: Sequence[dict[str, Any]]) -> None:
    """Print how well each space tells the pose and, from draws of the codes, the class as well."""
    names = list(next(iter(rows[0]["r2"].values())))
    heads = [*(f"R^2 of {name}" for name in names), "class"]
    print("\n| codes | " + " | ".join(heads) + " |\n|" + "---|" * (len(heads) + 1))
    drawn = [{**row, **row["of_draws"]} for row in rows if "of_draws" in row]
    for kind, told in (("means", rows), ("draws", drawn)):
        for method in ROWS:
            mine = [row for row in told if row["method"] == method]
            for site in mine[0]["r2"] if mine else ():
                means = [statistics.mean(r["r2"][site][name] for r in mine) for name in names]
                means.append(statistics.mean(r["accuracy"][site] for r in mine))
                cells = " | ".join(f"{value:.3f}" for value in means)
                print(f"| `{method}`, {site}, {kind} | {cells} |", flush=True)
