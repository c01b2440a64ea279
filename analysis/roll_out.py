"""Clips that go on: poses after those that are seen, decoded with the content of the last frame.

A prediction is made of poses alone. No image that was decoded is ever encoded again, so errors of
pixels do not add up.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .passes import mean_images, undisturbed

FRAMES = 1024  # decoded together
SITE = "x"


class PoseRollOut:
    """Poses of clips after the frames that are seen; it remembers where it is.

    The first trajectory goes from mean to mean, so that it has no noise; it is not the mean of the
    others. These draw each pose from its Normal. Their noise depends on the seed and the step, not
    on how many steps are asked for at a time.

    Args:
        model: A model of poses, such as `PosePrediction`: it has a `transition`, whose `begin` and
            `step` tell the mean of the next pose, and a `decoder` of codes, content first.
        guide: Its guide, whose `codes` tell `content` and `pose` of frames. They are asked once,
            here.
        seen: The frames that are seen, `(B, P, C, H, W)` in [0, 1]; the last gives the content.
        samples: Number `S` of trajectories with noise.
        seed: Seed of the noise.

    Attributes:
        content: Contents `(B, F)`.
        seen: Poses `(B, P, Z)` of the frames that are seen.
        samples: Number `S` of trajectories with noise.

    Raises:
        ValueError: If the pair predicts no poses, there are no frames, or `samples` is negative.
    """

    def __init__(
        self, model: Any, guide: Any, seen: Tensor, *, samples: int = 0, seed: int = 0
    ) -> None:
        check_predictor(model, guide)
        if seen.dim() != 5 or 0 in seen.shape:
            raise ValueError(
                f"seen has shape {tuple(seen.shape)}; expected clips (B, P, C, H, W) of at least "
                "one frame. Give the frames of each clip on an axis of their own"
            )
        if samples < 0:
            raise ValueError(
                f"samples is {samples}; expected at least 0. Choose 0 for the trajectory without "
                "noise alone"
            )
        self._model, self.samples = model, samples
        self._noise = torch.Generator().manual_seed(seed)
        self._seed = seed
        transition = model.transition
        with undisturbed(model, guide, seed=seed):
            content = guide.codes.content(seen[:, -1:]).mean
            poses = guide.codes.pose(seen.unsqueeze(1), content.unsqueeze(-2)).mean
            self.content, self.seen = content.squeeze(1), poses.squeeze(1)
            rows = 1 + samples
            self._rows = self.content.repeat(rows, 1)
            memory = transition.begin(len(self._rows))
            for pose in self.seen.repeat(rows, 1, 1).unbind(1):
                loc, memory = transition.step(pose, self._rows, memory)
                self._loc, self._memory = loc, memory

    def advance(self, steps: int) -> Tensor:
        """Go on by so many frames; returns their poses `(1 + S, B, steps, Z)`.

        Raises:
            ValueError: If there is no step.
        """
        if steps < 1:
            raise ValueError(f"steps is {steps}; expected at least 1. Do not call it for none")
        found: list[Tensor] = []
        shape = (1 + self.samples, *self.content.shape[:1], self._loc.shape[-1])
        with undisturbed(self._model, seed=self._seed):
            scale = self._model.transition.scale
            for _ in range(steps):
                noise = torch.randn(self.samples, *shape[1:], generator=self._noise)
                moved = torch.cat([torch.zeros(1, *shape[1:]), noise]).to(scale)
                pose = self._loc + scale * moved.flatten(0, 1)
                found.append(pose)
                self._loc, self._memory = self._model.transition.step(
                    pose, self._rows, self._memory
                )
        return torch.stack(found, 1).unflatten(0, shape[:2])

    def decode(self, poses: Tensor) -> Tensor:
        """Return mean images `(..., B, N, C, H, W)`, on the host, of poses `(..., B, N, Z)`."""
        content = self.content.unsqueeze(1).expand(*poses.shape[:-1], self.content.shape[-1])
        codes = torch.cat([content, poses], -1).flatten(0, -2)
        with undisturbed(self._model, seed=self._seed):
            images = torch.cat(
                [mean_images(self._model.decoder(c), SITE).cpu() for c in codes.split(FRAMES)]
            )
        return images.unflatten(0, poses.shape[:-1])


def predict(
    model: Any, guide: Any, seen: Tensor, frames: int, *, samples: int = 0, seed: int = 0
) -> Iterator[Tensor]:
    """Predict the frames after those that are seen, a few at a time, however many there are.

    Args:
        model: As `PoseRollOut` takes it.
        guide: Its guide.
        seen: The frames that are seen, `(B, P, C, H, W)` in [0, 1].
        frames: Number of frames after these, at least 1.
        samples: Number `S` of trajectories with noise, beside the one from mean to mean.
        seed: Seed of the noise.

    Yields:
        Mean images `(1 + S, B, n, C, H, W)` in [0, 1], on the host, of the next `n` frames; all
        `n` together are `frames`.

    Raises:
        ValueError: If there is nothing to predict, or the pair predicts no poses.
    """
    if frames < 1:
        raise ValueError(
            f"frames is {frames}; expected at least 1, after those that are seen. Choose how far "
            "to predict"
        )
    rolling = PoseRollOut(model, guide, seen, samples=samples, seed=seed)
    return _decoded(rolling, frames, max(1, FRAMES // (len(seen) * (1 + samples))))


def _decoded(rolling: PoseRollOut, frames: int, together: int) -> Iterator[Tensor]:
    for start in range(0, frames, together):
        yield rolling.decode(rolling.advance(min(together, frames - start)))


def check_predictor(model: Any, guide: Any) -> None:
    """Refuse pairs that predict no poses.

    Raises:
        ValueError: If there is no transition, or nothing that tells codes of frames.
    """
    for program, needs in ((model, ("transition", "decoder")), (guide, ("codes",))):
        for name in needs:
            if not hasattr(program, name):
                raise ValueError(
                    f"{type(program).__name__} has no {name}; expected a pair that predicts "
                    "poses. Train one by pose-prediction"
                )
