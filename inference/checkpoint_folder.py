"""The checkpoint format: a folder of weights, training state and a sealed record.

`weights.safetensors` holds tensors, `train.pt` plain containers of tensors and numbers, and
`meta.json` the hashes of both and its own. Files are compared with their hashes before they are
parsed, and nothing in them can run code.
"""

import errno
import hashlib
import io
import json
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from .atomic import sync_folder, write_synced

FORMAT_VERSION = 1
WEIGHTS, TRAIN, META = "weights.safetensors", "train.pt", "meta.json"
LIBRARIES = ("unbraid", "torch", "pyro-ppl", "numpy", "safetensors")

_PLAIN = (type(None), bool, int, float, str, bytes, torch.dtype, torch.device, torch.Size)
_CONTAINERS = (dict, OrderedDict, Counter, list, tuple)


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged, not ours, or does not fit what it is loaded into."""


class DamagedError(CheckpointError):
    """The bytes on the disk are not those that were written."""


@dataclass(frozen=True)
class Record:
    """What `meta.json` says of a checkpoint.

    Attributes:
        step: Steps that training had made.
        best: Whether it was the best so far.
        shared: Names of tensors that are stored under another name, because they are one tensor.
        files: SHA-256 and size in bytes of the other files, by name.
        versions: Versions of the libraries that wrote it.
        threads: Torch's thread count, on which the rounding of sums depends.
        version: Version of the format.
    """

    step: int
    best: bool
    shared: dict[str, str]
    files: dict[str, dict[str, Any]]
    versions: dict[str, str]
    threads: int
    version: int = FORMAT_VERSION


def write_folder(
    folder: Path,
    step: int,
    best: bool,
    weights: dict[str, Tensor],
    shared: dict[str, str],
    train: dict[str, Any],
) -> None:
    """Fill an empty folder with a checkpoint, its record last, and wait until the disk has it."""
    buffer = io.BytesIO()
    torch.save(train, buffer)
    contents = {WEIGHTS: safetensors.torch.save(weights), TRAIN: buffer.getvalue()}
    for name, content in contents.items():
        write_synced(folder / name, content)
    record = Record(
        step=step,
        best=best,
        shared=shared,
        files={
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            for name, content in contents.items()
        },
        versions=library_versions(),
        threads=torch.get_num_threads(),
    )
    write_synced(folder / META, seal(asdict(record)))
    sync_folder(folder)


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a checkpoint's numbers depend on."""
    return {name: version(name) for name in LIBRARIES}


def seal(record: Mapping[str, Any]) -> bytes:
    """The one spelling of a record, with its own SHA-256 in it."""
    body = json.dumps(record, sort_keys=True, allow_nan=False)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({**record, "sha256": digest}, sort_keys=True, indent=1).encode()


def read_record(folder: Path) -> Record:
    """Read and check `meta.json`.

    Raises:
        DamagedError: If it is missing or is not as it was written.
        CheckpointError: If it is of a newer format, or not ours.
    """
    where = f"{folder.name}/{META}"
    content, values = _read(folder / META), {}
    try:
        values = json.loads(content)
        del values["sha256"]
        intact = seal(values) == content
    except (ValueError, KeyError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise DamagedError(f"{where} is not as it was written")
    if values.get("version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{where} is of format {values.get('version')}; expected {FORMAT_VERSION}. "
            "Load it with the version of unbraid that wrote it"
        )
    if not _is_record(values):
        raise _foreign_error(where)
    return Record(**values)


def read_verified(folder: Path, name: str, record: Record) -> bytes:
    """Read one file of a checkpoint.

    Raises:
        DamagedError: If its size or SHA-256 is not the recorded one.
    """
    recorded = record.files[name]
    content = _read(folder / name, recorded["size"])
    if hashlib.sha256(content).hexdigest() != recorded["sha256"]:
        raise DamagedError(f"the SHA-256 of {folder.name}/{name} is not the recorded one")
    return content


def parse_weights(content: bytes, record: Record, where: str) -> dict[str, Tensor]:
    """Read tensors by name, one object under each of its names.

    Raises:
        CheckpointError: If the file is not one that `write_folder` wrote.
    """
    try:
        tensors = safetensors.torch.load(content)
        return tensors | {name: tensors[first] for name, first in record.shared.items()}
    except Exception:  # whatever a forged file makes the parser raise
        raise _foreign_error(f"{where}/{WEIGHTS}") from None


def parse_train(content: bytes, where: str) -> dict[str, Any]:
    """Read the plain containers of `train.pt`; runs no code that it may hold.

    Raises:
        CheckpointError: If the file is not one that `write_folder` wrote.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        # Compressed or overlapping entries could unpack to any size; torch.save writes neither.
        if unpacked > len(content):
            raise ValueError("unpacks to more than its size")
        train = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        problem = None if isinstance(train, dict) else f"{where}/{TRAIN} is no dictionary"
        problem = problem or find_unstorable(train, f"{where}/{TRAIN}")
    except Exception:  # as above; torch's advice to switch the safety off is not passed on
        raise _foreign_error(f"{where}/{TRAIN}") from None
    if problem:
        raise CheckpointError(f"{problem}. Refused")
    return train


def find_unstorable(value: Any, where: str) -> str | None:
    """Say what in nested containers a checkpoint cannot hold, or None.

    Tensors must be dense and no larger than their storage: an expanded tensor of a few bytes
    would be copied as terabytes.
    """
    pending, seen = [(where, value)], set()
    while pending:
        name, item = pending.pop()
        if type(item) in (Tensor, nn.Parameter):
            if item.layout != torch.strided or item.is_meta or _is_oversized(item):
                return (
                    f"{name} is an expanded, sparse or empty-handed tensor; expected a dense one"
                )
        elif type(item) in _CONTAINERS:
            if id(item) in seen:
                continue
            seen.add(id(item))
            children = item.items() if isinstance(item, dict) else enumerate(item)
            for key, child in children:
                if type(key) not in (str, int):
                    return f"{name} has the key {key!r}; expected strings or integers"
                pending.append((f"{name}.{key}", child))
        elif type(item) not in _PLAIN:
            kind = type(item).__name__
            return f"{name} is a {kind}; expected numbers, strings, tensors, lists, dictionaries"
    return None


def _is_record(values: Any) -> bool:
    try:
        return (
            values.keys() == {field.name for field in fields(Record)}
            and type(values["step"]) is int
            and type(values["best"]) is bool
            and values["files"].keys() == {WEIGHTS, TRAIN}
            and all(file.keys() == {"sha256", "size"} for file in values["files"].values())
            and isinstance(values["shared"], dict)
            and isinstance(values["versions"], dict)
        )
    except AttributeError:  # a list or a number in the place of a dictionary
        return False


def _is_oversized(tensor: Tensor) -> bool:
    return tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()


def _foreign_error(where: str) -> CheckpointError:
    return CheckpointError(
        f"{where} is not of our making; expected a file that save wrote. Refused"
    )


def _read(path: Path, size: int | None = None) -> bytes:
    where = f"{path.parent.name}/{path.name}"
    try:
        found = path.stat().st_size
        if size is not None and found != size:
            raise DamagedError(f"{where} has {found} bytes instead of {size}")
        return path.read_bytes()
    except FileNotFoundError:
        raise DamagedError(f"{where} is missing") from None
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise DamagedError(f"{where} cannot be read from the disk") from error
