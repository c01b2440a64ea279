"""A folder of image files; its subfolders are labels."""

import os
import struct
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .dataset import Dataset
from .errors import DataError, DataWarning
from .limits import MAX_PIXELS, check_bytes
from .png import check_png

_FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "bmp": "BMP", "gif": "GIF"}
_FORMATS |= {"tif": "TIFF", "tiff": "TIFF", "webp": "WEBP", "pgm": "PPM", "ppm": "PPM"}
_TARGETS = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGB"}
_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
# What Pillow's decoders raise on damaged files.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


def read_folder(folder: Path) -> Dataset:
    """Read the images of a folder; where it has subfolders with images, their names are labels.

    Grey images stay grey, and palettes become RGB. Hidden files and files that are no images are
    left out, with a warning that counts them.

    Raises:
        DataError: If a file is damaged or too large, or sizes or modes are mixed.
    """
    paths, ignored = _find(folder)
    if ignored:
        warnings.warn(
            f"{ignored} files of {folder} are left out: they are hidden or no images", DataWarning
        )
    if not paths:
        raise DataError(
            f"number of images in {folder} is 0; expected at least 4 of {', '.join(_FORMATS)}. "
            "Videos are not read: save their frames as sequences in an .npz file."
        )
    size, mode = _check_headers(paths)
    channels = 1 if mode == "L" else 3
    check_bytes(len(paths) * channels * size[0] * size[1], folder)
    images = np.empty((len(paths), channels, size[1], size[0]), np.uint8)
    for row, path in enumerate(paths):
        images[row] = _pixels(path, mode)
    labels, names = _labels(folder, paths)
    return Dataset(torch.from_numpy(images), folder.name, labels=labels, label_names=names)


def _find(folder: Path) -> tuple[list[Path], int]:
    """Return the image files in sorted order, and how many others there are."""
    paths, ignored = [], 0
    for where, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not _is_hidden(name)]
        images = [name for name in names if not _is_hidden(name) and _suffix(name) in _FORMATS]
        paths += [Path(where, name) for name in images]
        ignored += len(names) - len(images)
    return sorted(paths), ignored


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _labels(folder: Path, paths: list[Path]) -> tuple[torch.Tensor | None, tuple[str, ...]]:
    parents = [path.relative_to(folder).parts[:-1] for path in paths]
    if not any(parents):
        return None, ()
    if not all(parents):
        raise DataError(
            f"number of images beside the subfolders of {folder} is {parents.count(())}; "
            "expected all images in subfolders, whose names are labels, or none"
        )
    names = sorted({parent[0] for parent in parents})
    return torch.tensor([names.index(parent[0]) for parent in parents]), tuple(names)


def _open(path: Path) -> Image.Image:
    """Open a file by its header alone, in those formats that need no other program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path, formats=sorted(set(_FORMATS.values())))
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path} is too large ({error}); expected at most {MAX_PIXELS} pixels. Scale it down."
        ) from error
    except _DAMAGE as error:
        raise DataError(f"{path} is not an image ({error}); expected one. Remove it.") from error


def _check_headers(paths: list[Path]) -> tuple[tuple[int, int], str]:
    """Return the one (width, height) and the one mode, L or RGB, of all images."""
    modes: Counter[str] = Counter()
    first = None
    for path in paths:
        with _open(path) as image:
            first = first or (path, image.size)
            _check_header(path, image, *first)
            modes[image.mode] += 1
    targets = {_TARGETS.get(mode, mode) for mode in modes}
    if first is None or targets not in ({"L"}, {"RGB"}):
        counts = ", ".join(f"{count} {mode}" for mode, count in sorted(modes.items()))
        raise DataError(
            f"modes of the images in {paths[0].parent} are {counts}; expected all grey (L) or all "
            "colour (RGB). Convert them to one."
        )
    return first[1], targets.pop()


def _check_header(
    path: Path, image: Image.Image, first: Path, first_size: tuple[int, int]
) -> None:
    size = f"size of {path} is {image.width}x{image.height}"
    if image.width * image.height > MAX_PIXELS:
        raise DataError(f"{size}; expected at most {MAX_PIXELS} pixels. Scale it down.")
    if image.size != first_size:
        width, height = first_size
        raise DataError(
            f"{size}; expected {width}x{height}, as of {first}. Bring all images to one size."
        )
    try:
        frames = getattr(image, "n_frames", 1)
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    if frames > 1:
        raise DataError(
            f"number of frames of {path} is {frames}; expected 1. Save sequences as .npz."
        )


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is cut off or damaged ({error}); expected a whole image. Remove it.")


def _pixels(path: Path, mode: str) -> np.ndarray:
    """Return the pixels `(C, H, W)` of one file."""
    with _open(path) as image:
        try:
            if image.format == "PNG":
                check_png(path)
            pixels = np.asarray(image.convert(mode))
        except _DAMAGE as error:
            raise _damaged(path, error) from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
