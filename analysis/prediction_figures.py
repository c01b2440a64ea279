"""Pictures of predicted clips: strips, a film, and qualities by horizon."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import write_atomically

from .film import film_bytes, film_path
from .image_figure import image_figure
from .images import image_grid
from .predicted_clips import PredictedClips
from .sequence_layout import checked_count, rule, spread
from .style import BLUE, GREEN, GREY, chart, label

CLIPS, SEEN, PREDICTED = 4, 3, 9  # rows of a strip, and columns left and right of the line
EDGE = 2  # pixels around an image of a film
SEEN_EDGE = (0.84, 0.37, 0.0)  # the style's orange
UNITS = {
    "psnr": "peak signal-to-noise ratio (dB)",
    "ssim": "structural similarity",
}


def prediction_figure(
    predicted: PredictedClips, *, clips: int = CLIPS, columns: int = PREDICTED
) -> Figure:
    """Show true frames above predicted ones, a few clips, frames evenly spread over the horizon.

    Left of the line are the last frames that are seen, and beneath them what their own codes
    decode to.

    Args:
        predicted: What `predict_clips` found.
        clips: Number of clips, at least 1.
        columns: Number of predicted frames, at least 1.

    Raises:
        ValueError: If a number is less than 1.
    """
    checked_count("clips", clips)
    checked_count("columns", columns)
    past = predicted.past
    seen = list(range(max(0, past - SEEN), past))
    ahead = spread(predicted.frames, columns)
    rows, names = [], []
    for clip in range(min(clips, len(predicted.truth))):
        true = [_true(predicted, clip, t) for t in (*seen, *(past + h for h in ahead))]
        decoded = predicted.seen[clip, seen]
        drawn = [torch.cat([decoded, part[ahead]]) for part in predicted.images[:, clip]]
        rows += [torch.stack(true), *drawn]
        noisy = [f"sample {i + 1}" for i in range(predicted.samples)]
        names += [f"clip {clip}", "predicted", *noisy]
    images = torch.cat(rows).float() / 255
    figure = image_figure(
        images,
        len(seen) + len(ahead),
        title=f"Predicted from {past} frames",
        rows=names,
        columns_named=[*(f"{t + 1 - past}" for t in seen), *(f"+{h + 1}" for h in ahead)],
        x="frames after the last one that is seen",
    )
    rule(figure, images, columns=len(seen))
    return figure


def horizon_figure(predicted: PredictedClips) -> Figure:
    """Draw qualities against the horizon: means over clips, with two standard errors.

    Args:
        predicted: What `predict_clips` found.

    Raises:
        ValueError: If nothing is known to hold the predictions against.
    """
    found = predicted.qualities()
    kinds = [name for name in UNITS if name in found]
    if bool(found["psnr"].isnan().all()):
        raise ValueError(
            "clips end with the frames that are seen; expected true frames after these. "
            "See fewer frames"
        )
    figure, axes = chart(rows=len(kinds))
    lines = {
        "": ("from mean to mean", BLUE, "-"),
        "sampled_": ("samples, their mean", GREEN, "--"),
        "copied_": ("last frame, left standing", GREY, ":"),
    }
    for axis, kind in zip(axes, kinds, strict=True):
        for prefix, (name, colour, dashes) in lines.items():
            if prefix + kind not in found:
                continue
            horizon, mean, error = _curve(found[prefix + kind])
            axis.plot(horizon, mean, color=colour, linestyle=dashes, label=name)
            axis.fill_between(horizon, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
        clips = int((~found["psnr"].isnan()).any(1).sum())
        title = f"{kind.upper()}, mean of {clips:,} clips with two standard errors"
        label(axis, title=title, x="frames ahead", y=UNITS[kind])
    # Curves fall anywhere, so that no place within the charts is free for sure.
    figure.legend(
        handles=axes[0].lines, loc="outside lower center", ncols=3, fontsize=8, frameon=False
    )
    return figure


def prediction_animation(
    predicted: PredictedClips, path: str | Path, *, clips: int = 8, frames_per_second: float = 10.0
) -> Path:
    """Write a GIF of clips side by side: true ones on top, predictions beneath.

    Frames with an orange edge are seen. Where a clip has ended its image is white.

    Args:
        predicted: What `predict_clips` found.
        path: The file, `.gif` or `.webp`; replaced where it exists, whole or not at all.
        clips: Largest number of clips, at least 1.
        frames_per_second: Positive.

    Raises:
        ValueError: If the name does not end in `.gif` or `.webp` or a number is out of range.
        OSError: If the file cannot be written.
    """
    path = film_path(path)
    if not 0 < frames_per_second < float("inf"):
        raise ValueError(f"frames_per_second is {frames_per_second}; expected a positive number.")
    shown = min(checked_count("clips", clips), len(predicted.truth))
    grids = []
    for t in range(predicted.past + predicted.frames):
        ahead = t - predicted.past
        true = torch.stack([_true(predicted, clip, t) for clip in range(shown)])
        if ahead < 0:
            drawn = predicted.seen[:shown, t].expand(1 + predicted.samples, *true.shape)
        else:
            drawn = predicted.images[:, :shown, ahead]
        cells = torch.cat([true, drawn.flatten(0, 1)]).float() / 255
        grids.append(image_grid(_edged(cells, ahead < 0), shown))
    write_atomically(path, film_bytes(torch.stack(grids), len(grids) / frames_per_second, path))
    return path


def _true(predicted: PredictedClips, clip: int, place: int) -> Tensor:
    """A true frame, white where the clip has ended."""
    if place < int(predicted.lengths[clip]):
        return predicted.truth[clip, place]
    return torch.full_like(predicted.truth[clip, 0], 255)


def _edged(images: Tensor, seen: bool) -> Tensor:
    """Images in colour with an edge, orange where they are seen."""
    height, width = images.shape[-2:]
    if images.shape[1] != 3:
        images = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    colour = torch.tensor(SEEN_EDGE if seen else (1.0, 1.0, 1.0)).view(3, 1, 1)
    edged = colour.expand(3, height + 2 * EDGE, width + 2 * EDGE).repeat(len(images), 1, 1, 1)
    edged[..., EDGE:-EDGE, EDGE:-EDGE] = images
    return edged


def _curve(values: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Horizons with a finite mean over clips, that mean, and two standard errors."""
    known = ~values.isnan()
    count = known.sum(0)
    mean = values.nanmean(0)
    squares = torch.where(known, values - mean, 0.0).square().sum(0)
    error = 2 * (squares / (count - 1).clamp(min=1) / count.clamp(min=1)).sqrt()
    drawn = count > 0
    horizon = torch.arange(1, len(mean) + 1)[drawn]
    return horizon.numpy(), mean[drawn].numpy(), error[drawn].nan_to_num().numpy()
