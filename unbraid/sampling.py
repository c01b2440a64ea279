"""Draw from a trained model's prior."""

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unbraid.analysis import conditional_grid, prior_samples, save_figures
from unbraid.inference import Runner, own_noise, write_atomically
from unbraid.methods import OptionError

from .conditions import sampled_conditions, shown_conditions
from .labels import shown_classes
from .run import Run


def save_samples(run: Run, count: int, seed: int, npz: str | None = None) -> list[Path]:
    """Write the picture `figures/samples.png` of a run, and on request the arrays.

    Of methods that are given a condition, its rows are conditions and its columns codes; of those
    that say classes, its rows are classes.

    Args:
        run: A run.
        count: Number of samples.
        seed: Seed of the codes.
        npz: File for the arrays that `prior_arrays` returns.

    Returns:
        The files that were written.

    Raises:
        OptionError: If `npz` is no `.npz` file.
    """
    if npz is not None:
        if Path(npz).suffix.lower() != ".npz":
            raise OptionError(f"npz is {npz!r}; expected a file .npz. Name one, or leave it out")
        Path(npz).parent.mkdir(parents=True, exist_ok=True)
    if run.parts.given is None and run.parts.tells is None:
        figure = prior_samples(run.model, count, seed=seed)
    else:
        conditions, names = (shown_conditions if run.parts.given else shown_classes)(run)
        rows, columns = conditions[:count], max(1, count // len(conditions))
        figure = conditional_grid(run.model, rows, names[:count], columns=columns, seed=seed)
    paths = list(save_figures(run.folder, {"samples": figure}).values())
    if npz is not None:
        buffer = BytesIO()
        arrays: dict[str, Any] = prior_arrays(run, count, seed)
        np.savez_compressed(buffer, **arrays)
        write_atomically(npz, buffer.getvalue())
        paths.append(Path(npz))
    return paths


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
