"""The command that holds runs against each other."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from .console import print_next, say
from .exit_codes import DONE

if TYPE_CHECKING:
    from unbraid.analysis import Comparison

_FORMATS = {".csv": "csv", ".tex": "latex", ".html": "html", ".htm": "html", ".json": "json"}


@dataclass(frozen=True)
class Compare:
    """Hold evaluated runs against each other: log p(x) of the same data, and paired differences.

    Each run must have been evaluated: unbraid evaluate DIR. Data that one of two
    runs alone judged are left out of their difference. Tables are printed, or written to a file;
    csv and html have the scores of codes too.

    Example: unbraid compare runs/vae runs/beta-vae --format latex

    Args:
        folders: Folders of runs, at least two.
        against: The folder that the others are held against; the first unless given.
        format: text, csv, latex, html or json; unless given, as the name of the file ends (.csv,
            .tex, .html, .json), else text.
        out: File to write; printed unless given.
    """

    folders: Annotated[Positional[tuple[str, ...]], arg(metavar="DIR DIR [DIR ...]")]
    against: str | None = None
    format: Literal["text", "csv", "latex", "html", "json"] | None = None
    out: str | None = None

    def run(self) -> int:
        """Compare; returns the exit code."""
        from unbraid.analysis import (
            comparison_csv,
            comparison_latex,
            comparison_page,
            comparison_text,
        )
        from unbraid.inference import write_atomically

        from .comparing import compare

        comparison = compare(self.folders, self.against)
        form = self.format
        if form is None:
            form = _FORMATS.get(Path(self.out or "").suffix.lower(), "text")
        written = {
            "json": _as_json,
            "text": comparison_text,
            "csv": comparison_csv,
            "latex": comparison_latex,
            "html": comparison_page,
        }[form](comparison)
        if self.out is None:
            print(written, end="")
            return DONE
        path = Path(self.out)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, written)
        say(f"wrote {path}")
        if form == "html":
            print_next(f"open {shlex.quote(str(path))} in a browser")
        return DONE


def _as_json(comparison: "Comparison") -> str:
    from unbraid.analysis import comparison_values

    rows = [comparison_values(row, comparison) for row in comparison.rows]
    return json.dumps(rows, indent=2, allow_nan=False) + "\n"
