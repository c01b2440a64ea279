"""From films, whatever they are kept in, to one array of sequences."""

import math
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .dataset import Dataset
from .errors import DataError, DataWarning
from .limits import VARIABLE, check_bytes, max_bytes
from .sequence_options import SequenceOptions

_FEWEST = 4  # sequences that can be cut into three parts
_FEWEST_GROUPS = 3


@dataclass(frozen=True)
class Film:
    """A sequence that is still in its file or folder, and what is declared of it.

    Args:
        path: The file, or the folder of frames.
        count: Number of frames it declares; None where it does not say.
        size: `(height, width)`.
        frames: Gives the frames, in mode L or RGB; raises `DataError` where they are damaged.
    """

    path: Path
    count: int | None
    size: tuple[int, int]
    frames: Callable[[], Iterator[Image.Image]]


def natural(path: Path) -> tuple[list[list[str | int]], str]:
    """Return what to sort paths by, so that frame2 comes before frame10."""
    runs = [re.split(r"(\d+)", part) for part in path.parts]
    return [[int(run) if k % 2 else run for k, run in enumerate(part)] for part in runs], str(path)


def read_films(films: list[Film], root: Path, mode: str, options: SequenceOptions) -> Dataset:
    """Read films into sequences.

    Frames that a sequence has fewer than the longest are zeros, and `lengths` says how many it
    has. Where all films are in subfolders of `root`, the names of the first level are labels.

    Args:
        films: In the order in which they become sequences.
        root: The folder that holds them, or the one file.
        mode: `L` or `RGB`: what the frames become.
        options: What to keep of the frames.

    Raises:
        DataError: If a film is damaged, too long or too short, or sizes are mixed.
    """
    labels, names = _labels(films, root, options)
    size = options.height_width or _one_size(films)
    channels = 1 if mode == "L" else 3
    _check_declared(films, channels * size[0] * size[1], root, options)
    read, spent = [], 0
    for film in films:
        read.append(_read(film, size, mode, options, spent))
        spent += read[-1].nbytes
    of_film = list(range(len(films)))
    if options.length is not None:
        read, of_film = _cut(read, options.length)
    _check_number(len(read), root, options)
    images, lengths = _padded(read, root)
    rows = torch.tensor(of_film)
    labels = None if labels is None else labels[rows]
    return Dataset(
        images,
        name=root.stem if root.is_file() else root.name,
        labels=labels,
        label_names=names,
        groups=labels if options.identities else _groups(rows, len(films), root, options),
        lengths=lengths,
    )


def _labels(
    films: list[Film], root: Path, options: SequenceOptions
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Return the first level of subfolders that hold the films, where there is one."""
    parents = [() if film.path == root else film.path.relative_to(root).parts for film in films]
    levels = [parts[0] for parts in parents if len(parts) > 1]
    if levels and len(levels) < len(films):
        raise DataError(
            f"number of films beside the subfolders of {root} is {len(films) - len(levels)} of "
            f"{len(films)}; expected all films in subfolders, whose names are labels, or none"
        )
    if not levels:
        if options.identities:
            raise DataError(
                f"number of subfolders that name identities in {root} is 0; expected at least "
                f"{_FEWEST_GROUPS}, with films in them. Leave identities out."
            )
        return None, ()
    names = tuple(sorted(set(levels)))
    return torch.tensor([names.index(level) for level in levels]), names


def _one_size(films: list[Film]) -> tuple[int, int]:
    first = films[0]
    for film in films:
        _check_size(film.path, film.size, first.size, first.path)
    return first.size


def _check_size(path: Path, size: tuple[int, int], expected: tuple[int, int], of: object) -> None:
    if size != expected:
        (height, width), (rows, columns) = size, expected
        raise DataError(
            f"size of {path} is {width}x{height}; expected {columns}x{rows}, as of {of}. "
            f"Bring all to one size by the option size, such as size={rows},{columns}."
        )


def _check_declared(films: list[Film], frame: int, root: Path, options: SequenceOptions) -> None:
    """Check what films declare, `frame` bytes each frame, before any of them is read."""
    kept = [None if film.count is None else -(-film.count // options.every) for film in films]
    known = [count for count in kept if count is not None]
    if options.length is None:
        _check_number(len(films), root, options)
        check_bytes(len(films) * max(known, default=0) * frame, root)
    else:
        check_bytes(sum(known) * frame, root)


def _check_number(count: int, root: Path, options: SequenceOptions) -> None:
    if count < _FEWEST:
        option = "choose a smaller length" if options.length else "set the option length"
        raise DataError(
            f"number of sequences in {root} is {count}; expected at least {_FEWEST}, to train, to "
            f"validate and to test. Add some, or {option}, which cuts films into stretches of so "
            "many frames."
        )


def _read(
    film: Film, size: tuple[int, int], mode: str, options: SequenceOptions, spent: int
) -> np.ndarray:
    """Return the frames `(T, C, H, W)` of one film, where others have `spent` bytes already."""
    kept, allowed = [], max_bytes()
    for place, frame in enumerate(film.frames()):
        if options.size is None:
            _check_size(film.path, (frame.height, frame.width), size, "its first frame")
        if place % options.every:
            continue
        kept.append(_pixels(frame, size, mode))
        spent += kept[-1].nbytes
        if spent > allowed:
            raise DataError(
                f"size of the frames up to frame {place} of {film.path} is {spent} bytes; "
                f"expected at most {allowed}. Set {VARIABLE} to allow more, or take fewer frames "
                "by every or smaller ones by size."
            )
    if len(kept) < (options.length or 1):
        raise DataError(
            f"number of frames of {film.path} is {len(kept)}; expected at least "
            f"{options.length or 1}. Choose a smaller length, or remove it."
        )
    return np.stack(kept)


def _pixels(frame: Image.Image, size: tuple[int, int], mode: str) -> np.ndarray:
    """Return one frame `(C, H, W)`; made smaller by means over areas, made larger bilinearly."""
    frame = frame if frame.mode == mode else frame.convert(mode)
    height, width = size
    if frame.size != (width, height):
        shrinks = width <= frame.width and height <= frame.height
        resampling = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
        frame = frame.resize((width, height), resampling)
    pixels = np.asarray(frame)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _cut(read: list[np.ndarray], length: int) -> tuple[list[np.ndarray], list[int]]:
    """Cut films into stretches; return these, and of which film each is."""
    stretches, of_film, rests = [], [], []
    for row, frames in enumerate(read):
        count, rest = divmod(len(frames), length)
        stretches += np.split(frames[: count * length], count)
        of_film += [row] * count
        rests.append(rest)
    if any(rests):
        warnings.warn(
            f"{sum(rests)} frames at the ends of {np.count_nonzero(rests)} of the {len(read)} "
            f"films are left out: they do not fill a length of {length}",
            DataWarning,
        )
    return stretches, of_film


def _padded(read: list[np.ndarray], root: Path) -> tuple[Tensor, Tensor | None]:
    """Return the sequences `(S, T, C, H, W)`, and their lengths if these differ."""
    lengths = [len(frames) for frames in read]
    single = lengths.count(1)
    if single == len(lengths):
        raise DataError(
            f"number of frames of every sequence in {root} is 1; expected at least 2 in some. "
            "Load them as images, without the option sequences."
        )
    if single:
        warnings.warn(
            f"{single} of the {len(lengths)} sequences in {root} have one frame only", DataWarning
        )
    shape = (len(read), max(lengths), *read[0].shape[1:])
    check_bytes(math.prod(shape), f"{root}, with its sequences padded to {max(lengths)} frames,")
    images = np.zeros(shape, np.uint8)
    for row, length in enumerate(lengths):
        images[row, :length] = read[row]
        read[row] = np.empty(0)  # so that the frames are not held twice
    ragged = min(lengths) < max(lengths)
    return torch.from_numpy(images), torch.tensor(lengths) if ragged else None


def _groups(rows: Tensor, films: int, root: Path, options: SequenceOptions) -> Tensor | None:
    """Keep the stretches of a film together, where there are films enough for three parts."""
    if options.length is None or len(rows) == films:
        return None
    if films >= _FEWEST_GROUPS:
        return rows
    warnings.warn(
        f"films in {root} are {films}, of which every one is trained on and tested on, in "
        f"different stretches; {_FEWEST_GROUPS} or more films would be kept apart",
        DataWarning,
    )
    return None
