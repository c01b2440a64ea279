"""Results of the blocks done so far in one file: a killed evaluation goes on where it was."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from .atomic import write_atomically
from .checkpoint_folder import CheckpointError

SAVE_SECONDS = 10.0
"""Least time between two writes."""

FORMAT_VERSION = 1


class PartialResults:
    """Per-datum columns that grow block by block, kept in a safetensors file if there is a path.

    Args:
        path: The file; it need not exist. None keeps nothing.
        settings: What the results depend on, the data left out; plain values.

    Raises:
        CheckpointError: If the file is damaged or of other settings.
    """

    def __init__(self, path: str | Path | None, settings: dict[str, Any]) -> None:
        self._path = None if path is None else Path(path)
        text = json.dumps({"format": FORMAT_VERSION, **settings}, sort_keys=True)
        self._settings = hashlib.sha256(text.encode()).hexdigest()
        self._data = hashlib.sha256()
        self._seen = 0
        self._saved_at = time.monotonic()
        self._blocks: list[Tensor] = []
        self._stored = torch.empty(0, 0)
        self._stored_data = self._added_data = ""
        if self._path is not None and self._path.exists():
            self._load(self._path)

    def has(self, block: tuple[Tensor, ...]) -> bool:
        """Go on to the next block of data; whether its results are already there.

        Raises:
            CheckpointError: If the data so far are not those that the stored results are of.
        """
        if self._path is None:
            return False
        for entry in block:
            self._data.update(_bytes(entry))
        self._seen += len(block[0])
        stored = self._stored.shape[-1]
        ends_there = self._seen == stored and self._data.hexdigest() == self._stored_data
        if self._seen - len(block[0]) < stored <= self._seen and not ends_there:
            self._refuse("of other data")
        return self._seen <= stored

    def add(self, columns: Tensor) -> None:
        """Append a block's results, `(columns, B)`; write the file if that is long ago."""
        self._blocks.append(columns.cpu())
        self._added_data = self._data.hexdigest()
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def _columns(self) -> Tensor:
        parts = [self._stored] if self._stored.numel() else []
        return torch.cat([*parts, *self._blocks], dim=1)

    def finish(self) -> Tensor:
        """Return all results, `(columns, N)`, once the data have ended.

        Raises:
            CheckpointError: If the stored results are of more data than came.
        """
        if self._path is not None and self._seen < self._stored.shape[-1]:
            self._refuse("of more data")
        return self._columns()

    @contextmanager
    def saved_at_exit(self) -> Iterator[None]:
        """Write the file when the block ends, by an error or an interrupt too."""
        try:
            yield
        finally:
            self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        if self._path is None or not self._blocks:
            return
        meta = {"settings": self._settings, "data": self._added_data}
        write_atomically(self._path, safetensors.torch.save({"columns": self._columns()}, meta))
        self._saved_at = time.monotonic()

    def _load(self, path: Path) -> None:
        try:
            with safe_open(path, framework="pt") as file:
                meta, columns = file.metadata() or {}, file.get_tensor("columns")
        except SafetensorError as error:
            raise CheckpointError(
                f"{path} holds no partial results: {error}. Delete it or choose another path"
            ) from error
        if meta.get("settings") != self._settings:
            self._refuse("of another pair, device, seed or number of samples")
        self._stored, self._stored_data = columns, meta["data"]

    def _refuse(self, what: str) -> None:
        raise CheckpointError(
            f"{self._path} holds partial results {what}; expected those of this evaluation. "
            "Delete it or choose another path"
        )


def fingerprint(modules: Iterable[nn.Module]) -> str:
    """SHA-256 of the structure, parameters, buffers and plain attributes of modules."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(repr(module).encode())
        # Buffers that no checkpoint has count too, such as the scale of a likelihood.
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            digest.update(name.encode())
            digest.update(_bytes(tensor))
        for name, part in module.named_modules():
            plain = {k: v for k, v in vars(part).items() if isinstance(v, int | float | str)}
            plain.pop("training")
            digest.update(f"{name}{sorted(plain.items())}".encode())
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    header = f"{tensor.dtype}{tuple(tensor.shape)}".encode()
    flat = tensor.detach().cpu().contiguous().flatten()
    return header + flat.view(torch.uint8).numpy().tobytes()
