"""The command that asks whether a run's guide is calibrated."""

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbraid.methods import in_range

from .commands import Folder, check_seed
from .console import print_json, print_next, print_table
from .exit_codes import DONE

if TYPE_CHECKING:
    from .calibrating import Calibrated

_LEAST = 1e-300  # what is smaller is not told from 0
SHOWN = 5
"""Coordinates of a site that are shown, the least likely first."""


@dataclass(frozen=True)
class Calibrate:
    """Ask whether a run's guide is calibrated, by data that its model draws.

    Codes and data are drawn from the model, and the guide draws codes of each datum. If it is the
    posterior, ranks of the true codes among its draws are uniform; how they are not says whether
    it is too narrow, too wide, or leans. Data that the model would not draw are not judged.

    Example: unbraid calibrate runs/vae

    Args:
        folder: Folder of the run; the numbers go to calibration.json in it, the picture to
            figures/calibration.png.
        simulations: Data that the model draws.
        draws: Draws of the guide for each; one less than a multiple of 20.
        seed: Seed of all draws; the run's unless given.
        device: auto, cpu, cuda, cuda:N or mps.
        json: Print one JSON object.
    """

    folder: Folder
    simulations: int = 2000
    draws: int = 199
    seed: int | None = None
    device: str = "auto"
    json: bool = False

    def run(self) -> int:
        """Calibrate; returns the exit code."""
        in_range("--simulations", self.simulations, 100)
        in_range("--draws", self.draws, 19)
        check_seed(self.seed)
        from .load_run import load

        run = load(self.folder, self.device)
        found = run.calibrate(
            self.simulations, self.draws, seed=self.seed, progress=sys.stderr.isatty()
        )
        if self.json:
            print_json({**found.summary, "files": [str(path) for path in found.files]})
            return DONE
        print_table(_rows(found))
        for path in found.files:
            print(path)
        print_next(f"unbraid report {shlex.quote(self.folder)}")
        return DONE


def _rows(found: "Calibrated") -> list[tuple[str, str, str]]:
    told = found.summary
    outcome = "not refuted" if told["passes"] else "refuted"
    rows = [
        (
            "calibration",
            outcome,
            f"{_p_value(told['p_value'])} of all {len(found.verdicts)} coordinates, by "
            f"{told['simulations']:,} simulations of {told['draws']:,} draws",
        )
    ]
    for site, words in told["sites"].items():
        rows.append((site, "", words))
        verdicts = [verdict for verdict in found.verdicts if verdict.site == site]
        for verdict in verdicts[:SHOWN]:
            name = f"{site} {verdict.coordinate}"
            rows.append((name, _p_value(verdict.p_value), verdict.words))
    return rows


def _p_value(value: float) -> str:
    return f"p-value {value:.2g}" if value > _LEAST else f"p-value below {_LEAST:g}"
