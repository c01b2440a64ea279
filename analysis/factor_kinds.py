"""Which factors are classes, and which are numbers on a scale."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .score_inputs import Values, are_classes, target_columns


def class_columns(what: str, factors: Values, count: int) -> NDArray[np.integer]:
    """Return factors that are classes as integers `(N, F)`.

    Args:
        what: What the message calls them.
        factors: Integers or bools `(N,)` or `(N, F)`.
        count: Number `N` of codes that they belong to.

    Raises:
        ValueError: If they are no integers, or not as many.
    """
    columns = target_columns(what, factors, count)
    if not are_classes(factors):
        raise ValueError(
            f"{what} are not integers; expected classes. Number the values of each factor, or "
            "leave continuous factors out."
        )
    return columns.astype(np.int64)


def which_discrete(
    factors: Values, discrete: Sequence[bool] | None, count: int
) -> NDArray[np.bool_]:
    """Return which factors are classes, `(F,)`: as told, or all if they are integers, else none.

    Args:
        factors: `(N,)` or `(N, F)`.
        discrete: Which factors are classes, if told.
        count: Number `F` of factors.

    Raises:
        ValueError: If not as many were told.
    """
    if discrete is None:
        return np.full(count, are_classes(factors))
    if len(discrete) != count:
        raise ValueError(
            f"discrete has {len(discrete)} entries; expected {count}. Give one per factor."
        )
    return np.array(discrete, bool)


def numbered_classes(
    train: NDArray[Any], test: NDArray[Any], classes: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return factors whose classes, whatever numbers they are, are 0, 1, ... in the same order.

    Args:
        train: `(N, F)`.
        test: `(M, F)`.
        classes: Which factors are classes, `(F,)`; the others stay as they are.
    """
    parts = np.array(train, float), np.array(test, float)
    for f in np.flatnonzero(classes):
        both = np.concatenate([part[:, f] for part in parts])
        numbers = np.unique(both, return_inverse=True)[1].ravel()
        parts[0][:, f], parts[1][:, f] = numbers[: len(train)], numbers[len(train) :]
    return parts


def check_two_codes(what: str, codes: NDArray[np.floating]) -> None:
    """Raise `ValueError` where there is one code only, which has no gap to a second one."""
    if codes.shape[1] < 2:
        raise ValueError(
            f"{what} have {codes.shape[1]} column; expected at least 2. One code has no gap to a "
            "second; see knn_accuracy."
        )


def check_two_factors(what: str, count: int) -> None:
    """Raise `ValueError` where there is one factor only, which nothing can be mixed with."""
    if count < 2:
        raise ValueError(
            f"{what} have {count} column; expected at least 2. With one there is nothing to "
            "tell apart; see knn_accuracy."
        )
