"""What the scores of codes are given: arrays or tensors, looked at once."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Values: TypeAlias = Tensor | NDArray[Any]
"""Codes, images, labels or factors, one row per datum, on any device."""


def code_rows(what: str, codes: Values) -> NDArray[np.floating]:
    """Return codes or images as finite floats `(N, K)`, each datum flattened.

    Args:
        what: What the message calls them.
        codes: `(N, ...)`, at least one datum of at least one value.

    Raises:
        ValueError: If there are none, or one is not a finite number.
    """
    values = host_array(codes)
    if values.ndim < 2 or 0 in values.shape:
        raise ValueError(
            f"{what} have shape {values.shape}; expected (N, K) with N and K at least 1. "
            "Give one row per datum."
        )
    return _finite(what, values.reshape(len(values), -1))


def class_column(what: str, labels: Values, count: int) -> NDArray[np.integer]:
    """Return classes as integers `(N,)`.

    Args:
        what: What the message calls them.
        labels: Integers or bools `(N,)`.
        count: Number `N` of codes that they belong to.

    Raises:
        ValueError: If they are no integers, or not as many.
    """
    values = host_array(labels)
    if values.shape != (count,):
        raise ValueError(
            f"{what} have shape {values.shape}; expected ({count},). Give one class per code."
        )
    if values.dtype.kind not in "iub":
        raise ValueError(
            f"{what} are {values.dtype}; expected integers. Give the number of the class of "
            "each datum."
        )
    return values.astype(np.int64)


def target_columns(what: str, targets: Values, count: int) -> NDArray[np.floating]:
    """Return what is told from codes as finite floats `(N, F)`, one column per target.

    Args:
        what: What the message calls them.
        targets: Numbers `(N,)` or `(N, F)`.
        count: Number `N` of codes that they belong to.

    Raises:
        ValueError: If there are not as many, or one is not a finite number.
    """
    values = host_array(targets)
    columns = values[:, None] if values.ndim == 1 else values
    if columns.ndim != 2 or len(columns) != count or columns.shape[1] == 0:
        raise ValueError(
            f"{what} have shape {values.shape}; expected ({count},) or ({count}, F) with F at "
            "least 1. Give one row per code."
        )
    return _finite(what, columns).astype(np.float64)


def are_classes(targets: Values) -> bool:
    """Return whether targets are integers or bools."""
    return host_array(targets[:0]).dtype.kind in "iub"


def check_varies(what: str, targets: NDArray[Any], known: NDArray[np.bool_] | None = None) -> None:
    """Raise `ValueError` where a column has one value only: nothing can be told of it.

    Args:
        what: What the message calls the columns.
        targets: `(N, F)`.
        known: Which of them count, `(N, F)`; all unless given.
    """
    for column, values in enumerate(targets.T):
        counted = values if known is None else values[known[:, column]]
        if (counted == counted[:1]).all():
            one = (counted if len(counted) else values)[0]
            raise ValueError(
                f"{what}[:, {column}] are all {one:g}; expected at least two values. Leave "
                "that column out, or give data in which it varies."
            )


def check_widths(train: NDArray[Any], test: NDArray[Any], what: str = "codes") -> None:
    """Raise `ValueError` unless both parts, `(N, K)` and `(M, K)`, have as many columns."""
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"test_{what} have {test.shape[1]} values per datum; expected {train.shape[1]}, as "
            f"train_{what} have. Take both from the same source."
        )


def host_array(values: Values) -> NDArray[Any]:
    """Return an array, of a tensor on any device without its gradient; bfloat16 as float32."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    wide = values.is_floating_point() and values.element_size() < 4  # numpy has no bfloat16
    return (values.float() if wide else values).numpy()


def _finite(what: str, values: NDArray[Any]) -> NDArray[np.floating]:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{what} are {values.dtype}; expected real numbers. Convert them.")
    small = values.dtype in (np.float32, np.float16, np.uint8, np.bool_)
    floats = values.astype(np.float32 if small else np.float64)
    wrong = np.argwhere(~np.isfinite(floats))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{what}[{row}, {column}] is {floats[row, column]}; expected finite numbers. "
            "Find out where training went astray."
        )
    return floats
