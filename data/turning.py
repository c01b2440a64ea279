"""Clips of a turntable: successive frames in one direction, and the actions that lead to each.

Source: Yang, Reed, Yang & Lee (2015), "Weakly-supervised Disentangling with Recurrent
Transformations for 3D View Synthesis", https://arxiv.org/abs/1601.00706, whose curriculum draws
clips of 1, 2, 4, 8 and 16 rotations.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Generator, Tensor

from .dataset import Dataset
from .errors import DataError
from .wording import counted

FULL_TURN = 360.0
_FEWEST = 3  # frames, since of two nothing tells which way a turn went
_TOLERANCE = 1e-3  # degrees, of the angle between two frames


@dataclass(frozen=True)
class Turning:
    """How many rotations the clips of each stage of a training show.

    Args:
        turns: Rotations of a clip, by stage, each at least 1: a clip has a frame more.
        steps: Steps of each stage but the last, which goes on to the end.
        factor: The factor of frames that is their angle, in degrees.

    Raises:
        ValueError: If there is no stage, or a number is out of range.
    """

    turns: tuple[int, ...]
    steps: tuple[int, ...] = ()
    factor: str = "angle"

    def __post_init__(self) -> None:
        if not self.turns or any(type(n) is not int or n < 1 for n in self.turns):
            raise ValueError(
                f"turns are {self.turns}; expected integers of at least 1, one per stage"
            )
        if len(self.steps) != len(self.turns) - 1 or any(
            type(n) is not int or n < 1 for n in self.steps
        ):
            raise ValueError(
                f"steps are {self.steps}; expected {len(self.turns) - 1} integers of at least 1, "
                "one for each stage but the last"
            )

    def at(self, step: int) -> int:
        """Return the number of rotations of the clips of a step, counted from 0."""
        return self.turns[bisect_right(list(accumulate(self.steps)), step)]

    def held_out(self, turns: int | None = None) -> "Turning":
        """Return what judges a pair: clips of the last stage, or of another number of rotations.

        Raises:
            ValueError: If the number is out of range.
        """
        return Turning(self.turns[-1:] if turns is None else (turns,), (), self.factor)


class Turntable:
    """Turns whose frames are evenly spaced all around; checked once, drawn from at every step.

    Args:
        dataset: The turns.
        turning: What clips are drawn, and which factor is the angle.

    Raises:
        DataError: If the data are no sequences, know no angles, or are no whole turns.
        ValueError: If clips would be longer than a turn.
    """

    def __init__(self, dataset: Dataset, turning: Turning) -> None:
        self.turning = turning
        self.signs = _directions(dataset, turning.factor)
        self.frames = dataset.images.shape[1]
        longest = max(turning.turns)
        if longest >= self.frames:
            raise ValueError(
                f"a clip shows {counted(longest, 'rotations')}; expected 1 to {self.frames - 1}, "
                f"since a turn of {dataset.name} has {counted(self.frames, 'frames')}. Choose "
                "fewer"
            )

    def draw(self, index: Tensor, turns: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw a clip of each turn: where it starts, and in which direction it goes.

        Args:
            index: Which turns, int64 `(B,)`.
            turns: Rotations `T` of each clip.
            seed: Of the draw, which is the same on every device.

        Returns:
            Places int64 `(B, T + 1)`, and actions float32 `(B, T + 1)`: 0 for the first frame, and
            1 (to larger angles) or -1 from one frame to the next.
        """
        generator = Generator().manual_seed(seed)
        # Row by row, so that the first clips of many are those of few.
        drawn = torch.randint(2 * self.frames, (len(index), 1), generator=generator)
        start, way = drawn // 2, 2 * (drawn % 2) - 1
        start, way = start.to(index.device), way.to(index.device)
        time = torch.arange(turns + 1, device=index.device)
        places = (start + way * time) % self.frames
        ways = way * self.signs.to(index.device)[index].unsqueeze(1)
        return places, (ways * (time > 0)).float()


def _directions(dataset: Dataset, factor: str) -> Tensor:
    """Return int64 `(S,)`: 1 where angles of a turn grow from frame to frame, -1 where they fall.

    Raises:
        DataError: If there are no such angles, or they are no whole turn in even steps.
    """
    name = dataset.name
    if not dataset.is_sequence:
        raise DataError(
            f"{name} are images without sequence ids; expected turns of a turntable, sequences "
            f"with a factor of frames {factor!r}. See docs/action-rotation.md for how to give them"
        )
    angles = dataset.annotations().get("frame_factors")
    if angles is None or factor not in dataset.frame_factor_names:
        known = ", ".join(dataset.frame_factor_names) if angles is not None else "none"
        raise DataError(
            f"factors of frames of {name} are {known}; expected {factor}, in degrees, from which "
            "actions are told. Give frame_factors with this name, or set factor=NAME"
        )
    if dataset.lengths is not None or dataset.images.shape[1] < _FEWEST:
        raise DataError(
            f"turns of {name} have "
            f"{'different lengths' if dataset.lengths is not None else 'two frames or fewer'}; "
            f"expected whole turns, all of one number of frames, at least {_FEWEST}"
        )
    column = angles[..., dataset.frame_factor_names.index(factor)].double()
    change = column.roll(-1, 1) - column
    change = (change + FULL_TURN / 2) % FULL_TURN - FULL_TURN / 2
    even = FULL_TURN / column.shape[1]
    signs = change[:, :1].sign()
    wrong = ~((change - signs * even).abs() < _TOLERANCE)
    if bool(wrong.any()):
        turn, place = (int(n) for n in wrong.nonzero()[0])
        raise DataError(
            f"from frame {place} to the next of turn {turn} of {name} the {factor} changes by "
            f"{float(change[turn, place]):g} degrees; expected {even:g} all along, as "
            f"{column.shape[1]} frames go around once. Give whole turns in even steps, such as "
            "coil20 with turns=true"
        )
    return signs.squeeze(1).long()
