"""Training curves: kept on the device between logs, written as JSON lines."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .atomic import write_atomically

Row = dict[str, Any]


class StepLog:
    """Scalars of the last steps, kept on the device: the host reads once per window."""

    def __init__(self) -> None:
        self._rows: list[Mapping[str, Tensor]] = []
        self._bad: list[Tensor] = []

    def add(self, parts: Mapping[str, Tensor], bad: Tensor) -> None:
        """Note one step's scalars and whether the step was held back."""
        self._rows.append(parts)
        self._bad.append(bad.clone())

    def read(self) -> tuple[Row, int | None]:
        """Return the means over the noted steps and how many of them went well before a bad one.

        Returns:
            The mean of each scalar over the steps that have it, and the number of good steps
            before the first bad one, None where all were good. Noted steps are then forgotten.
        """
        rows, bad = self._rows, self._bad
        self._rows, self._bad = [], []
        if not rows:
            return {}, None
        scalars = [value for row in rows for value in row.values()]
        numbers = torch.stack([*scalars, *bad]).tolist()
        found: dict[str, list[float]] = {}
        for name, number in zip((name for row in rows for name in row), numbers, strict=False):
            found.setdefault(name, []).append(number)
        flags = numbers[len(scalars) :]
        means = {name: sum(values) / len(values) for name, values in found.items()}
        return means, flags.index(1.0) if 1.0 in flags else None


class MetricsFile:
    """A file of JSON lines, one row per log, each with its `step`.

    Args:
        path: The file; None keeps the rows in memory only.
        resume_at: Rows of later steps are dropped, so that a resumed run leaves no gap and no
            double.
    """

    def __init__(self, path: Path | None, resume_at: int) -> None:
        self.path = path
        self.rows: list[Row] = []
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if resume_at and path.exists():
            self.rows = [row for row in read_metrics(path) if row["step"] <= resume_at]
        write_atomically(path, "".join(_line(row) for row in self.rows))

    def add(self, row: Row) -> None:
        """Add one row and write it out."""
        self.rows.append(row)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(_line(row))


def read_metrics(path: Path) -> list[Row]:
    """Read a file of JSON lines; a last line cut short by a crash is left out."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _line(row: Row) -> str:
    finite = {
        k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in row.items()
    }
    return json.dumps(finite, allow_nan=False) + "\n"
