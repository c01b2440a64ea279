"""Predict how clips go on, by a trained pair of poses."""

from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from unbraid.analysis import (
    PredictedClips,
    horizon_figure,
    predict_clips,
    prediction_animation,
    prediction_figure,
    save_figures,
)
from unbraid.data import Batches
from unbraid.methods import OptionError, integer_in_range

from .out_files import check_out, save_out
from .run import Run
from .run_folder import ON_REQUEST

PICTURE, CURVES = "predicted", "horizon"
FILES = {".png": "the strip", ".gif": "the film", ".webp": "the film", ".npz": "the arrays"}
SHOWN, SAMPLES = 8, 2  # clips and trajectories of a report


def predict(
    run: Run,
    past: int | None = None,
    future: int | None = None,
    *,
    samples: int = 0,
    count: int = 8,
    split: str = "test",
    seed: int | None = None,
) -> PredictedClips:
    """Do what `Run.predict` says.

    Raises:
        OptionError: If the run predicts nothing, or a number is none of the accepted.
    """
    if run.parts.past is None:
        raise OptionError(
            f"{run.config['method']} predicts nothing; expected a run of pose-prediction. Train "
            "one with codes=DIR, the folder of a run of drnet or static-dynamic"
        )
    dataset = run.split(split)
    count, samples = integer_in_range("count", count, 1), integer_in_range("samples", samples, 0)
    past = integer_in_range("past", run.parts.past if past is None else past, 1)
    future = None if future is None else integer_in_range("future", future, 1)
    total = dataset.images.shape[1]
    if future is None:
        if past >= total:
            raise OptionError(
                f"past is {past} and future is not given; expected a future, as clips have "
                f"{total} frames and none is left to predict. Give future, or see fewer frames"
            )
        future = total - past
    batch = Batches(dataset, min(count, len(dataset)), shuffle=False, device=run.device).batch(0)
    try:
        return predict_clips(
            run.model,
            run.guide,
            batch["x"],
            batch.get("length"),
            past=past,
            future=future,
            samples=samples,
            seed=int(run.config["seed"]) if seed is None else seed,
        )
    except ValueError as error:
        raise OptionError(str(error)) from error


def prediction_figures(run: Run, seed: int = 0) -> dict[str, Figure]:
    """Draw what a run predicts of test clips, and write `figures/predicted.gif`; none of others.

    Args:
        run: A run.
        seed: Seed of the noise.
    """
    if run.parts.past is None:
        return {}
    predicted = predict(run, samples=SAMPLES, count=SHOWN, seed=seed)
    save_animation(run, predicted, "figures")
    return {PICTURE: prediction_figure(predicted), CURVES: horizon_figure(predicted)}


def save_pictures(run: Run, predicted: PredictedClips) -> list[Path]:
    """Write `pictures/predicted.png`, `predicted.gif` and, if truth is known, `horizon.png`."""
    figures = {PICTURE: prediction_figure(predicted)}
    if not bool(predicted.psnr.isnan().all()):
        figures[CURVES] = horizon_figure(predicted)
    paths = list(save_figures(run.folder, figures, ON_REQUEST).values())
    return [*paths, save_animation(run, predicted, ON_REQUEST)]


def save_animation(run: Run, predicted: PredictedClips, into: str) -> Path:
    """Write `predicted.gif` into a folder of a run; returns its path."""
    path = run.folder / into / f"{PICTURE}.gif"
    path.parent.mkdir(exist_ok=True)
    return prediction_animation(predicted, path)


def save(predicted: PredictedClips, path: str | Path) -> Path:
    """Write one of `FILES`, by its ending: the strip, a film or the arrays; returns its path.

    Raises:
        OptionError: If the file's name ends in none of these.
    """
    return save_out(
        check_out(path, FILES),
        partial(prediction_figure, predicted),
        predicted.arrays,
        partial(prediction_animation, predicted),
    )
