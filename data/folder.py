"""A folder of image files; its subfolders are labels."""

import os
import struct
import warnings
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .dataset import Dataset
from .errors import DataError, DataWarning
from .limits import MAX_PIXELS, check_bytes
from .png import check_png
from .wording import are, counted

IMAGES = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "bmp": "BMP", "gif": "GIF"}
IMAGES |= {"tif": "TIFF", "tiff": "TIFF", "webp": "WEBP", "pgm": "PPM", "ppm": "PPM"}
_TARGETS = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGB"}
# Ends and beginnings of the names that Pillow has for modes.
_TRANSPARENT = ("A", "a")
_DEEP = ("I", "F")
_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
# What Pillow's decoders raise on damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


def read_folder(folder: Path) -> Dataset:
    """Read the images of a folder; where it has subfolders with images, their names are labels.

    Grey images stay grey, and palettes become RGB, also those of greys. Colours of 16 bits lose
    the lower 8 of them, and one colour that a file declares transparent keeps its value; images of
    grey in more than 8 bits, and those with a channel of transparency, are refused. Hidden files
    and files that are no images are left out, with a warning that counts them.

    Raises:
        DataError: If a file is damaged or too large, or sizes or modes are mixed.
    """
    return read_images(sorted(find_files(folder, IMAGES)), folder)


def read_images(paths: list[Path], folder: Path) -> Dataset:
    """Read images that lie in a folder, or in its subfolders, which are then labels.

    Raises:
        DataError: As of `read_folder`.
    """
    if not paths:
        raise DataError(
            f"number of images in {folder} is 0; expected at least 4 of {', '.join(IMAGES)}, or "
            "videos"
        )
    size, mode = check_headers(paths)
    channels = 1 if mode == "L" else 3
    check_bytes(len(paths) * channels * size[0] * size[1], folder)
    images = np.empty((len(paths), channels, size[1], size[0]), np.uint8)
    for row, path in enumerate(paths):
        images[row] = _pixels(path, mode)
    labels, names = _labels(folder, paths)
    return Dataset(torch.from_numpy(images), folder.name, labels=labels, label_names=names)


def find_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files with one of the suffixes, and warn of how many others there are."""
    paths, ignored = [], 0
    for where, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not _is_hidden(name)]
        found = [name for name in names if not _is_hidden(name) and suffix(name) in suffixes]
        paths += [Path(where, name) for name in found]
        ignored += len(names) - len(found)
    if ignored:
        warnings.warn(
            f"{counted(ignored, 'files')} of {folder} {are(ignored)} left out: hidden, or no "
            "images or videos",
            DataWarning,
        )
    return paths


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def suffix(name: str) -> str:
    """Return what follows the last dot of a file's name, in lower case."""
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


def open_image(path: Path) -> Image.Image:
    """Open a file by its header alone, in those formats that need no other program.

    Raises:
        DataError: If it is no image, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path, formats=sorted(set(IMAGES.values())))
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path} is too large ({error}); expected at most {MAX_PIXELS} pixels. Scale it down."
        ) from error
    except DAMAGE as error:
        raise DataError(f"{path} is not an image ({error}); expected one. Remove it.") from error


def check_headers(
    paths: list[Path], any_size: bool = False, grey: bool = False
) -> tuple[tuple[int, int], str]:
    """Return (width, height) and mode, L or RGB, of images, by their headers alone.

    Args:
        paths: The images, one or more.
        any_size: They need not have one size; the first one's is returned.
        grey: Colours are going to be made grey, so they may be mixed with grey images.

    Raises:
        DataError: If an image is damaged, moves or is too large, or sizes or modes are mixed.
    """
    modes: dict[str, list[Path]] = {}
    first = None
    for path in paths:
        with open_image(path) as image:
            first = (path, image.size) if any_size or first is None else first
            _check_header(path, image, *first)
            modes.setdefault(image.mode, []).append(path)
    targets = {_TARGETS.get(mode, mode) for mode in modes}
    if grey and targets <= {"L", "RGB"}:
        targets = {"L"}
    if first is None or targets not in ({"L"}, {"RGB"}):
        raise _unfit_modes(modes)
    return first[1], targets.pop()


def _unfit_modes(modes: dict[str, list[Path]]) -> DataError:
    """Say how many images are of which mode, with one of each, and how to bring them to one."""
    folder = Path(os.path.commonpath([path.parent for paths in modes.values() for path in paths]))
    counts = [
        f"{len(paths)} {mode} (such as {paths[0].relative_to(folder)})"
        for mode, paths in sorted(modes.items())
    ]
    steps = ["Convert them to RGB or to L, such as by image.convert('RGB') of Pillow."]
    if any(mode.startswith(_DEEP) for mode in modes):
        steps = ["Scale their values to 8 bits, 0 to 255, and save them as L."]
    if any(mode.endswith(_TRANSPARENT) for mode in modes):
        steps.insert(0, "Lay what is transparent on a background.")
    return DataError(
        f"modes of the images in {folder} are {', '.join(counts)}; expected all grey (L) or all "
        f"colour (RGB), of 8 bits. {' '.join(steps)}"
    )


def _check_header(
    path: Path, image: Image.Image, first: Path, first_size: tuple[int, int]
) -> None:
    size = f"size of {path} is {image.width} x {image.height} (width x height)"
    if image.width * image.height > MAX_PIXELS:
        raise DataError(f"{size}; expected at most {MAX_PIXELS} pixels. Scale it down.")
    if image.size != first_size:
        width, height = first_size
        raise DataError(
            f"{size}; expected {width} x {height}, as of {first}. Bring all images to one "
            "size, such as by --data-set size=28 or size=28,40 (height, width)."
        )
    try:
        frames = getattr(image, "n_frames", 1)
    except DAMAGE as error:
        raise _damaged(path, error) from error
    if frames > 1:
        raise DataError(
            f"number of frames of {path} is {frames}; expected 1, as of the other images. "
            "Keep moving GIF files in a folder of their own."
        )


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is cut off or damaged ({error}); expected a whole image. Remove it.")


def read_image(path: Path, mode: str) -> Image.Image:
    """Return one image in mode L or RGB.

    Raises:
        DataError: If it is damaged.
    """
    with open_image(path) as image:
        try:
            if image.format == "PNG":
                check_png(path)
            return image.convert(mode)
        except DAMAGE as error:
            raise _damaged(path, error) from error


def _pixels(path: Path, mode: str) -> np.ndarray:
    """Return the pixels `(C, H, W)` of one file."""
    pixels = np.asarray(read_image(path, mode))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
