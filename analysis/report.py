"""The report: one self-contained page with the likelihood first, and the figures as files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from unbraid.inference import write_atomically

from . import wording
from .advice import advice
from .captions import caption
from .charts import bounds_curve, training_curves, training_panels
from .code_wording import code_tables
from .evaluation import Evaluation, bounds, known, unreliable_share
from .hook_curves import hook_curves, hook_panels
from .images import data_uri
from .pages import figure_png, template

LONGEST_NAME = 80
LATENT_FIGURES = ("graph", "kl", "codes", "posteriors", "aggregate", "factors", "calibration")


def save_figures(
    folder: Path | str, figures: Mapping[str, Figure], into: str = "figures"
) -> dict[str, Path]:
    """Write figures as `figures/NAME.png`, or into another folder beside the report.

    Args:
        folder: Where the folder of the pictures is made.
        figures: Figures by name; in file names, all but letters, digits, `_` and `-` is replaced.
        into: Name of that folder.

    Returns:
        The file of each figure, by name.
    """
    paths: dict[str, Path] = {}
    for name, figure in figures.items():
        path = Path(folder) / into / f"{_file_stem(name, paths)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, figure_png(figure))
        paths[name] = path
    return paths


def write_report(
    folder: Path | str,
    *,
    title: str,
    config: Mapping[str, Any],
    evaluation: Evaluation | None,
    history: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Figure],
    command: str | None = None,
    bibtex: str | None = None,
    datum: str = "image",
    remark: str | None = None,
    hooks: Sequence[str] = (),
) -> Path:
    """Write `report.html`, one file without scripts or remote assets, and the figures beside it.

    Figures of the bounds and of training are drawn here, from `evaluation` and `history`.

    Args:
        folder: The folder of the run; made where there is none.
        title: Title of the page.
        config: Settings, seeds and versions, nested as they are; all are shown.
        evaluation: The likelihood's numbers, or None where there are none yet.
        history: Rows of training, as `training_curves` takes them.
        figures: Figures by name, in order; those that `gallery` names are captioned.
        command: The command that reproduces the run.
        bibtex: How to cite the method.
        datum: What one datum is called: image, or sequence.
        remark: What has to be said beside the likelihood, a sentence.
        hooks: Names of the loss hooks, whose curves are in `history`.

    Returns:
        Path of `report.html`.
    """
    numbers = evaluation or Evaluation()
    drawn = {**_drawn(numbers, history, datum, hooks), **figures}
    shown = _embed(folder, drawn, datum)
    kinds = {name: name.partition("-")[0] for name in shown}
    latents = [shown.pop(name) for kind in LATENT_FIGURES for name in kinds if kinds[name] == kind]
    page = template("report.html").render(
        title=title,
        summary=wording.summary(evaluation, datum),
        remark=remark,
        evaluated=bool(numbers.keys() - {"codes"}),
        rows=wording.likelihood_rows(numbers, datum),
        bounds=wording.bound_rows(numbers),
        advice=advice(numbers, datum),
        pareto=wording.pareto_words(unreliable_share(numbers), datum),
        tables=code_tables(numbers.get("codes") or {}),
        unscored=(numbers.get("codes") or {}).get("left_out"),
        is_likelihood=numbers.get("is_likelihood", True),
        datum=datum,
        curve=shown.pop("bounds", None),
        training=[shown.pop(name) for name in ("training", "hooks") if name in shown],
        latents=latents,
        measured="kl" in kinds,
        pictures=list(shown.values()),
        settings=list(wording.flatten(config)),
        command=command,
        bibtex=bibtex,
    )
    path = Path(folder) / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode("utf-8", errors="replace"))
    return path


def _drawn(
    evaluation: Evaluation, history: Sequence[Mapping[str, Any]], datum: str, hooks: Sequence[str]
) -> dict[str, Figure]:
    """The figures of whatever numbers there are."""
    figures = {}
    if any(known(bound.value) for bound in bounds(evaluation)):
        figures["bounds"] = bounds_curve(evaluation, datum)
    if training_panels(history):
        figures["training"] = training_curves(
            history, is_likelihood=evaluation.get("is_likelihood", True), datum=datum
        )
    if hook_panels(history, hooks):
        figures["hooks"] = hook_curves(history, hooks)
    return figures


def _embed(
    folder: Path | str, figures: Mapping[str, Figure], datum: str
) -> dict[str, dict[str, str]]:
    """Save the figures, and return what the page shows of each."""
    embedded = {}
    for name, path in save_figures(folder, figures).items():
        heading, text = caption(name, datum)
        embedded[name] = {"heading": heading, "text": text, "uri": data_uri(path.read_bytes())}
    return embedded


def _file_stem(name: str, taken: Mapping[str, Path]) -> str:
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:LONGEST_NAME] or "figure"
    stems = {path.stem.lower() for path in taken.values()}
    number = 2
    unique = stem
    while unique.lower() in stems:
        unique = f"{stem}-{number}"
        number += 1
    return unique
