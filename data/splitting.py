"""Cut data into training, validation and test parts."""

import torch
from torch import Tensor

from .dataset import Dataset, Splits
from .errors import DataError

FEWEST_GROUPS = 3
_SHARE = 0.1  # of the data that validate, and that test
_TRAIN, _VALIDATION, _TEST = range(3)


def carve(train: Dataset, test: Dataset, validation: int, seed: int) -> Splits:
    """Take `validation` of the training data, chosen by `seed`, to validate on."""
    order = _permutation(len(train), seed)
    held_out, kept = order[:validation].sort().values, order[validation:].sort().values
    return Splits(train.take(kept), train.take(held_out), test)


def split(data: Dataset, seed: int) -> Splits:
    """Cut data by `seed` into 80 % to train, 10 % to validate and 10 % to test.

    Sequences stay whole, and so do groups where the data have them.

    Raises:
        DataError: If there are too few of them for three parts.
    """
    require(data, len(data), "sequences" if data.is_sequence else "images", at_least=4)
    unit, sizes = torch.arange(len(data)), torch.ones(len(data), dtype=torch.int64)
    if data.groups is not None:
        _, unit, sizes = data.groups.unique(return_inverse=True, return_counts=True)
        require(data, len(sizes), "groups", at_least=FEWEST_GROUPS)
    part = _parts(sizes, max(1, round(_SHARE * len(data))), seed)[unit]
    train, validation, test = (data.take((part == k).nonzero().squeeze(1)) for k in range(3))
    return Splits(train, validation, test, in_order=True)


def require(data: Dataset, count: int, what: str, at_least: int) -> None:
    """Raise `DataError` if `count` images, sequences or groups are too few for three parts."""
    if count < at_least:
        raise DataError(
            f"number of {what} in {data.name} is {count}; expected at least {at_least}, "
            f"to train, to validate and to test. Add {'more' if count else 'some'} {what}"
        )


def _parts(sizes: Tensor, target: int, seed: int) -> Tensor:
    """Choose a part for each unit, so that `target` data or more validate, and test."""
    count = len(sizes)
    order = _permutation(count, seed)
    first = _leading(sizes[order], target, at_most=count - 2)
    second = first + _leading(sizes[order[first:]], target, at_most=count - 1 - first)
    part = torch.full_like(sizes, _TRAIN)
    part[order[:first]] = _TEST
    part[order[first:second]] = _VALIDATION
    return part


def _leading(sizes: Tensor, target: int, at_most: int) -> int:
    """Return how many of the first units hold `target` data together."""
    return min(int((sizes.cumsum(0) < target).sum()) + 1, at_most)


def _permutation(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))
