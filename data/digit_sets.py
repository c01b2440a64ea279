"""Digits by the name of their set, or of the user's own, for data that are drawn from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from .dataset import Splits
from .errors import DataError
from .idx import idx_prefix, read_idx_pair
from .mnist import mnist, mnist_small
from .splitting import split
from .user_arrays import read_npz

DigitSet = Literal["mnist-small", "mnist"]
DigitSource = DigitSet | Path
"""A set by name, or the path of one of the user's own."""
_SETS: dict[str, Callable[[int], Splits]] = {"mnist-small": mnist_small, "mnist": mnist}


def digits_of(digits_from: str | Path, seed: int) -> Splits:
    """Return grey digits with their labels, of 28 x 28 pixels where the set has a name.

    Args:
        digits_from: Name of a set, or the path of an `.npz` file or of idx files.
        seed: Chooses the validation data, and the test data of the user's own.

    Raises:
        DataError: If there is no such set, or digits are not grey or have no labels.
        DownloadError: If it cannot be fetched.
    """
    if str(digits_from) in _SETS:
        return _SETS[str(digits_from)](seed)
    path = Path(digits_from)
    prefix = idx_prefix(path)
    if prefix is None and not (path.suffix == ".npz" and path.is_file()):
        raise DataError(
            f"digits_from is {str(digits_from)!r}; expected one of {', '.join(_SETS)}, or a path "
            "of your own: an .npz file with images and labels, or the prefix of idx files"
        )
    found = read_npz(path) if prefix is None else read_idx_pair(prefix, prefix.name)
    if found.is_sequence or found.shape[0] != 1 or found.labels is None:
        raise DataError(
            f"digits in {path} are of shape {tuple(found.images.shape)}, "
            f"{'without' if found.labels is None else 'with'} labels; expected grey images "
            "(N, 1, H, W) with labels. Save them as images and labels"
        )
    return split(found, seed)
