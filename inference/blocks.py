"""Cut data, in whatever form they come, into blocks of a fixed number of data."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 32
"""Data in a block; a constant, because the noise of the samples depends on it."""

Data = Tensor | Mapping[str, Tensor] | Iterable[Mapping[str, Any]]


def blocks(data: Data, keys: Sequence[str]) -> Iterator[tuple[Tensor, ...]]:
    """Walk through data in blocks of 32, the last one ragged.

    Args:
        data: One tensor of all data, a mapping of such tensors, or an iterable of batches:
            mappings of tensors.
        keys: The entries to yield, in order; one where `data` is a tensor.

    Yields:
        One tensor per key, each `(B, ...)` with the same `B`, 32 or fewer at the end. They may
        be views of a batch, and hold until the next block is asked for.

    Raises:
        ValueError: If there are no data, a key is missing, or sizes differ.
        TypeError: If an entry is no tensor, or the data are none of these.
    """
    if isinstance(data, np.ndarray):
        raise TypeError("data are a NumPy array; expected a tensor. Convert it by torch.as_tensor")
    if isinstance(data, Tensor):
        batches: Iterable[Any] = [{keys[0]: data}]
        if len(keys) > 1:
            raise ValueError(f"data are one tensor; expected a mapping with {_listed(keys)}")
    else:
        batches = [data] if isinstance(data, Mapping) else data
        if not isinstance(batches, Iterable):
            raise TypeError(
                f"data are a {type(data).__name__}; expected batches, a mapping of tensors or a "
                "tensor. Pass unbraid.data.Batches(data, 100, shuffle=False)"
            )
    pending: list[tuple[Tensor, ...]] = []
    count = total = 0
    for batch in batches:
        for piece in _pieces(_entries(batch, keys), BLOCK - count):
            pending.append(piece)
            count += len(piece[0])
            if count == BLOCK:
                yield _joined(pending)
                pending, count = [], 0
        total += len(batch[keys[0]])
        # Whoever made the batch may reuse its memory for the next one.
        pending = [tuple(t.clone() for t in piece) for piece in pending]
    if pending:
        yield _joined(pending)
    if not total:
        raise ValueError("data has no entries; expected at least one datum")


def padded(block: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Repeat the last datum of a block until it has 32 of them."""
    missing = BLOCK - len(block[0])
    if not missing:
        return block
    return tuple(torch.cat([t, t[-1:].expand(missing, *t.shape[1:])]) for t in block)


def _pieces(entries: tuple[Tensor, ...], first: int) -> Iterator[tuple[Tensor, ...]]:
    start, length, size = 0, first, len(entries[0])
    while start < size:
        yield tuple(entry[start : start + length] for entry in entries)
        start, length = start + length, BLOCK


def _joined(pieces: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return pieces[0] if len(pieces) == 1 else tuple(map(torch.cat, zip(*pieces, strict=True)))


def _entries(batch: Mapping[str, Any], keys: Sequence[str]) -> tuple[Tensor, ...]:
    if not isinstance(batch, Mapping):
        raise TypeError(
            f"a batch of the data is a {type(batch).__name__}; expected a mapping with "
            f"{_listed(keys)}. Pass tensors, not arrays, and name them: {{{keys[0]!r}: images}}"
        )
    for key in keys:
        if key not in batch:
            raise ValueError(
                f"data have no {key!r}; they have {_listed(batch)}. "
                "Pass keys=(...) with names of theirs"
            )
        if not isinstance(batch[key], Tensor) or not batch[key].dim():
            raise TypeError(
                f"data[{key!r}] is a {type(batch[key]).__name__}; "
                "expected a tensor whose first dim counts the data"
            )
    sizes = {key: len(batch[key]) for key in keys}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the entries of a batch have sizes {sizes}; expected one size")
    return tuple(batch[key] for key in keys)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
