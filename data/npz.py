"""Read `.npz` files of untrusted authors: no pickle, no memory before the headers are checked."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from .errors import DataError
from .limits import check_bytes

_SUFFIX = ".npy"


@contextmanager
def open_npz(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive; whatever turns out to be damaged within the block is a `DataError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DataError(
            f"{path} is cut off or damaged ({error}) at {path.stat().st_size} bytes; "
            "expected a whole .npz archive. Fetch or save it again."
        ) from error


def keys_of(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the arrays in an archive."""
    return [name.removesuffix(_SUFFIX) for name in archive.namelist() if name.endswith(_SUFFIX)]


def read_arrays(path: Path, wanted: tuple[str, ...]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return those of the `wanted` arrays that are there, and the names of the others.

    Raises:
        DataError: If the file is damaged, declares too much, or needs pickle.
    """
    with open_npz(path) as archive:
        found = keys_of(archive)
        members = [archive.getinfo(key + _SUFFIX) for key in found if key in wanted]
        check_bytes(sum(member.file_size for member in members), path)
        arrays = {}
        for key in found:
            if key in wanted:
                with open_array(archive, key) as (file, shape, dtype, fortran):
                    flat = np.frombuffer(bytearray(file.read()), dtype)
                    arrays[key] = flat.reshape(shape, order="F" if fortran else "C")
    return arrays, [key for key in found if key not in wanted]


@contextmanager
def open_array(
    archive: zipfile.ZipFile, key: str
) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype, bool]]:
    """Open the array `key` behind its checked header; give stream, shape, dtype and Fortran order.

    Raises:
        DataError: If the header and the size of the member do not fit together.
    """
    where = f"{key} in {archive.filename}"
    member = archive.getinfo(key + _SUFFIX)
    with archive.open(member) as file:
        shape, fortran, dtype = _read_header(file, where)
        if dtype.hasobject:
            ragged = (
                " Pad all to one number of frames and save theirs as lengths, or save all frames "
                "as images, with sequence_ids."
            )
            raise DataError(
                f"dtype of {where} is object; expected numbers. "
                "Reading it needs pickle, which can run code; it is refused."
                + (ragged if key == "sequences" else "")
            )
        declared, present = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
        if declared != present or min(shape, default=0) < 0:
            raise DataError(
                f"size of {where} is {present} bytes; expected {declared} for the shape {shape} "
                f"of {dtype} in its header. Save it again."
            )
        yield file, shape, dtype, fortran


def _read_header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        return read(file)
    except ValueError as error:
        raise DataError(f"header of {where} is damaged ({error}). Save it again.") from error
