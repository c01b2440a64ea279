"""Films of coloured moving digits, true or predicted, and what is seen in them frame by frame."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unbraid.analysis import Judge, load_judge, psnr, ssim, train_judge
from unbraid.data import Dataset, load

from .motion import centres
from .rows import DATA_SEED

DIGIT = "digit"  # what a judge is asked
CEILING = 10 * log10(12 * 255**2)  # dB; as PredictedClips cuts them
TOGETHER = 1024  # frames, or clips of a few, that are drawn at a time


@dataclass(frozen=True)
class Plan:
    """What is asked of predictions.

    Attributes:
        past: Frames that are seen.
        frames: Frames that are predicted.
        clips: Clips that are predicted so far.
        near_clips: Clips whose first predicted frames are compared with true ones, pixel by pixel.
        horizons: Predicted frames, from 1, of which a judge is asked.
        early: The horizon whose digits later ones are held against.
        window: First and last of the predicted frames whose motion is measured.
        first: How many frames these are.
        judge_frames: Frames of each training clip that a judge learns from.
        judge_steps: Steps of its training.
        judge_rate: Learning rate of the first of them.
    """

    past: int = 5
    frames: int = 500
    clips: int = 500
    near_clips: int = 5000
    horizons: tuple[int, ...] = (1, 10, 50, 100, 200, 500)
    early: int = 10
    window: tuple[int, int] = (400, 500)
    first: int = 10
    judge_frames: int = 4
    judge_steps: int = 12_000
    judge_rate: float = 2e-3


@dataclass(frozen=True)
class Watched:
    """What was seen of films of `B` clips with `D` digits, `T` frames each, and of `N` short ones.

    Attributes:
        right: Whether a judge tells the true digit, bools `(B, H, D)`, at each horizon.
        track: Where the digits are, `(B, T, D, 2)`.
        ssim: Mean over the first frames, `(N,)`.
        psnr: Likewise, in dB.
    """

    right: Tensor
    track: Tensor
    ssim: Tensor
    psnr: Tensor

    def save(self, path: Path) -> None:
        """Write all of it as `.npz`."""
        names = ("right", "track", "ssim", "psnr")
        arrays: dict[str, Any] = {name: getattr(self, name).numpy() for name in names}
        np.savez_compressed(path, **arrays)


class Truth:
    """The clips that predictions are held against, and a judge of their digits; made when asked.

    Args:
        digits: Options of the data.
        split: `"test"` or `"validation"`.
        plan: What is asked.
        out: Folder in which the judge is kept.
        progress: Whether to show a progress bar.
    """

    def __init__(
        self, digits: dict[str, Any], split: str, plan: Plan, out: Path, progress: bool = False
    ) -> None:
        self.plan, self._digits, self._split = plan, digits, split
        self._out, self._progress = out, progress

    @cached_property
    def clips(self) -> Dataset:
        """The clips, as long as the predictions: longer ones begin like those of the training."""
        length = self.plan.past + self.plan.frames
        # A tenth of all are in each of the parts that are judged, the same as of larger data.
        sizes = {"length": length, "sequences": 10 * self.plan.clips}
        splits = load("moving-mnist", seed=DATA_SEED, options={**self._digits, **sizes})
        return getattr(splits, self._split)

    @cached_property
    def judge(self) -> Judge:
        """Tells the digit of one colour of a frame; trained on clips of the training."""
        path = self._out / f"judge-{self.plan.judge_steps}.safetensors"
        if path.exists():
            return load_judge(path)
        data = load("moving-mnist", seed=DATA_SEED, options=self._digits)
        judge = train_judge(
            *single_digits(data.train, self.plan.judge_frames),
            *single_digits(data.validation, 1),
            steps=self.plan.judge_steps,
            learning_rate=self.plan.judge_rate,
            progress=self._progress,
        )
        self._out.mkdir(parents=True, exist_ok=True)
        judge.save(path)
        return judge

    @cached_property
    def watched(self) -> Watched:
        """What is seen in the true frames."""
        return watch(self.film(), self.near.film(), self)

    @cached_property
    def near(self) -> "Truth":
        """More clips, as long as frames are compared one by one."""
        plan = replace(self.plan, clips=self.plan.near_clips, frames=self.plan.first)
        return Truth(self._digits, self._split, plan, self._out, self._progress)

    @property
    def seen(self) -> Tensor:
        """The frames that are seen, `(B, P, C, H, W)` in [0, 1]."""
        return self._frames(0, self.plan.past)

    def after(self, horizon: int) -> Tensor:
        """Return the true frames `(B, C, H, W)` at a horizon, from 1."""
        return self._frames(self.plan.past + horizon - 1, 1).squeeze(1)

    def film(self) -> Iterator[Tensor]:
        """Yield the true frames after those that are seen, `(B, n, C, H, W)`, in turn."""
        for start, count in self._stretches():
            yield self._frames(self.plan.past + start, count)

    def standing(self) -> Iterator[Tensor]:
        """Yield the last frame that is seen, over and over."""
        last = self._frames(self.plan.past - 1, 1)
        for _, count in self._stretches():
            yield last.expand(-1, count, -1, -1, -1)

    def _stretches(self) -> Iterator[tuple[int, int]]:
        together = max(1, TOGETHER // len(self.clips))
        for start in range(0, self.plan.frames, together):
            yield start, min(together, self.plan.frames - start)

    def _frames(self, start: int, count: int) -> Tensor:
        places = torch.arange(start, start + count).expand(len(self.clips), -1)
        return self.clips.frames(torch.arange(len(self.clips)), places).float() / 255


def single_digits(data: Dataset, frames: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Draw frames of each clip by chance: their digits, uint8 `(N, 1, H, W)`, and the classes."""
    generator = torch.Generator().manual_seed(0)
    places = torch.randint(data.images.shape[1], (len(data), frames), generator=generator)
    digits = digits_of(data)
    shown = [
        colours(data.frames(rows, places[rows]).flatten(0, 1), digits.shape[1])
        for rows in torch.arange(len(data)).split(TOGETHER)
    ]
    return torch.cat(shown), {DIGIT: digits.repeat_interleave(frames, 0).flatten()}


def colours(frames: Tensor, digits: int) -> Tensor:
    """Return the digits of frames `(B, C, H, W)`, each in a colour, as images `(B D, 1, H, W)`."""
    return frames[:, :digits].flatten(0, 1).unsqueeze(1)


def digits_of(data: Dataset) -> Tensor:
    """Return the digits of each clip, int64 `(B, D)`, in the order of their colours."""
    if data.factors is None:
        raise ValueError(f"{data} have no factors; expected digits, in a colour each")
    return data.factors


def watch(film: Iterable[Tensor], near_film: Iterable[Tensor], truth: Truth) -> Watched:
    """Look at films frame by frame; none is kept.

    Args:
        film: Frames `(B, n, C, H, W)` of all clips, a few at a time, from the first after those
            that are seen.
        near_film: Likewise of the clips of `truth.near`.
        truth: The clips, and what is asked.

    Raises:
        ValueError: If there are fewer frames than are asked for.
    """
    plan, digits, done = truth.plan, digits_of(truth.clips), 0
    right: list[Tensor] = []
    tracks: list[Tensor] = []
    for part in film:
        frames = part.clamp(0, 1)
        tracks.append(centres(frames)[:, :, : digits.shape[1]])
        for frame in frames.unbind(1):
            done += 1
            if done in plan.horizons:
                told = truth.judge.predict(colours(frame, digits.shape[1]))[DIGIT]
                right.append(told.view_as(digits) == digits)
    _check_length(done, plan)
    return Watched(torch.stack(right, 1), torch.cat(tracks, 1), *compare(near_film, truth.near))


def compare(film: Iterable[Tensor], truth: Truth) -> tuple[Tensor, Tensor]:
    """Return SSIM and PSNR (dB) of films, `(N,)` each, means over their frames.

    Args:
        film: Frames `(N, n, C, H, W)`, as of `watch`.
        truth: The clips.

    Raises:
        ValueError: If there are fewer frames than are asked for.
    """
    near: list[tuple[Tensor, Tensor]] = []
    for part in film:
        for frame in part.clamp(0, 1).unbind(1):
            true = truth.after(len(near) + 1)
            near.append((ssim(frame, true), psnr(frame, true).clamp(max=CEILING)))
    _check_length(len(near), truth.plan)
    similar, noise = (torch.stack(values, 1).mean(1) for values in zip(*near, strict=True))
    return similar, noise


def _check_length(frames: int, plan: Plan) -> None:
    if frames < plan.frames:
        raise ValueError(f"a film has {frames} frames; expected {plan.frames}. Predict as many")
