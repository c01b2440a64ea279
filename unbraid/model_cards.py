"""The model card of a run."""

from pathlib import Path
from typing import Any

from unbraid.analysis import Evaluation, write_model_card
from unbraid.inference import pair_parameters

from .calibrating import read_calibration
from .run import Run

_SETTINGS = (
    "batch_size",
    "learning_rate",
    "schedule",
    "clip_norm",
    "ema",
    "particles",
    "precision",
    "seed",
)


def write_run_card(run: Run, evaluation: Evaluation | None, remark: str | None = None) -> Path:
    """Write `model_card.md` into a run's folder; returns its path.

    Args:
        run: A trained run.
        evaluation: What `evaluation.json` says of the run's weights, or None without it.
        remark: What has to be said beside the likelihood.
    """
    config, method = run.config, run.method
    data = Path(config["data"]).name
    pair = {type(part).__name__ for part in (run.model, run.guide)}
    count = sum(parameter.numel() for parameter in pair_parameters(run.model, run.guide))
    sequences = run.parts.frames is not None or run.parts.turning is not None
    options = {key: value for key, value in config["options"].items() if value is not None}
    return write_model_card(
        run.folder,
        title=f"{method.name} on {data}",
        name=f"{method.name}-{data}",
        dataset=data,
        evaluation=evaluation,
        model=[
            ("Method", f"{method.name}: {method.summary}"),
            ("Classes of model and guide", " and ".join(sorted(pair))),
            ("Parameters of both", f"{count:,}"),
            ("Likelihood of images", run.parts.likelihood.name),
            *((f"Option {key}", _shown(value)) for key, value in options.items()),
        ],
        data=[
            ("Data", data),
            ("Splits", run.data.description),
            ("Binarised", config["binarise"] or "no"),
            ("Augmented", _augmented(config)),
            ("Seed of the splits", run.data_seed),
            ("Fingerprint of the pixels", config["fingerprint"]),
        ],
        training=[
            *_start(config),
            ("Step of the weights", f"{run.step:,}"),
            *((key.replace("_", " ").capitalize(), _shown(config[key])) for key in _SETTINGS),
        ],
        versions=list(config["versions"].items()),
        tags=[method.name],
        limits=_limits(run),
        command=config["command"],
        bibtex=method.citation,
        datum="sequence" if sequences else "image",
        remark=remark,
    )


def _augmented(config: dict[str, Any]) -> str:
    if not (config["rotate"] or config["translate"]):
        return "no"
    return f"turned by up to {config['rotate']:g} degrees, moved by up to {config['translate']:g}"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _limits(run: Run) -> list[str]:
    """What calibration found, where the guide was asked."""
    found = read_calibration(run)
    if found is None:
        return []
    sites = "; ".join(f"{site}: {words}" for site, words in found["sites"].items())
    if found["passes"]:
        return [f"Simulation-based calibration does not refute the guide ({sites})."]
    return [
        f"The guide is not the posterior of data that the model draws, by "
        f"{found['simulations']:,} simulations: of the coordinates of {sites}."
    ]


def _start(config: dict[str, Any]) -> list[tuple[str, str]]:
    """Say with which weights the training began, where these were another run's."""
    if config.get("start_from") is None:
        return []
    name, step = Path(config["start_from"]).name, config["start_step"]
    return [("Begun with the weights of", f"{name}, step {step:,}")]
