"""Files from the network: checked, resumed where they broke off, and kept in a cache."""

import os
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pooch

from .errors import DataError, DownloadError
from .progress import progress

_TIMEOUT = 30.0  # seconds without an answer
_BLOCK = 2**16
_NOT_SATISFIABLE = 416


@dataclass(frozen=True)
class Remote:
    """A file, its address and its checksum in pooch's form, `algorithm:hexadecimal`.

    `path` is relative to the folder that `UNBRAID_DATA` names, and to the cache.
    """

    path: str
    url: str
    checksum: str


def cache_folder() -> Path:
    """Return where files are kept: `UNBRAID_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("UNBRAID_CACHE") or pooch.os_cache("unbraid"))


def find_local(remote: Remote) -> Path | None:
    """Return the file from the folder that `UNBRAID_DATA` names, or None if it is not there.

    Raises:
        DataError: If the file is there but is not the right one.
    """
    folder = os.environ.get("UNBRAID_DATA")
    path = Path(folder, remote.path) if folder else None
    if path is None or not path.is_file():
        return None
    found = _checksum(path, remote)
    if found != remote.checksum:
        raise DataError(
            f"checksum of {path} is {found}; expected {remote.checksum}. "
            f"Fetch it from {remote.url}."
        )
    return path


def fetch(remote: Remote) -> Path:
    """Return the file: from the folder of `UNBRAID_DATA`, from the cache, or from the network.

    Raises:
        DataError: If what came is not the right file; it is kept under the name it is given.
        DownloadError: If it cannot be fetched; running again continues where it broke off.
    """
    local = find_local(remote)
    if local is not None:
        return local
    target = cache_folder() / remote.path
    found = pooch.retrieve(
        remote.url,
        remote.checksum,
        fname=target.name,
        path=target.parent,
        downloader=_Resuming(remote, target),  # pyright: ignore[reportArgumentType]
    )
    return Path(found)


@dataclass(frozen=True)
class _Resuming:
    """A downloader for pooch that keeps what came before the line broke."""

    remote: Remote
    target: Path

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        part = self.target.with_name(f"{self.target.name}.part")
        complete = part.is_file() and _checksum(part, self.remote) == self.remote.checksum
        while not complete:
            before = _size(part)
            try:
                complete = _continue(url, part)
                reason = "the connection broke off"
            except (OSError, HTTPException) as error:
                reason = str(error)
            if not complete and _size(part) <= before:
                raise DownloadError(self._offline(url, _size(part), reason))
        self._check(part)
        shutil.move(part, output_file)

    def _offline(self, url: str, size: int, reason: str) -> str:
        return (
            f"download of {url} is at {size} bytes ({reason}); expected the whole file. "
            f"Run again to resume, or put the file at {self.target}, or set UNBRAID_DATA to a "
            f"folder that has {self.remote.path}."
        )

    def _check(self, part: Path) -> None:
        found = _checksum(part, self.remote)
        if found != self.remote.checksum:
            quarantine = self.target.with_name(f"{self.target.name}.wrong")
            os.replace(part, quarantine)
            raise DataError(
                f"checksum of {self.remote.url} is {found}; expected {self.remote.checksum}. "
                f"It is not used, and kept as {quarantine}; run again to fetch it anew."
            )


def _continue(url: str, part: Path) -> bool:
    """Fetch what `part` still lacks; say whether it is complete."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == _NOT_SATISFIABLE and have:
            part.unlink()  # it is longer than the file: start anew
            return _continue(url, part)
        raise
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        have = file.tell()
        length = response.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        bar = progress(desc=part.stem, initial=have, total=total, unit="B", unit_scale=True)
        with bar:
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
        return total is None or file.tell() == total


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _checksum(path: Path, remote: Remote) -> str:
    algorithm = remote.checksum.partition(":")[0]
    return f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"
