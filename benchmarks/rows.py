"""Rows of tables that are trained one by one and kept: what each is, and which are there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROW, VALUES = "row.json", "values.npz"


@dataclass(frozen=True)
class Row:
    """What is trained: a method on a data set, by a seed.

    Attributes:
        setting: Key of the data set among the settings.
        method: Name of the row: a method, or one of its variants.
        seed: Seed of weights, batches and noise.
        steps: Steps of the training.
        split: Which data are judged: `"test"`, or `"validation"` while settings are chosen.
    """

    setting: str
    method: str
    seed: int
    steps: int
    split: str = "test"

    def folder(self, out: Path) -> Path:
        """Where the row is kept."""
        return out / self.setting / f"{self.method}-{self.seed}"

    def finished(self, out: Path) -> dict[str, Any] | None:
        """Return the row's results, or None where they are not there yet.

        Raises:
            ValueError: If the folder holds the results of other settings.
        """
        folder = self.folder(out)
        if not (folder / ROW).exists():
            return None
        found = json.loads((folder / ROW).read_text(encoding="utf-8"))
        if (found["steps"], found["split"]) != (self.steps, self.split):
            raise ValueError(
                f"{folder} holds {found['steps']} steps judged on {found['split']}; expected "
                f"{self.steps} on {self.split}. Choose another --out, or remove the folder"
            )
        return found
