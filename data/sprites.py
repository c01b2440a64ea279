"""Characters of the Liberated Pixel Cup: who they are stays, what they do changes.

1296 identities, each of six bodies, bottomwears, topwears and hairs, are composed in 178 poses.

Sources: Li and Mandt (2018), https://arxiv.org/abs/1803.02991, for the identities, their split and
the nine actions; Helminger, Djelouah, Gross and Weber (2018), who take all poses of an identity as
its frames.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .dataset import Dataset, Splits
from .errors import DataError
from .sprite_files import fetch_sheets
from .sprite_sheets import (
    ATTRIBUTES,
    CELL,
    CELLS,
    POSES,
    SHEET_ROWS,
    VARIANTS,
    pose_of,
    read_layers,
)
from .sprite_store import Sprites

IDENTITIES = VARIANTS ** len(ATTRIBUTES)  # 1296
_TRAIN = 1000  # identities that train and validate in the published split
_SPLIT_SEED = 423  # of the published split
_FEWEST = 4  # identities that three parts can be cut from
_VALIDATION_SHARE = 10  # one in so many training identities validates
_COLUMNS = {  # of the sheet, for the eight frames of the nine actions
    "walk": (8, 1, 2, 3, 4, 5, 6, 7),
    "spellcast": (0, 1, 2, 3, 4, 5, 4, 6),
    "slash": (0, 1, 2, 3, 4, 5, 4, 0),
}
_SEEN_FROM = ("front", "left", "right")
ACTIONS = tuple(f"{block} {direction}" for block in _COLUMNS for direction in _SEEN_FROM)


def sprites(seed: int, *, size: int = CELL, identities: int = IDENTITIES) -> Splits:
    """Return one sequence per identity, whose 178 frames are all poses of the sheet.

    The factors of a sequence are its four attributes; those of a frame are its `pose`, in the
    order of the sheet, and its `action`, the row of the sheet: spellcast, thrust, walk, slash and
    shoot, each up, left, front and right, and hurt. For all poses, two pieces of clothing are
    others than in `sprites_actions`.

    Args:
        seed: Chooses the validation identities among the training identities, one in ten.
        size: Pixels, both ways: 64, or a divisor of 64 that frames are averaged down to.
        identities: How many of the 1296 to take, 4 or more. The published split orders all, and
            has 1000 to train and 296 to test; the first of both are taken, in that proportion.

    Raises:
        DataError: If an option is out of range, or a file is not the right one.
        DownloadError: If a file cannot be fetched.
    """
    _check(size, identities)
    layers = read_layers(fetch_sheets(all_poses=True))
    store = Sprites.of(layers, _looks(torch.arange(IDENTITIES)), _every_pose(IDENTITIES), size)
    rows = torch.tensor([row for row, _ in CELLS])
    known = torch.stack([torch.arange(POSES), rows], dim=1)

    def make(chosen: Tensor) -> Dataset:
        return Dataset(
            store.take(chosen),
            "sprites",
            factors=attributes(chosen),
            factor_names=ATTRIBUTES,
            factor_sizes=(VARIANTS,) * len(ATTRIBUTES),
            groups=chosen,
            frame_factors=known.expand(len(chosen), -1, -1),
            frame_factor_names=("pose", "action"),
            frame_factor_sizes=(POSES, SHEET_ROWS),
        )

    return _split(make, seed, identities)


def sprites_actions(seed: int, *, size: int = CELL, identities: int = IDENTITIES) -> Splits:
    """Return Li and Mandt's nine sequences per identity: three actions, seen from three sides.

    Each has eight frames; its label is one of `ACTIONS`. The factors of a sequence are its four
    attributes, that of a frame is its `pose`, as in `sprites`. All sequences of an identity fall
    into one split.

    Args:
        seed: Chooses the validation identities among the training identities, one in ten.
        size: Pixels, both ways: 64, or a divisor of 64 that frames are averaged down to.
        identities: How many of the 1296 to take, as in `sprites`.

    Raises:
        DataError: If an option is out of range, or a file is not the right one.
        DownloadError: If a file cannot be fetched.
    """
    _check(size, identities)
    layers = read_layers(fetch_sheets(all_poses=False))
    poses = action_poses()
    actions = torch.arange(len(ACTIONS))
    everyone = torch.arange(IDENTITIES).repeat_interleave(len(actions))
    store = Sprites.of(layers, _looks(everyone), poses.repeat(IDENTITIES, 1), size)

    def make(chosen: Tensor) -> Dataset:
        who, what = chosen.repeat_interleave(len(actions)), actions.repeat(len(chosen))
        return Dataset(
            store.take(who * len(actions) + what),
            "sprites-actions",
            labels=what,
            label_names=ACTIONS,
            factors=attributes(who),
            factor_names=ATTRIBUTES,
            factor_sizes=(VARIANTS,) * len(ATTRIBUTES),
            groups=who,
            frame_factors=poses[what].unsqueeze(-1),
            frame_factor_names=("pose",),
            frame_factor_sizes=(POSES,),
        )

    return _split(make, seed, identities)


def attributes(identities: Tensor) -> Tensor:
    """Return body, bottomwear, topwear and hair, the digits in base 6, int64 `(M, 4)`."""
    places = VARIANTS ** torch.arange(len(ATTRIBUTES) - 1, -1, -1)
    return identities.unsqueeze(1) // places % VARIANTS


def action_poses() -> Tensor:
    """Return which poses the eight frames of each of `ACTIONS` have, int64 `(9, 8)`."""
    return torch.tensor(
        [
            [pose_of(block, direction, column) for column in columns]
            for block, columns in _COLUMNS.items()
            for direction in _SEEN_FROM
        ]
    )


def split_identities(seed: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return which of the first `count` identities train, validate and test, int64 each."""
    order = torch.from_numpy(np.random.RandomState(_SPLIT_SEED).permutation(IDENTITIES))
    trained = round(count * _TRAIN / IDENTITIES)
    rest, test = order[:trained], order[_TRAIN : _TRAIN + count - trained]
    mixed = rest[torch.randperm(trained, generator=torch.Generator().manual_seed(seed))]
    held_out = max(1, round(trained / _VALIDATION_SHARE))
    return mixed[held_out:].sort().values, mixed[:held_out].sort().values, test.sort().values


def _split(make: Callable[[Tensor], Dataset], seed: int, count: int) -> Splits:
    return Splits(*(make(part) for part in split_identities(seed, count)), in_order=True)


def _looks(identities: Tensor) -> Tensor:
    """Return the variant of each layer: those of the attributes, and the shoes."""
    shoes = torch.zeros(len(identities), 1, dtype=torch.int64)
    return torch.cat([attributes(identities), shoes], dim=1)


def _every_pose(count: int) -> Tensor:
    return torch.arange(POSES).expand(count, -1)


def _check(size: int, identities: int) -> None:
    if type(size) is not int or size < 1 or CELL % size:
        raise DataError(f"size is {size!r}; expected a divisor of {CELL}, such as 64 or 32")
    if type(identities) is not int or not _FEWEST <= identities <= IDENTITIES:
        raise DataError(
            f"identities is {identities!r}; expected an integer from {_FEWEST} to {IDENTITIES}"
        )
