"""The user's own `.npz`: find the axes, bring pixels to 8 bits, check what is known about them."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .dataset import UNKNOWN, Dataset
from .errors import DataError, DataWarning
from .grouping import as_sequences, group_frames
from .npz import read_arrays

_PIXELS = ("images", "sequences")
_KEYS = (*_PIXELS, "labels", "factors", "factor_names", "groups", "lengths", "sequence_ids")
_KEYS += ("frame_factors", "frame_factor_names")
_CHANNELS = (1, 3)
_CHUNK = 2**20  # pixels that are converted at a time
_ROUNDING = 1e-3 / 255  # a change that comes from float32 alone


def read_npz(path: Path) -> Dataset:
    """Read images or sequences, and what is known about them, from an `.npz` file.

    Keys: `images`, `(N, H, W)`, `(N, C, H, W)` or `(N, H, W, C)`; or `sequences`, the same with
    `(S, T)` in the place of `N`. Optional: `labels`, `factors` `(N, F)`, `factor_names`, `groups`.
    Labels are integers from 0 or text; -1, or an empty text, where the class is not known.

    The dtype says what factors are, those of frames too: integers are classes, whose distinct
    values are numbered in rising order, and floats are continuous, even where all are whole.

    Sequences of different lengths are `sequences` padded to one length, with `lengths` `(S,)`; or
    `images` with `sequence_ids` `(N,)`, integers or text: images of one id are the frames of one
    sequence, in the order in which they come. Labels and groups are then still `(N,)` and the
    same in all frames of a sequence, and factors that change within one are those of frames.

    What is known of frames may be given as `frame_factors`, `(S, T, G)` beside `sequences` and
    `(N, G)` beside `sequence_ids`, with `frame_factor_names`. What is given of padding is ignored.

    Raises:
        DataError: If the file is damaged or something in it is not as it should be.
    """
    arrays, unknown = read_arrays(path, _KEYS)
    present = [key for key in _PIXELS if key in arrays]
    if len(present) != 1:
        found = ", ".join([*arrays, *unknown]) or "none"
        step = (
            "Leave one of them out."
            if present
            else "Save the pixels as numpy.savez(..., images=x)."
        )
        raise DataError(f"keys of {path} are {found}; expected either images or sequences. {step}")
    if unknown:
        warnings.warn(
            f"keys {', '.join(unknown)} of {path} are not used; known keys are {', '.join(_KEYS)}",
            DataWarning,
        )
    _check_together(arrays, path)
    key, where = present[0], f"{present[0]} in {path}"
    images = channels_first(arrays[key], sequences=key == "sequences", where=where)
    labels, label_names = _labels(arrays.get("labels"), path)
    factors, sizes = _factors(arrays.get("factors"), f"factors in {path}", "(N, F)")
    data = Dataset(
        to_bytes(images, where),
        name=path.stem,
        labels=labels,
        label_names=label_names,
        factors=factors,
        factor_names=_names(arrays, "factor_names"),
        factor_sizes=sizes,
        groups=_classes(arrays.get("groups"), f"groups in {path}"),
        lengths=_integers(
            arrays.get("lengths"), f"lengths in {path}", "Count the true frames of each sequence."
        ),
    )
    if "sequence_ids" in arrays:
        data = _grouped(data, arrays, path)
    return data if data.frame_factors is not None else _with_frame_factors(data, arrays, path)


def _check_together(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Refuse keys that do not go with the others."""
    for key, other, reason in (
        ("sequence_ids", "sequences", "which are sequences already"),
        ("sequence_ids", "lengths", "which are counted from the ids"),
    ):
        if key in arrays and other in arrays:
            raise DataError(
                f"keys of {path} are {key} and {other}; expected {key} without {other}, {reason}"
            )
    if "frame_factors" in arrays and not arrays.keys() & {"sequences", "sequence_ids"}:
        raise DataError(
            f"keys of {path} are images and frame_factors; expected frame_factors beside "
            "sequences or sequence_ids. Call them factors if the images are no frames."
        )


def _grouped(data: Dataset, arrays: dict[str, np.ndarray], path: Path) -> Dataset:
    where = f"sequence_ids in {path}"
    ids = _classes(arrays["sequence_ids"], where)
    if ids is None or len(ids) != len(data):
        raise DataError(
            f"number of {where} is {len(arrays['sequence_ids'])}; expected {len(data)}, one for "
            "each of the images"
        )
    grouped = as_sequences(data, arrays["sequence_ids"])
    if grouped.frame_factors is not None and "frame_factors" in arrays:
        raise DataError(
            f"factors in {path} that change within a sequence are "
            f"{', '.join(grouped.frame_factor_names)}; expected none beside frame_factors. "
            "Move them there."
        )
    return grouped


def _with_frame_factors(data: Dataset, arrays: dict[str, np.ndarray], path: Path) -> Dataset:
    """Add the factors of frames, if they are given."""
    values, where = arrays.get("frame_factors"), f"frame_factors in {path}"
    if values is None:
        return data
    by_ids = "sequence_ids" in arrays
    count, longest = data.images.shape[:2]
    lead = (len(arrays["images"]),) if by_ids else (count, longest)
    if values.ndim != len(lead) + 1 or values.shape[:-1] != lead:
        expected = ", ".join(map(str, lead))
        raise DataError(
            f"shape of {where} is {values.shape}; expected ({expected}, G), a row for each frame"
        )
    true = torch.ones(lead, dtype=torch.bool)
    if not by_ids and data.lengths is not None:
        true = torch.arange(longest) < data.lengths[:, None]
    rows, sizes = _factors(values[true.numpy()], where, "(N, G)")
    if rows is None:
        return data
    if by_ids:
        frames = group_frames(arrays["sequence_ids"]).scatter(rows)
    else:
        frames = torch.zeros((*lead, rows.shape[-1]), dtype=rows.dtype)
        frames[true] = rows
    return replace(
        data,
        frame_factors=frames,
        frame_factor_names=_names(arrays, "frame_factor_names"),
        frame_factor_sizes=sizes,
    )


def _names(arrays: dict[str, np.ndarray], key: str) -> tuple[str, ...]:
    return tuple(str(name) for name in np.atleast_1d(arrays.get(key, np.empty(0, "U"))))


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
            f"({lead}, H, W, C) with 1 or 3 channels C. This {problem}. "
            f"{_mended(array.shape, axes, lead)}"
        )
    return array if first else np.moveaxis(array, -1, -3)


def _mended(shape: tuple[int, ...], axes: int, lead: str) -> str:
    """What to do about an array of another layout, of which `axes` are of an image."""
    rows = f"If each row holds the pixels of an image, take array.reshape({lead}, H, W)."
    if axes == 1:
        return f"{rows} If these are images, call them images." if lead == "S, T" else rows
    steps = ["Give it exactly one axis of channels, and no side of 1 or 3 pixels."]
    if axes == 3 and 4 in (shape[-1], shape[-3]):
        steps.append("If a fourth channel says how opaque pixels are, leave it out.")
    if lead == "N" and axes in (3, 4):
        steps.append("If these are sequences, call them sequences.")
    return " ".join(steps)


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


def _integers(values: np.ndarray | None, where: str, step: str) -> Tensor | None:
    if values is None:
        return None
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise DataError(
            f"{where} are {values.dtype} of shape {values.shape}; expected a vector of integers. "
            f"{step}"
        )
    return torch.from_numpy(values.astype(np.int64))


def _labels(values: np.ndarray | None, path: Path) -> tuple[Tensor | None, tuple[str, ...]]:
    """Return classes and their names; labels that are strings are numbered in sorted order."""
    if values is not None and values.dtype.kind == "U" and values.ndim == 1:
        known = values != ""
        names = np.unique(values[known])
        classes = np.where(known, np.searchsorted(names, values), UNKNOWN)
        return torch.from_numpy(classes.astype(np.int64)), tuple(names.tolist())
    step = "Number classes from 0, with -1 for unknown; what is measured is a factor."
    if values is not None and values.ndim == 2:
        step = "Take the class of each row by argmax(1)."
        if values.shape[1] == 1:
            step = "Drop the second axis: labels[:, 0]."
    labels = _integers(values, f"labels in {path}", step)
    if labels is not None and len(labels) and labels.max() >= len(labels):
        raise DataError(
            f"largest of {len(labels)} labels in {path} is {labels.max()}; "
            "expected classes counted from 0. Number those that are known by "
            "numpy.unique(known, return_inverse=True)[1]."
        )
    return labels, ()


def _factors(
    values: np.ndarray | None, where: str, shape: str
) -> tuple[Tensor | None, tuple[int, ...]]:
    """Return integer factors as class indices with their sizes, others as float32 with size 0."""
    if values is None:
        return None, ()
    if values.dtype.kind not in "iuf" or values.ndim != 2:
        raise DataError(
            f"{where} are {values.dtype} of shape {values.shape}; expected numbers of shape "
            f"{shape}"
        )
    if values.dtype.kind == "f":
        _check_finite(values, where)
        return torch.from_numpy(values.astype(np.float32)), (0,) * values.shape[1]
    pairs = [np.unique(column, return_inverse=True) for column in values.T]
    indices = np.stack([classes for _, classes in pairs], axis=1).astype(np.int64)
    return torch.from_numpy(indices), tuple(len(distinct) for distinct, _ in pairs)


def _classes(values: np.ndarray | None, where: str) -> Tensor | None:
    """Number integers or text, in sorted order."""
    if values is None:
        return None
    if values.dtype.kind not in "iuU" or values.ndim != 1:
        raise DataError(
            f"{where} are {values.dtype} of shape {values.shape}; "
            "expected a vector of integers or strings"
        )
    return torch.from_numpy(np.unique(values, return_inverse=True)[1].astype(np.int64))
