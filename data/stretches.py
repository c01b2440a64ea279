"""Stretches of long sequences, some of which are held out of each."""

from torch import Tensor

from .errors import DataError

_SHARE = 5  # one in so many stretches validates, and one tests; at least one


def cut(videos: Tensor, length: int) -> Tensor:
    """Cut videos `(V, T, ...)` into stretches of `length` frames, `(V, K, length, ...)`.

    What is left over at the end is left out.

    Raises:
        DataError: If there are fewer than three stretches, for three parts.
    """
    longest = videos.shape[1] // 3
    if type(length) is not int or not 1 <= length <= longest:
        raise DataError(
            f"length is {length!r}; expected an integer from 1 to {longest}, so that there are "
            "stretches to train, to validate and to test"
        )
    count = videos.shape[1] // length
    return videos[:, : count * length].unflatten(1, (count, length))


def held_out(count: int) -> int:
    """Return how many of `count` stretches validate, and how many test."""
    return max(1, count // _SHARE)
