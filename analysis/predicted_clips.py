"""Predicted clips beside the true ones: the images, and how near they are frame by frame."""

from dataclasses import dataclass
from math import isnan, log10, nan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .image_quality import WINDOW, psnr, ssim
from .roll_out import FRAMES, PoseRollOut

FIRST = 10
"""Predicted frames whose mean is told, as of moving digits in the literature."""
CEILING = 10 * log10(12 * 255**2)
"""Decibels of an image against the same one rounded to 8 bits: no truth is known any better."""
TOGETHER = 64  # clips that are rolled out in one pass; of the first pass images are kept


@dataclass(frozen=True, eq=False)
class PredictedClips:
    """What was predicted of `B` clips, `H` frames after the `P` that were seen; on the host.

    The first of `1 + S` trajectories goes from mean to mean; the others have noise.

    Args:
        past: Number `P` of frames that are seen.
        truth: The clips, uint8 `(K, T, C, H, W)`, of the first `K` of them.
        lengths: True frames of each of all clips, int64 `(B,)`.
        seen: The frames that are seen, decoded from their own codes, uint8 `(K, P, C, H, W)`.
        images: Predicted frames, uint8 `(1 + S, K, H, C, H, W)`.
        psnr: Peak signal-to-noise ratios `(1 + S, B, H)` in decibels, at most 58.9, which is what
            rounding to 8 bits leaves; NaN where there is no truth.
        ssim: Structural similarities, likewise; None of images that are smaller than its window.
        copied_psnr: Those of the last frame that is seen in place of a prediction, `(B, H)`.
        copied_ssim: Likewise.
    """

    past: int
    truth: Tensor
    lengths: Tensor
    seen: Tensor
    images: Tensor
    psnr: Tensor
    ssim: Tensor | None
    copied_psnr: Tensor
    copied_ssim: Tensor | None

    @property
    def frames(self) -> int:
        """Number of predicted frames."""
        return self.images.shape[2]

    @property
    def samples(self) -> int:
        """Number of trajectories with noise."""
        return len(self.images) - 1

    def summary(self) -> dict[str, Any]:
        """Return means over the first predicted frames of each clip, and their standard errors.

        Returns:
            `past`, `future`, `samples`, `first`, the number of frames of the means, `clips`, the
            number of clips that have a true frame there, and by quality `psnr`, `ssim`,
            `sampled_psnr` and so on: `mean` and `standard_error` over clips; None where there are
            too few.
        """
        known = (~self.psnr[0].isnan()).any(0)
        first = min(FIRST, int(known.sum()))
        found: dict[str, Any] = {
            "past": self.past,
            "future": self.frames,
            "samples": self.samples,
            "first": first,
            "clips": int((~self.psnr[0, :, :first].isnan()).any(1).sum()) if first else 0,
        }
        for name, values in self.qualities().items():
            by_clip = values[:, :first].nanmean(1)
            by_clip = by_clip[~by_clip.isnan()]
            mean = float(by_clip.mean()) if len(by_clip) else nan
            error = float(by_clip.std() / len(by_clip) ** 0.5) if len(by_clip) > 1 else nan
            found[name] = {"mean": _known(mean), "standard_error": _known(error)}
        return found

    def qualities(self) -> dict[str, Tensor]:
        """Return what there is of qualities by clip and horizon `(B, H)`, by name.

        `psnr`, of the trajectory from mean to mean; `sampled_psnr`, the mean over the others;
        `copied_psnr`; and the same of `ssim`.
        """
        found = {}
        for name, values, copied in (
            ("psnr", self.psnr, self.copied_psnr),
            ("ssim", self.ssim, self.copied_ssim),
        ):
            if values is None or copied is None:
                continue
            found[name] = values[0]
            if self.samples:
                found[f"sampled_{name}"] = values[1:].mean(0)
            found[f"copied_{name}"] = copied
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as arrays by name."""
        names = ("truth", "lengths", "seen", "images", "psnr", "ssim")
        found = {name: getattr(self, name) for name in (*names, "copied_psnr", "copied_ssim")}
        arrays = {name: part.numpy() for name, part in found.items() if part is not None}
        return {"past": np.array(self.past), **arrays}


def predict_clips(
    model: Any,
    guide: Any,
    clips: Tensor,
    lengths: Tensor | None = None,
    *,
    past: int,
    future: int,
    samples: int = 0,
    seed: int = 0,
) -> PredictedClips:
    """Predict what follows the first frames of clips, and hold it against what did follow.

    Clips are rolled out up to 64 at a time, each on from its first frames, and images are decoded
    a few frames at a time; those of the first 64 clips are kept.

    Args:
        model: As `PoseRollOut` takes it.
        guide: Its guide.
        clips: Clips `(B, T, C, H, W)` in [0, 1], in the order of time.
        lengths: True frames of each, int64 `(B,)`; all of them unless given.
        past: Number `P` of frames that are seen, at least 1.
        future: Number `H` of frames to predict, at least 1. Beyond the end of a clip nothing is
            known to hold them against.
        samples: Trajectories with noise, beside the one from mean to mean.
        seed: Seed of the noise.

    Raises:
        ValueError: If a clip has fewer than `past` frames, a number is out of range, or the pair
            predicts no poses.
    """
    total = clips.shape[1]
    if lengths is None:
        lengths = torch.full((len(clips),), total)
    lengths = lengths.cpu()
    if future < 1:
        raise ValueError(f"future is {future}; expected at least 1 frame to predict")
    shortest = int(lengths.min())
    if not 1 <= past <= shortest:
        raise ValueError(
            f"past is {past}; expected 1 to {shortest}, the frames of the shortest clip. "
            "See fewer frames, or give longer clips"
        )
    judge = _Judge(min(clips.shape[-2:]) >= WINDOW)
    scores: list[list[Tensor]] = []
    shown: list[Tensor] = []
    for start in range(0, len(clips), TOGETHER):
        here = slice(start, start + TOGETHER)
        batch, known = clips[here], lengths[here]
        rolling = PoseRollOut(model, guide, batch[:, :past], samples=samples, seed=seed + start)
        images = None
        if not start:  # those of the first clips are kept
            size = (1 + samples, len(batch), future, *batch.shape[2:])
            images = torch.empty(size, dtype=torch.uint8)
            shown = [_bytes(batch.cpu()), _bytes(rolling.decode(rolling.seen)), images]
        scores.append(_judged(rolling, batch.cpu(), known, judge, past, future, images))
    found = [torch.cat(parts, -2) for parts in zip(*scores, strict=True)]
    copied_ssim, similarity = found[2:] if judge.with_ssim else (None, None)
    return PredictedClips(
        past, shown[0], lengths, shown[1], shown[2], found[1], similarity, found[0], copied_ssim
    )


def _judged(
    rolling: PoseRollOut,
    clips: Tensor,
    lengths: Tensor,
    judge: "_Judge",
    past: int,
    future: int,
    images: Tensor | None,
) -> list[Tensor]:
    """Roll out, a few frames at a time; returns qualities `(..., B, H)`, and writes images."""
    rows = len(clips) * (1 + rolling.samples)
    together = max(1, FRAMES // rows)
    scores = []
    for first in range(0, future, together):
        count = min(together, future - first)
        drawn = rolling.decode(rolling.advance(count))
        if images is not None:
            images[:, :, first : first + count] = _bytes(drawn)
        for place in range(count):
            at = past + first + place
            known = (at < lengths).nonzero().squeeze(1)
            true = clips[:, min(at, clips.shape[1] - 1)]
            scores.append(judge(drawn[:, :, place], clips[:, past - 1], true, known))
    return [torch.stack(parts, -1) for parts in zip(*scores, strict=True)]


class _Judge:
    """Qualities of the predictions of one frame of each clip.

    Args:
        with_ssim: Whether images are large enough for the window of the structural similarity.
    """

    def __init__(self, with_ssim: bool) -> None:
        self.with_ssim = with_ssim

    def __call__(self, drawn: Tensor, last: Tensor, truth: Tensor, rows: Tensor) -> list[Tensor]:
        """Judge predictions `(1 + S, B, C, H, W)` and the last frames that were seen.

        Returns:
            For each quality that of the last frames `(B,)`, and of the predictions `(1 + S, B)`;
            NaN but in `rows`.
        """
        found = []
        for quality in (psnr, ssim) if self.with_ssim else (psnr,):
            values = torch.full((1 + len(drawn), drawn.shape[1]), nan, dtype=torch.float64)
            if len(rows):
                shown = torch.cat([last.unsqueeze(0), drawn])[:, rows].clamp(0, 1)
                true = truth[rows].expand_as(shown)
                judged = quality(shown.flatten(0, 1), true.flatten(0, 1)).clamp(max=CEILING)
                values[:, rows] = judged.unflatten(0, shown.shape[:2])
            found += [values[0], values[1:]]
        return found


def _bytes(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def _known(value: float) -> float | None:
    return None if isnan(value) else value
