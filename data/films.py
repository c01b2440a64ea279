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
from .splitting import FEWEST_GROUPS
from .wording import are, counted

_FEWEST = 4  # sequences that can be cut into three parts
_SHORTEST = 2  # frames that a stretch may have


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
    if options.length is None:
        _check_number(len(films), root, options)
    room = _Room(films, ((1 if mode == "L" else 3), *size), root, options)
    counts = [room.fill(film, mode) for film in films]
    if options.length is None:
        of_film, lengths = list(range(len(films))), counts
    else:
        of_film = [row for row, count in enumerate(counts) for _ in range(count // options.length)]
        lengths = [options.length] * len(of_film)
        _warn_of_rests(counts, options.length)
    _check_number(len(of_film), root, options)
    _check_lengths(lengths, root)
    images = np.ascontiguousarray(room.images[: len(of_film), : max(lengths)])
    rows = torch.tensor(of_film)
    labels = None if labels is None else labels[rows]
    return Dataset(
        torch.from_numpy(images),
        name=root.stem if root.is_file() else root.name,
        labels=labels,
        label_names=names,
        groups=labels if options.identities else _groups(rows, len(films), root, options),
        lengths=torch.tensor(lengths) if min(lengths) < max(lengths) else None,
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
                f"{FEWEST_GROUPS}, with films in them. Leave identities out."
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


def _check_number(count: int, root: Path, options: SequenceOptions) -> None:
    if count < _FEWEST:
        option = "choose a smaller length" if options.length else "set the option length"
        raise DataError(
            f"number of sequences in {root} is {count}; expected at least {_FEWEST}, to train, to "
            f"validate and to test. Add some, or {option}, which cuts films into stretches of so "
            "many frames."
        )


class _Room:
    """Room for sequences, filled frame by frame, so that no frame is held twice.

    There is as much as the films declare, checked before any of them is read, and more is made
    where they have more frames than that.
    """

    def __init__(
        self, films: list[Film], frame: tuple[int, int, int], root: Path, options: SequenceOptions
    ) -> None:
        known = [-(-film.count // options.every) for film in films if film.count is not None]
        if options.length is None:
            rows, columns = len(films), max(known, default=1)
        else:
            rows, columns = sum(count // options.length for count in known), options.length
        check_bytes(rows * columns * math.prod(frame), root)
        self.images = np.zeros((max(1, rows), max(1, columns), *frame), np.uint8)
        self._options, self._row = options, 0

    def fill(self, film: Film, mode: str) -> int:
        """Put in the frames of the next film; return how many of them are kept."""
        options, count = self._options, 0
        for place, frame in enumerate(film.frames()):
            size = (self.images.shape[-2], self.images.shape[-1])
            if options.size is None:
                _check_size(film.path, (frame.height, frame.width), size, "its first frame")
            if place % options.every:
                continue
            stretch, column = (
                (0, count) if options.length is None else divmod(count, options.length)
            )
            self._grow(self._row + stretch, column, f"frame {place} of {film.path}")
            self.images[self._row + stretch, column] = _pixels(frame, size, mode)
            count += 1
        if count < (options.length or 1):
            shorter = "Choose a smaller length, or remove it."
            raise DataError(
                f"number of frames of {film.path} is {count}; expected at least "
                f"{options.length or 1}. {shorter if count >= _SHORTEST else 'Remove it.'}"
            )
        self._row += 1 if options.length is None else count // options.length
        return count

    def _grow(self, row: int, column: int, where: str) -> None:
        """See that there is a row and a column: twice as many, or as many as are allowed."""
        rows, columns = self.images.shape[:2]
        if row < rows and column < columns:
            return
        allowed = max_bytes() // math.prod(self.images.shape[2:])
        needed = max(rows, row + 1) * max(columns, column + 1)
        if needed > allowed:
            raise DataError(
                f"number of frames of all sequences, as long as the longest, is {needed} at "
                f"{where}; expected at most {allowed}. Set {VARIABLE} to allow more, or take "
                "fewer frames by every, or smaller ones by size."
            )
        if row >= rows:
            rows = max(row + 1, min(2 * rows, allowed // columns))
        if column >= columns:
            columns = max(column + 1, min(2 * columns, allowed // rows))
        images = np.zeros((rows, columns, *self.images.shape[2:]), np.uint8)
        images[: self.images.shape[0], : self.images.shape[1]] = self.images
        self.images = images


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


def _warn_of_rests(counts: list[int], length: int) -> None:
    rests = [count % length for count in counts]
    if any(rests):
        warnings.warn(
            f"{counted(sum(rests), 'frames')} at the ends of {np.count_nonzero(rests)} of the "
            f"{counted(len(counts), 'films')} {are(sum(rests))} left out, too few to fill a "
            f"length of {length}",
            DataWarning,
        )


def _check_lengths(lengths: list[int], root: Path) -> None:
    single = lengths.count(1)
    if single == len(lengths):
        raise DataError(
            f"number of frames of every sequence in {root} is 1; expected at least 2 in some. "
            "Load them as images, without the option sequences."
        )
    if single:
        have = "has" if single == 1 else "have"
        warnings.warn(
            f"{single} of the {len(lengths)} sequences in {root} {have} one frame only",
            DataWarning,
        )


def _groups(rows: Tensor, films: int, root: Path, options: SequenceOptions) -> Tensor | None:
    """Keep the stretches of a film together, where there are films enough for three parts."""
    if options.length is None or len(rows) == films:
        return None
    if films >= FEWEST_GROUPS:
        return rows
    warnings.warn(
        f"number of films in {root} is {films}; every one is trained on and tested on, in "
        f"different stretches; {FEWEST_GROUPS} or more films would be kept apart",
        DataWarning,
    )
    return None
