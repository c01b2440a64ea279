"""Whether a run's guide is calibrated: ranks, what they say, and the files that keep it."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from unbraid.analysis import (
    Verdict,
    calibration_figure,
    calibration_verdicts,
    save_figures,
    site_words,
)
from unbraid.inference import (
    Calibration,
    simulation_based_calibration,
    write_atomically,
    write_json_atomically,
)
from unbraid.methods import OptionError

from .config import ConfigError
from .run import Run
from .run_folder import require_writable

PICTURE = "calibration"
NUMBERS, RANKS = "calibration.json", "calibration.npz"


class Calibrated(NamedTuple):
    """How calibrated a run's guide is.

    Args:
        calibration: Ranks and p-values.
        verdicts: What they say of each coordinate.
        summary: Plain numbers and words, as `calibration.json` has them.
        files: What was written.
    """

    calibration: Calibration
    verdicts: list[Verdict]
    summary: dict[str, Any]
    files: list[Path]


def calibrate(run: Run, simulations: int, draws: int, *, seed: int, progress: bool) -> Calibrated:
    """Do what `Run.calibrate` says."""
    _require_simulations(run)
    require_writable(run.folder)
    with tqdm(total=simulations, disable=not progress, unit="draw") as bar:

        def advance(done: int) -> None:
            bar.update(done - bar.n)

        found = simulation_based_calibration(
            run.model, run.guide, simulations=simulations, draws=draws, seed=seed, progress=advance
        )
    verdicts = calibration_verdicts(found)
    summary = {
        **found.summary(),
        "passes": found.passes(),
        "sites": {site: site_words(verdicts, site) for site in found.ranks},
        "verdicts": [verdict._asdict() for verdict in verdicts],
        "method": run.config["method"],
        "step": run.step,
    }
    buffer = BytesIO()
    arrays: dict[str, Any] = {f"site {name}": ranks for name, ranks in found.ranks.items()}
    np.savez_compressed(buffer, step=np.array(run.step), **arrays)
    # Numbers last: whoever finds them finds the ranks that they are of.
    write_atomically(run.folder / RANKS, buffer.getvalue())
    write_json_atomically(run.folder / NUMBERS, summary)
    picture = save_figures(run.folder, {PICTURE: calibration_figure(found)})[PICTURE]
    return Calibrated(found, verdicts, summary, [run.folder / NUMBERS, picture])


def _require_simulations(run: Run) -> None:
    """Refuse pairs whose model cannot draw data that its guide is asked about.

    Raises:
        OptionError: If there is a condition to give, data are sequences, or the images' term is no
            likelihood.
    """
    method = run.config["method"]
    if run.parts.given is not None:
        raise OptionError(
            f"{method} is given {' and '.join(run.parts.given.names)}, which its model does not "
            "draw; expected a pair that draws whole data. Calibrate it in Python: "
            "simulation_based_calibration takes functions that add a condition"
        )
    if run.parts.frames is not None or run.parts.turning is not None:
        raise OptionError(
            f"{method} is of sequences, whose codes have no ranks of single data; expected a "
            "method of images, such as vae"
        )
    if run.parts.inspected != ("x",):
        raise OptionError(
            f"{method} takes {', '.join(run.parts.inspected)}; expected images alone, since its "
            "model draws nothing else"
        )
    likelihood = run.parts.likelihood
    if not likelihood.is_likelihood:
        raise OptionError(
            f"{likelihood.name} is no likelihood, so that the model draws no such data as the "
            "guide was trained on. Train with a likelihood, such as continuous-bernoulli"
        )


def read_calibration(run: Run) -> dict[str, Any] | None:
    """Return what `calibration.json` says of the weights that are loaded; None without it.

    Raises:
        ConfigError: If it cannot be read.
    """
    path = run.folder / NUMBERS
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(
            f"{path} cannot be read: {error}. Run unbraid calibrate {run.folder} again"
        ) from error
    return found if isinstance(found, dict) and found.get("step") == run.step else None


def calibration_figures(run: Run) -> dict[str, Figure]:
    """Draw the ranks that are kept of the weights that are loaded; nothing without them.

    Raises:
        ConfigError: If they cannot be read.
    """
    numbers, path = read_calibration(run), run.folder / RANKS
    if numbers is None or not path.exists():
        return {}
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            ranks = {n.removeprefix("site "): kept[n] for n in kept if n.startswith("site ")}
            step = int(kept["step"])
        p_values = {name: np.array(of) for name, of in numbers["p_values"].items()}
        found = Calibration(ranks, numbers["draws"], p_values, numbers["bins"], numbers["seed"])
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}. Run unbraid calibrate {run.folder} again"
        ) from error
    return {PICTURE: calibration_figure(found)} if step == run.step else {}
