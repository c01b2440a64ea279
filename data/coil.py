"""Twenty objects on a turntable: Columbia's COIL-20.

Source: Nene, Nayar and Murase (1996), "Columbia Object Image Library (COIL-20)", technical report
CUCS-005-96.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .dataset import Dataset, Splits
from .errors import DataError
from .prepared import Prepared, read_prepared
from .shrinking import shrink
from .stretches import cut, held_out

_OBJECTS, _ANGLES, _SIDE = 20, 72, 64
_DEGREES = 5  # between frames
_PHASES = 2  # of whole turns: one to train on, one that is held out
_SIZES = (64, 32, 16)
_FILE = Prepared(
    "coil20/coil20_64x64.npz",
    {
        "images": ("uint8", (_OBJECTS, _ANGLES, _SIDE, _SIDE)),
        "angle_deg": ("int64", (_ANGLES,)),
    },
    "It is made of the processed images of COIL-20, https://www.cs.columbia.edu/CAVE/databases/"
    "SLAM_coil-20_coil-100/coil-20/coil-20-proc.zip, at half their size; angles are 0 to 355 "
    "degrees in steps of 5.",
)

_NAMES: dict[str, Any] = {
    "name": "coil20",
    "label_names": tuple(f"object {n}" for n in range(1, _OBJECTS + 1)),
    "frame_factor_names": ("angle",),
    "frame_factor_sizes": (0,),
}


def coil20(seed: int, *, size: int = 64, length: int = 12, turns: bool = False) -> Splits:
    """Return stretches of the turn of twenty objects; labels are the objects.

    Every turn is cut into stretches from angle 0. A fifth of them, at least one, tests, and as
    many validate; which, is drawn by `seed` for every object on its own. So held out are pairs of
    an object and angles: all objects train, and nearly all angles do, on other objects. Held-out
    objects would be two or four, too few to judge by, and the others too few to know objects in
    general. The frames at the ends of a stretch are 5 degrees from those of its neighbours.

    `frame_factors` are the angle in degrees, 0 to 355; 355 and 0 are neighbours.

    Args:
        seed: Chooses the stretches that test and validate.
        size: Side of a frame in pixels: 64, or 32 or 16 by averages over areas.
        length: Number of frames in a stretch, 1 to 24; frames left over at the end of the turn
            are left out.
        turns: Whole turns in place of stretches, in steps of 10 degrees: all objects train at the
            angles 5, 15, ... 355; at 0, 10, ... 350 a fifth of the objects, drawn by `seed`,
            validates and the others test. So every angle that is judged is held out of all
            training, also between two rotations; `length` does not count.

    Raises:
        DataError: If the file is not there or not as it should be, or an option is out of range.
    """
    arrays = read_prepared(_FILE)
    _check_angles(arrays["angle_deg"])
    frames = torch.from_numpy(arrays["images"]).flatten(0, 1).unsqueeze(1)
    whole = shrink(frames, size, _SIZES).unflatten(0, (_OBJECTS, _ANGLES))
    if turns:
        return _whole_turns(seed, whole, torch.from_numpy(arrays["angle_deg"]).float())
    stretches = cut(whole, length)
    count = stretches.shape[1]
    angles = torch.from_numpy(arrays["angle_deg"]).float()[: count * length].view(count, length)
    data = Dataset(
        stretches.flatten(0, 1),
        labels=torch.arange(_OBJECTS).repeat_interleave(count),
        frame_factors=angles.repeat(_OBJECTS, 1).unsqueeze(2),
        **_NAMES,
    )
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(_OBJECTS, count, generator=generator).argsort(1)
    held = held_out(count)
    first = torch.arange(_OBJECTS).unsqueeze(1) * count
    parts = (order[:, 2 * held :], order[:, held : 2 * held], order[:, :held])
    taken = (data.take((first + part).flatten().sort().values) for part in parts)
    return Splits(*taken, in_order=True)


def _whole_turns(seed: int, frames: Tensor, angles: Tensor) -> Splits:
    """Return turns of every second of frames `(20, 72, 1, H, W)`: odd ones train."""
    held, trained = (
        Dataset(
            frames[:, phase::_PHASES].contiguous(),
            labels=torch.arange(_OBJECTS),
            frame_factors=angles[phase::_PHASES].repeat(_OBJECTS, 1).unsqueeze(2),
            **_NAMES,
        )
        for phase in range(_PHASES)
    )
    order = torch.randperm(_OBJECTS, generator=torch.Generator().manual_seed(seed))
    count = held_out(_OBJECTS)
    parts = order[:count].sort().values, order[count:].sort().values
    return Splits(trained, *(held.take(part) for part in parts), in_order=True)


def _check_angles(angles: np.ndarray) -> None:
    expected = np.arange(_ANGLES) * _DEGREES
    if not np.array_equal(angles, expected):
        place = int(np.flatnonzero(angles != expected)[0])
        raise DataError(
            f"angle_deg[{place}] in {_FILE.path} is {angles[place]}; expected {expected[place]}. "
            "Sort the frames by angle, 0 to 355 degrees in steps of 5."
        )
