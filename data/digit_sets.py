"""Digits by the name of their set, for data that are drawn from them."""

from collections.abc import Callable
from typing import Literal

from .dataset import Splits
from .errors import DataError
from .mnist import mnist, mnist_small

DigitSet = Literal["mnist-small", "mnist"]
_SETS: dict[str, Callable[[int], Splits]] = {"mnist-small": mnist_small, "mnist": mnist}


def digits_of(digits_from: str, seed: int) -> Splits:
    """Return grey digits of 28 x 28 pixels with their labels.

    Raises:
        DataError: If there is no such set.
        DownloadError: If it cannot be fetched.
    """
    if digits_from not in _SETS:
        raise DataError(f"digits_from is {digits_from!r}; expected one of {', '.join(_SETS)}")
    return _SETS[digits_from](seed)
