"""Complete images of which some pixels are seen, by a trained pair."""

import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from unbraid.analysis import completion_figure, save_figures
from unbraid.data import Batches
from unbraid.inference import MaskedPosterior, masked_posterior
from unbraid.methods import OptionError, integer_in_range

from .held_out import judged
from .out_files import check_out, save_out
from .run import Run
from .run_folder import ON_REQUEST

REGIONS = ("lower", "upper", "left", "right", "centre")
"""Parts of an image that may be the seen one; of the centre, the middle half of each side."""
PICTURE = "completed"
FILES = {".png": "the picture", ".npz": "the arrays"}


class Completed(NamedTuple):
    """Images and what was made of the pixels that are seen.

    Args:
        images: The whole images, `(N, C, H, W)`.
        observed: Bool `(H, W)` or `(N, H, W)`, true where a pixel is seen.
        posterior: Draws of the codes, weights and completions.
        title: What was done.
    """

    images: Tensor
    observed: Tensor
    posterior: MaskedPosterior
    title: str

    def figure(self) -> Figure:
        """Draw the images, what is seen of them, and their completions."""
        return completion_figure(self.images, self.observed, self.posterior, title=self.title)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as arrays by name; draws of a latent site as `latent_NAME`."""
        found = self.posterior
        tensors = {
            "images": self.images,
            "observed": self.observed,
            "completions": found.completions,
            "completion_weights": found.completion_weights,
            "completion_draws": found.completion_draws,
            "mean": found.mean,
            "log_weights": found.log_weights,
            "log_likelihood": found.log_likelihood,
            "log_evidence": found.log_evidence,
            "log_evidence_error": found.log_evidence_error,
            "effective_sample_size": found.effective_sample_size,
            "pareto_k": found.pareto_k,
            "evidence_sample_size": found.evidence_sample_size,
            **found.diagnostics,
            **{f"latent_{name}": draws for name, draws in found.latents.items()},
        }
        return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}

    def save(self, path: str | Path) -> Path:
        """Write a `.png`, the figure, or an `.npz`, the arrays; returns its path.

        Raises:
            OptionError: If the file's name ends in neither.
        """
        return save_out(check_out(path, FILES), self.figure, self.arrays)


def complete(
    run: Run,
    observe: str | Tensor,
    *,
    by: str,
    count: int,
    split: str,
    seed: int,
    progress: bool,
    **settings: Any,
) -> Completed:
    """Do what `Run.complete` says.

    Raises:
        OptionError: If the run is of sequences, or a number is none of the accepted.
    """
    if run.parts.frames is not None or run.parts.turning is not None:
        raise OptionError(
            f"{run.config['method']} is of sequences; expected a method of single images, whose "
            "pixels can be hidden one by one, such as vae"
        )
    dataset = run.split(split)
    count = integer_in_range("count", count, 1)
    if count > len(dataset):
        warnings.warn(f"count is reduced from {count} to {len(dataset)}, all {split} data")
        count = len(dataset)
    dataset = judged(run, dataset.take(torch.arange(count)), split)
    observed = read_observe(observe, dataset.shape)
    batch = Batches(dataset, count, shuffle=False, device=run.device).batch(0)
    with tqdm(total=count, disable=not progress, unit="image") as bar:

        def advance(done: int) -> None:
            bar.update(done - bar.n)

        posterior = masked_posterior(
            run.model,
            run.guide,
            {key: batch[key].clone() for key in run.parts.inspected},
            observed,
            keys=run.parts.inspected,
            by=by,
            seed=seed,
            likelihood=run.parts.likelihood,
            progress=advance,
            **settings,
        )
    seen = f", {observe} part seen" if isinstance(observe, str) and observe in REGIONS else ""
    return Completed(batch["x"].clone(), observed, posterior, f"Completions by {by}{seen}")


def read_observe(observe: str | Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return which pixels are seen: of a region by name, or of a file `.npy`.

    Args:
        observe: A name of `REGIONS`, a path, or the mask itself.
        shape: `(C, H, W)` of the images.

    Raises:
        OptionError: If there is no such region and it names no file of a bool array.
        OSError: If the file cannot be read.
    """
    if isinstance(observe, Tensor):
        return observe
    if observe in REGIONS:
        return region(observe, shape[1], shape[2])
    if not observe.endswith(".npy"):
        raise OptionError(
            f"observe is {observe!r}; expected one of {', '.join(REGIONS)}, the part that is "
            "seen, or a file .npy of bools. Save one with numpy.save"
        )
    try:
        found = np.load(observe)
    except (ValueError, EOFError) as error:
        raise OptionError(
            f"{observe} holds no array: {error}. Save one of bools with numpy.save"
        ) from error
    if not isinstance(found, np.ndarray):
        raise OptionError(f"{observe} holds several arrays; expected one, saved with numpy.save")
    if found.dtype != np.bool_:
        raise OptionError(
            f"{observe} is of {found.dtype}; expected bools, true where a pixel is seen. Compare "
            "with what marks them, such as mask > 0, and save that"
        )
    return torch.from_numpy(found)


def region(name: str, height: int, width: int) -> Tensor:
    """Return a bool `(H, W)` that is true in a region of `REGIONS`."""
    rows, columns = {
        "lower": (slice(height // 2, None), slice(None)),
        "upper": (slice(height // 2), slice(None)),
        "left": (slice(None), slice(width // 2)),
        "right": (slice(None), slice(width // 2, None)),
        "centre": (
            slice(height // 4, height - height // 4),
            slice(width // 4, width - width // 4),
        ),
    }[name]
    seen = torch.zeros(height, width, dtype=torch.bool)
    seen[rows, columns] = True
    return seen


def monte_carlo_error(posterior: MaskedPosterior) -> float | None:
    """Return the standard error of the mean log-evidence over draws, nats; None if not known.

    That of `summary` is over images: what other images would have come to.
    """
    error = float(posterior.log_evidence_error.square().sum().sqrt()) / len(posterior.log_evidence)
    return error if math.isfinite(error) else None


def save_picture(run: Run, completed: Completed) -> Path:
    """Write `pictures/completed.png` of a run; returns its path."""
    return save_figures(run.folder, {PICTURE: completed.figure()}, ON_REQUEST)[PICTURE]
