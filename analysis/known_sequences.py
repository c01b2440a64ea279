"""Codes of sequences beside what is known of them, as the probes of leakage take them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .score_inputs import Values, are_classes, class_column, host_array


@dataclass(frozen=True, eq=False)
class KnownSequences:
    """Codes of `S` sequences of up to `T` frames and what is known of both.

    Attributes:
        static: Codes of the sequences, `(S, F)`.
        dynamic: Codes of the frames, `(S, T, Z)`.
        sequence_factors: What is known of the sequences, integers or floats `(S, A)`, or None.
        frame_factors: What is known of the frames, integers or floats `(S, T, G)`, or None. An
            action of whole clips that the dynamic codes are to hold belongs here, repeated.
        mask: True where there is a frame, bools `(S, T)`; unless given, everywhere. What stands
            elsewhere is never used.
        groups: Sequences that are not independent, such as those of one identity, integers
            `(S,)`; standard errors are taken over them. Unless given, every sequence is alone.
    """

    static: Values
    dynamic: Values
    sequence_factors: Values | None = None
    frame_factors: Values | None = None
    mask: Values | None = None
    groups: Values | None = None


@dataclass(frozen=True, eq=False)
class Factor:
    """One thing that is known of data, `(N,)`.

    Attributes:
        name: What it is called.
        values: Integers where `classes` is not 0, else floats.
        classes: Number of classes, 0 where it is continuous.
    """

    name: str
    values: NDArray[np.generic]
    classes: int


@dataclass(frozen=True, eq=False)
class Rows:
    """Codes and what is known of them, one row per sequence or per frame.

    Attributes:
        codes: `(N, K)`, by `static` and `dynamic`.
        content: What is known of the sequences.
        pose: What is known of the frames.
        clusters: Which rows are not independent, integers `(N,)`.
    """

    codes: dict[str, NDArray[np.floating]]
    content: tuple[Factor, ...]
    pose: tuple[Factor, ...]
    clusters: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.clusters)

    def take(self, rows: NDArray[np.integer]) -> "Rows":
        """Return some of the rows."""
        codes = {name: values[rows] for name, values in self.codes.items()}
        content, pose = (
            tuple(Factor(f.name, f.values[rows], f.classes) for f in part)
            for part in (self.content, self.pose)
        )
        return Rows(codes, content, pose, self.clusters[rows])


def known_rows(
    what: str,
    known: KnownSequences,
    sequence_names: Sequence[str] = (),
    sequence_sizes: Sequence[int] = (),
    frame_names: Sequence[str] = (),
    frame_sizes: Sequence[int] = (),
) -> tuple[Rows, Rows]:
    """Lay sequences out as rows, without what the mask leaves out.

    Args:
        what: What messages call the sequences.
        known: The sequences.
        sequence_names: A name per factor of sequences; numbered unless given.
        sequence_sizes: Classes of each, 0 where it is continuous; unless given, they are all
            classes or all continuous, as the type of the numbers says.
        frame_names: The same for the factors of frames.
        frame_sizes: The same for the factors of frames.

    Returns:
        A row per sequence, with static codes and content; and a row per valid frame, with
        everything: it has the static code and the content of its sequence.

    Raises:
        ValueError: If shapes do not fit, a valid value is not finite, a class is no whole number
            in its range, or a sequence has no frame.
    """
    static, dynamic = host_array(known.static), host_array(known.dynamic)
    if static.ndim != 2 or dynamic.ndim != 3 or 0 in (*static.shape, *dynamic.shape):
        raise ValueError(
            f"static and dynamic codes of {what} have shapes {static.shape} and {dynamic.shape}; "
            "expected (S, F) and (S, T, Z), none of them 0. Give a code per sequence and one per "
            "frame."
        )
    count, frames = dynamic.shape[:2]
    _check_rows(f"{what}.static", static, (count,))
    mask = frame_mask(f"{what}.mask", known.mask, (count, frames))
    groups = np.arange(count) if known.groups is None else host_array(known.groups)
    groups = class_column(f"{what}.groups", groups, count)
    everywhere = np.ones(count, bool)
    codes = {
        "static": _valid(f"{what}.static", static, everywhere),
        "dynamic": _valid(f"{what}.dynamic", dynamic, mask),
    }
    content = _factors(
        f"{what}.sequence_factors",
        known.sequence_factors,
        everywhere,
        sequence_names,
        sequence_sizes,
    )
    pose = _factors(f"{what}.frame_factors", known.frame_factors, mask, frame_names, frame_sizes)
    sequences = Rows({"static": codes["static"]}, content, (), groups)
    spread = sequences.take(np.nonzero(mask)[0])
    return sequences, Rows({**codes, **spread.codes}, spread.content, pose, spread.clusters)


def frame_mask(what: str, mask: Values | None, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which frames there are, bools `(S, T)`.

    Args:
        what: What messages call the mask.
        mask: Bools `(S, T)`, or None for all.
        shape: `(S, T)`.

    Raises:
        ValueError: If it is no bools of that shape, or a sequence has no frame.
    """
    if mask is None:
        return np.ones(shape, bool)
    array = host_array(mask)
    if array.shape != shape or array.dtype != np.bool_:
        raise ValueError(
            f"{what} is {array.dtype} {array.shape}; expected bool {shape}. Give True where there "
            "is a frame."
        )
    empty = np.flatnonzero(~array.any(1))
    if len(empty):
        raise ValueError(
            f"{what}[{empty[0]}] is all False; expected at least one frame. Leave that sequence "
            "out."
        )
    return array


def _check_rows(what: str, array: NDArray[np.generic], rows: tuple[int, ...]) -> None:
    if array.shape[: len(rows)] != rows:
        raise ValueError(
            f"{what} has shape {array.shape}; expected ({', '.join(map(str, rows))}, ...), as the "
            "dynamic codes have. Give a row per sequence, and per frame where frames are meant."
        )


def _valid(what: str, array: NDArray[np.generic], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the valid rows `(N, K)`, which are finite numbers."""
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} is {array.dtype}; expected real numbers. Convert it.")
    values = array[mask].astype(np.float64)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        place = ", ".join(map(str, [*np.argwhere(mask)[row], column]))
        raise ValueError(
            f"{what}[{place}] is {values[row, column]}; expected finite numbers. Find out "
            "where training went astray."
        )
    return values


def _factors(
    what: str,
    factors: Values | None,
    mask: NDArray[np.bool_],
    names: Sequence[str],
    sizes: Sequence[int],
) -> tuple[Factor, ...]:
    """Return the columns of the valid rows."""
    if factors is None:
        return ()
    array = host_array(factors)
    if array.ndim != mask.ndim + 1:
        raise ValueError(
            f"{what} have shape {array.shape}; expected {mask.ndim + 1} axes, the last one for "
            "the factors. Add an axis to a single one."
        )
    _check_rows(what, array, mask.shape)
    count = array.shape[-1]
    for given, length in (("names", len(names)), ("sizes", len(sizes))):
        if length not in (0, count):
            raise ValueError(
                f"{what} have {count} columns and {length} {given}; expected as many. Give one "
                f"of the {given} per factor."
            )
    values = _valid(what, array, mask)
    named = names or [f"factor {column}" for column in range(count)]
    classes = sizes or [-1 if are_classes(factors) else 0] * count
    return tuple(
        _factor(what, named[column], values[:, column], classes[column]) for column in range(count)
    )


def _factor(what: str, name: str, values: NDArray[np.float64], size: int) -> Factor:
    """Return a factor; a size of -1 says that there are classes, of unknown number."""
    if size == 0:
        return Factor(name, values, 0)
    largest = size - 1 if size > 0 else np.inf
    wrong = values[(values != np.round(values)) | (values < 0) | (values > largest)]
    if len(wrong):
        accepted = f"classes 0 to {size - 1}" if size > 0 else "classes from 0"
        raise ValueError(
            f"{what}: {name} is {wrong[0]:g}; expected {accepted}. Say 0 for its size if it is "
            "continuous."
        )
    whole = values.astype(np.int64)
    return Factor(name, whole, size if size > 0 else len(np.unique(whole)))
