"""One writer per folder, by a lock that dies with its holder (POSIX `flock`)."""

import fcntl
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self


class RunInUseError(RuntimeError):
    """Another process writes to this folder; the message names it and since when."""


class FolderLock:
    """Holds a folder for one writer while the `with` block runs; readers need no lock.

    The lock is on the file `lock` in the folder, which stays there: removing it would let two
    processes lock two files of one name. A killed holder's lock is gone with it.

    Args:
        folder: The folder to hold; made where it does not exist.

    Raises:
        RunInUseError: On entering, if another holder has it, in this process or another.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _own_record(), 0)
        except BlockingIOError:
            holder = _describe_holder(descriptor)
            os.close(descriptor)
            raise RunInUseError(
                f"{self.folder} is in use by {holder}; expected no other writer. "
                "Wait for it to end, stop it, or choose another folder"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _own_record() -> bytes:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "started": started}).encode()


def _describe_holder(descriptor: int) -> str:
    """Name the holder; waits a moment for one that has the lock and has not signed it yet."""
    for _ in range(50):
        try:
            record = json.loads(os.pread(descriptor, 1024, 0))
            if _is_alive(record["pid"]):
                return f"process {record['pid']} since {record['started']}"
        except (ValueError, KeyError, TypeError):
            pass
        time.sleep(0.01)
    return "a process that did not say its name"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
