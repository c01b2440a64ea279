"""Files that are whole or absent: written beside their place, synced, then renamed (POSIX)."""

import errno
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
_PREFIX = ".tmp-"


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Write a file that a crash leaves as it was before, or whole.

    Args:
        path: The file; replaced where it exists.
        data: Its content; text is encoded as UTF-8.

    Raises:
        OSError: If it cannot be written, with needed and free bytes where room is the reason.
            The old file stays.
    """
    path = Path(path)
    temporary = path.with_name(_temporary_name())
    try:
        write_synced(temporary, data)
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)  # the name that the user knows
        raise
    sync_folder(path.parent)


def write_json_atomically(path: str | Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all.

    Args:
        path: The file; replaced where it exists.
        value: Dictionaries, lists, strings, finite numbers, booleans and None.

    Raises:
        ValueError: If a number is NaN or infinite, which JSON does not have; says which.
        OSError: As `write_atomically`.
    """
    _refuse_non_finite(value, "value")
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def check_writable(folder: str | Path, needed_bytes: int) -> None:
    """Make sure, before hours of work, that a folder can take what the work will write.

    The folder is made where it does not exist, and one small file is written to it and removed.

    Args:
        folder: Where the files will go.
        needed_bytes: Room that they will take.

    Raises:
        OSError: If the folder cannot be made or written to, or too little room is free.
    """
    folder = Path(folder)
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    if not existing.is_dir():
        raise NotADirectoryError(
            errno.ENOTDIR,
            f"{existing} is a file; expected a folder. Choose another place",
            str(folder),
        )
    if shutil.disk_usage(existing).free < needed_bytes:
        raise no_room_error(errno.ENOSPC, folder, needed_bytes)
    probe = folder / _temporary_name()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_synced(probe, b"probe")
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        message = (
            f"{folder} is not writable; expected a folder to write to. Make it writable, or "
            "choose another place"
        )
        raise OSError(error.errno, message, str(folder)) from error
    finally:
        if folder.is_dir():
            probe.unlink(missing_ok=True)


def remove_left_over(folder: str | Path) -> None:
    """Remove what killed writers left half written in a folder; for the folder's only writer."""
    for path in Path(folder).glob(f"{_PREFIX}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, to be filled and renamed; removed if it was not renamed."""
    folder = parent / _temporary_name()
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_synced(path: Path, data: bytes | str) -> None:
    """Write a new file and wait until the disk has it.

    Raises:
        OSError: If it cannot be written, with needed and free bytes where room is the reason.
    """
    content = data.encode() if isinstance(data, str) else data
    try:
        with open(path, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise no_room_error(error.errno, path, len(content)) from error


def sync_folder(folder: Path) -> None:
    """Wait until the disk has a folder's names, so that a rename in it outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def no_room_error(number: int, path: Path, needed_bytes: int) -> OSError:
    """The error of a full disk, quota or file size limit, with needed and free bytes."""
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(existing).free
    message = (
        f"{os.strerror(number)}: {needed_bytes} bytes needed, {free} bytes free on the disk. "
        "Free some room or choose another place"
    )
    return OSError(number, message, str(path))


def _temporary_name() -> str:
    return f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"


def _refuse_non_finite(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(
            f"{where} is {value}; expected a finite number. Write None where there is no number"
        )
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_non_finite(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_non_finite(item, f"{where}[{index}]")
