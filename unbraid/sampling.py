"""Draw from a trained model's prior."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from unbraid.analysis import NoSamplesError, conditional_grid, prior_samples, save_figures
from unbraid.inference import Runner, own_noise
from unbraid.methods import OptionError

from .conditions import sampled_conditions, shown_conditions
from .labels import shown_classes
from .out_files import check_out, save_out
from .run import Run
from .run_folder import ON_REQUEST, require_writable

FILES = {".png": "the picture", ".npz": "the arrays"}


def save_samples(run: Run, count: int, seed: int, out: Sequence[str | Path] = ()) -> list[Path]:
    """Write the picture `pictures/samples.png` of a run, and on request further files.

    Of methods that are given a condition, its rows are conditions and its columns codes; of those
    that say classes, its rows are classes.

    Args:
        run: A run.
        count: Number of samples.
        seed: Seed of the codes.
        out: Files as `FILES` has them by ending: the picture, or what `prior_arrays` returns.

    Returns:
        The files that were written.

    Raises:
        OptionError: If a file ends otherwise, or the model draws no images, or has no prior.
        OSError: If the run's folder is not writable.
    """
    files = [check_out(path, FILES) for path in out]
    require_writable(run.folder)
    figure = partial(_figure, run, count, seed)
    try:
        paths = list(save_figures(run.folder, {"samples": figure()}, ON_REQUEST).values())
    except NoSamplesError as error:
        raise OptionError(f"{run.config['method']} has no samples: {error}") from error
    for path in files:
        paths.append(save_out(path, figure, partial(prior_arrays, run, count, seed)))
    return paths


def _figure(run: Run, count: int, seed: int) -> Figure:
    if run.parts.given is None and run.parts.tells is None:
        return prior_samples(run.model, count, seed=seed)
    conditions, names = (shown_conditions if run.parts.given else shown_classes)(run)
    rows, columns = conditions[:count], max(1, count // len(conditions))
    return conditional_grid(run.model, rows, names[:count], columns=columns, seed=seed)


def prior_arrays(run: Run, count: int, seed: int) -> dict[str, np.ndarray]:
    """Draw codes and images from the model.

    Returns:
        One array `(count, ...)` per site; images `x` are drawn from the likelihood, not its means.
        Of methods that are given a condition, `condition` too: those of the picture, in turn.
    """
    given = () if run.parts.given is None else (sampled_conditions(run, count),)
    with torch.no_grad(), own_noise(run.device):
        torch.manual_seed(seed)
        sites = Runner().run(partial(run.model, size=count), (None, *given)).sites
    arrays = {name: site.value.cpu().numpy() for name, site in sites.items()}
    return arrays | ({"condition": given[0].cpu().numpy()} if given else {})
