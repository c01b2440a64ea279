"""What is legal in the user's data, but not what they will have meant."""

import hashlib
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from .dataset import Dataset, Splits
from .errors import DataWarning

_CHUNK = 1024


def warn_of_oddities(splits: Splits) -> None:
    """Warn of test data that are trained on, and of images without any contrast."""
    name = splits.train.name
    trained = set(_digests(splits.train))
    tested = list(_digests(splits.test))
    if len(trained) == 1:
        warnings.warn(f"all training data of {name} are the same", DataWarning)
    repeated = sum(digest in trained for digest in tested)
    if repeated:
        warnings.warn(
            f"{repeated} of the {len(tested)} test data of {name} are also training data",
            DataWarning,
        )
    blank = sum(_count_blank(data) for data in (splits.train, splits.validation, splits.test))
    if blank:
        warnings.warn(f"{blank} of the data of {name} have one colour only", DataWarning)


def _rows(data: Dataset) -> Iterator[Tensor]:
    """Give the images `(n, P)` chunk by chunk."""
    return (data.pixels(rows).flatten(1) for rows in torch.arange(len(data)).split(_CHUNK))


def _digests(data: Dataset) -> Iterator[bytes]:
    for rows in _rows(data):
        for row in rows.numpy():
            yield hashlib.blake2b(row, digest_size=16).digest()


def _count_blank(data: Dataset) -> int:
    return sum(int((rows.amin(1) == rows.amax(1)).sum()) for rows in _rows(data))
