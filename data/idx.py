"""Files in the idx format of MNIST, plain or gzipped.

Source: LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/, "The IDX file format".
"""

import gzip
import math
import struct
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np
import torch

from .dataset import Dataset
from .errors import DataError
from .limits import check_bytes

IMAGES = "-images-idx3-ubyte"
_LABELS = "-labels-idx1-ubyte"
_SUFFIXES = ("", ".gz")
_UINT8 = 8  # the format's code of the type


def find_idx(folder: Path) -> dict[str, Path]:
    """Return the image files of `folder` by prefix, such as `train` and `t10k`."""
    files = [path for suffix in _SUFFIXES for path in sorted(folder.glob(f"*{IMAGES}{suffix}"))]
    return {path.name.split(IMAGES)[0]: path for path in files}


def idx_prefix(path: Path) -> Path | None:
    """Return the prefix that `path` is, or that the file `path` has; None if it is no idx data."""
    if path.is_file():
        return path.with_name(path.name.split(IMAGES)[0]) if IMAGES in path.name else None
    return path if _existing(path, IMAGES) else None


def read_idx_pair(prefix: Path, name: str) -> Dataset:
    """Return the images at `prefix`, with their labels where there are any.

    Raises:
        DataError: If a file is cut off, is none of this format, or the files do not fit together.
    """
    images = _existing(prefix, IMAGES)
    if images is None:
        raise DataError(f"number of idx files at {prefix} is 0; expected {prefix.name}{IMAGES}")
    labels = _existing(prefix, _LABELS)
    return Dataset(
        torch.from_numpy(read_idx(images, axes=3)).unsqueeze(1),
        name=name,
        labels=None if labels is None else torch.from_numpy(read_idx(labels, axes=1)).long(),
    )


def read_idx(path: Path, axes: int) -> np.ndarray:
    """Return the uint8 array in an idx file that must have `axes` axes.

    Raises:
        DataError: If the file is cut off, or not such a file.
    """
    try:
        with _open(path) as file:
            shape = _read_header(file, path, axes)
            check_bytes(math.prod(shape), path)
            body = file.read(math.prod(shape) + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is cut off or damaged ({error}) at {path.stat().st_size} bytes; "
            "expected a whole gzip file. Fetch it again."
        ) from error
    if len(body) != math.prod(shape):
        has = "more" if len(body) > math.prod(shape) else str(len(body))
        raise DataError(
            f"number of bytes after the header of {path} is {has}; "
            f"expected {math.prod(shape)} for the shape {shape} in the header. Fetch it again."
        )
    return np.frombuffer(bytearray(body), np.uint8).reshape(shape)


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _read_header(file: gzip.GzipFile | BufferedReader, path: Path, axes: int) -> tuple[int, ...]:
    magic, expected = file.read(4), bytes((0, 0, _UINT8, axes))
    if magic != expected:
        raise DataError(
            f"magic number of {path} is 0x{magic.hex()}; expected 0x{expected.hex()}, uint8 with "
            f"{axes} {'axis' if axes == 1 else 'axes'}. Are images and labels swapped?"
        )
    sizes = file.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise DataError(f"header of {path} is {4 + len(sizes)} bytes; expected {4 + 4 * axes}")
    return struct.unpack(f">{axes}I", sizes)


def _existing(prefix: Path, kind: str) -> Path | None:
    candidates = (prefix.with_name(f"{prefix.name}{kind}{suffix}") for suffix in _SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)
