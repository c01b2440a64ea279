"""Sets that are made by hand from a published original, and lie below `UNBRAID_DATA`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import DataError
from .npz import read_arrays


@dataclass(frozen=True)
class Prepared:
    """An `.npz` file that users make themselves, since its original cannot be passed on as such.

    Args:
        path: Where it is below the folder that `UNBRAID_DATA` names.
        arrays: The kind of dtype (as in `numpy.dtype.name`, without bits for text) and the shape
            of every array.
        origin: How it is made, and of what.
    """

    path: str
    arrays: Mapping[str, tuple[str, tuple[int, ...]]]
    origin: str

    def __str__(self) -> str:
        wanted = [f"{key}, {kind} {shape}" for key, (kind, shape) in self.arrays.items()]
        return f"an .npz file of {' and '.join(wanted)}"


def read_prepared(prepared: Prepared) -> dict[str, np.ndarray]:
    """Return the arrays of a prepared file.

    Raises:
        DataError: If the file is not there, or is not as it should be; it says what is expected,
            and where the original comes from.
    """
    folder = os.environ.get("UNBRAID_DATA")
    path = Path(folder or "", prepared.path)
    if not folder or not path.is_file():
        raise DataError(
            f"{prepared.path} is not in the folder that UNBRAID_DATA names, {folder!r}; expected "
            f"{prepared}. {prepared.origin}"
        )
    arrays, _ = read_arrays(path, tuple(prepared.arrays))
    found = {key: (_kind(array), array.shape) for key, array in arrays.items()}
    for key, expected in prepared.arrays.items():
        if found.get(key) != expected:
            kind, shape = found.get(key, ("missing", ""))
            raise DataError(
                f"{key} in {path} is {kind} {shape}".rstrip() + f"; expected {prepared}. "
                f"{prepared.origin}"
            )
    return arrays


def _kind(array: np.ndarray) -> str:
    return "text" if array.dtype.kind == "U" else array.dtype.name
