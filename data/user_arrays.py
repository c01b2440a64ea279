"""The user's own `.npz`: find the axes, bring pixels to 8 bits, check what is known about them."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .dataset import Dataset
from .errors import DataError, DataWarning
from .npz import read_arrays

_PIXELS = ("images", "sequences")
_KEYS = (*_PIXELS, "labels", "factors", "factor_names", "groups", "lengths")
_CHANNELS = (1, 3)
_CHUNK = 2**20  # pixels that are converted at a time
_ROUNDING = 1e-3 / 255  # a change that comes from float32 alone


def read_npz(path: Path) -> Dataset:
    """Read images or sequences, and what is known about them, from an `.npz` file.

    Keys: `images`, `(N, H, W)`, `(N, C, H, W)` or `(N, H, W, C)`; or `sequences`, the same with
    `(S, T)` in the place of `N`. Optional: `labels`, `factors` `(N, F)`, `factor_names`, `groups`,
    `lengths`.

    Raises:
        DataError: If the file is damaged or something in it is not as it should be.
    """
    arrays, unknown = read_arrays(path, _KEYS)
    present = [key for key in _PIXELS if key in arrays]
    if len(present) != 1:
        found = ", ".join([*arrays, *unknown]) or "none"
        raise DataError(f"keys of {path} are {found}; expected either images or sequences")
    if unknown:
        warnings.warn(
            f"keys {', '.join(unknown)} of {path} are not used; known keys are {', '.join(_KEYS)}",
            DataWarning,
        )
    key, where = present[0], f"{present[0]} in {path}"
    images = channels_first(arrays[key], sequences=key == "sequences", where=where)
    names = arrays.get("factor_names", np.empty(0, "U"))
    labels, label_names = _labels(arrays.get("labels"), path)
    factors, sizes = _factors(arrays.get("factors"), path)
    return Dataset(
        to_bytes(images, where),
        name=path.stem,
        labels=labels,
        label_names=label_names,
        factors=factors,
        factor_names=tuple(str(name) for name in np.atleast_1d(names)),
        factor_sizes=sizes,
        groups=_groups(arrays.get("groups"), path),
        lengths=_integers(arrays.get("lengths"), f"lengths in {path}"),
    )


def channels_first(array: np.ndarray, sequences: bool, where: str) -> np.ndarray:
    """Return a view `(N, C, H, W)`, or `(S, T, C, H, W)`, of an array of one of the known layouts.

    Raises:
        DataError: If the layout is none of these, or could be two of them.
    """
    lead = "S, T" if sequences else "N"
    axes = array.ndim - (2 if sequences else 1)
    if axes == 2:
        return np.expand_dims(array, -3)
    first = axes == 3 and array.shape[-3] in _CHANNELS
    last = axes == 3 and array.shape[-1] in _CHANNELS
    if first == last:
        problem = "could be either of the last two layouts" if first else "is none of these"
        raise DataError(
            f"shape of {where} is {array.shape}; expected ({lead}, H, W), ({lead}, C, H, W) or "
            f"({lead}, H, W, C) with 1 or 3 channels C. This {problem}; "
            "give it exactly one axis of channels, and no side of 1 or 3 pixels."
        )
    return array if first else np.moveaxis(array, -1, -3)


def to_bytes(images: np.ndarray, where: str) -> Tensor:
    """Return images as uint8, 0 to 255.

    Accepts bool, integers from 0 to 255 (where there is nothing but 0 and 1, these are black and
    white) and floats from 0 to 1, which are rounded to 8 bits, with a warning if they change.

    Raises:
        DataError: If the dtype or the values are none of these; the first bad row is named.
    """
    if images.dtype.kind not in "buif":
        raise DataError(f"dtype of {where} is {images.dtype}; expected bool, uint8 or float")
    result = np.empty(images.shape, np.uint8)
    if images.size == 0:
        return torch.from_numpy(result)
    is_float = images.dtype.kind == "f"
    if is_float:
        _check_finite(images, where)
    low, high = images.min(), images.max()
    if low < 0 or high > (1 if is_float else 255):
        step = "Divide by 255, or save as uint8." if low >= 0 and high <= 255 else "Rescale them."
        raise DataError(
            f"range of {where} is [{low:g}, {high:g}]; "
            f"expected {'[0, 1], for floats' if is_float else '[0, 255]'}. {step}"
        )
    scale = 255 if is_float or high <= 1 else 1
    change = 0.0
    for start, stop in _chunks(images):
        exact = images[start:stop].astype(np.float64) * scale
        result[start:stop] = np.rint(exact)
        change = max(change, float(np.abs(exact - result[start:stop]).max()) / 255)
    if change > _ROUNDING:
        warnings.warn(
            f"{where} are rounded to 8 bits; the largest change is {change:.2g}", DataWarning
        )
    return torch.from_numpy(result)


def _chunks(images: np.ndarray) -> list[tuple[int, int]]:
    rows = max(1, _CHUNK // max(1, images[0].size))
    return [(start, start + rows) for start in range(0, len(images), rows)]


def _check_finite(values: np.ndarray, where: str) -> None:
    for start, stop in _chunks(values):
        wrong = ~np.isfinite(values[start:stop].reshape(min(stop, len(values)) - start, -1))
        rows = np.flatnonzero(wrong.any(axis=1))
        if len(rows):
            name, _, rest = where.partition(" ")
            raise DataError(
                f"{name}[{start + rows[0]}] {rest} has {wrong[rows[0]].sum()} NaN or infinite of "
                f"{wrong.shape[1]} values; expected finite ones. Leave such rows out."
            )


def _integers(values: np.ndarray | None, where: str) -> Tensor | None:
    if values is None:
        return None
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise DataError(
            f"{where} are {values.dtype} of shape {values.shape}; expected a vector of integers"
        )
    return torch.from_numpy(values.astype(np.int64))


def _labels(values: np.ndarray | None, path: Path) -> tuple[Tensor | None, tuple[str, ...]]:
    """Return classes and their names; labels that are strings are numbered in sorted order."""
    if values is not None and values.dtype.kind == "U" and values.ndim == 1:
        names, classes = np.unique(values, return_inverse=True)
        return torch.from_numpy(classes.astype(np.int64)), tuple(names.tolist())
    labels = _integers(values, f"labels in {path}")
    if labels is not None and len(labels) and labels.max() >= len(labels):
        raise DataError(
            f"largest of {len(labels)} labels in {path} is {labels.max()}; "
            "expected classes counted from 0"
        )
    return labels, ()


def _factors(values: np.ndarray | None, path: Path) -> tuple[Tensor | None, tuple[int, ...]]:
    """Return integer factors as class indices with their sizes, others as float32 with size 0."""
    if values is None:
        return None, ()
    if values.dtype.kind not in "iuf" or values.ndim != 2:
        raise DataError(
            f"factors in {path} are {values.dtype} of shape {values.shape}; "
            "expected numbers of shape (N, F)"
        )
    if values.dtype.kind == "f":
        _check_finite(values, f"factors in {path}")
        return torch.from_numpy(values.astype(np.float32)), (0,) * values.shape[1]
    pairs = [np.unique(column, return_inverse=True) for column in values.T]
    indices = np.stack([classes for _, classes in pairs], axis=1).astype(np.int64)
    return torch.from_numpy(indices), tuple(len(distinct) for distinct, _ in pairs)


def _groups(values: np.ndarray | None, path: Path) -> Tensor | None:
    if values is None:
        return None
    if values.dtype.kind not in "iuU" or values.ndim != 1:
        raise DataError(
            f"groups in {path} are {values.dtype} of shape {values.shape}; "
            "expected a vector of integers or strings"
        )
    return torch.from_numpy(np.unique(values, return_inverse=True)[1].astype(np.int64))
