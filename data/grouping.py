"""Group images into sequences by ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .dataset import Dataset, first
from .errors import DataError
from .limits import check_bytes


@dataclass(frozen=True)
class Grouping:
    """Where every image goes.

    Args:
        sequence: The sequence of each image, int64 `(N,)`, in the order in which ids first appear.
        place: Its place in this sequence, int64 `(N,)`.
        lengths: Number of frames of each sequence, int64 `(S,)`.
        names: The id of each sequence.
    """

    sequence: Tensor
    place: Tensor
    lengths: Tensor
    names: list[str]

    def scatter(self, values: Tensor) -> Tensor:
        """Return values of images `(N, ...)` as those of frames `(S, T, ...)`; padding is 0."""
        shape = (len(self.lengths), int(self.lengths.max()), *values.shape[1:])
        frames = torch.zeros(shape, dtype=values.dtype)
        frames[self.sequence, self.place] = values
        return frames

    def leaders(self) -> Tensor:
        """Return which image is the first of each sequence, int64 `(S,)`."""
        return (self.place == 0).nonzero().squeeze(1)


def group_frames(ids: np.ndarray) -> Grouping:
    """Return where images go by their ids `(N,)`, integers or text."""
    names, leaders, inverse = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(leaders)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    sequence = rank[inverse]
    lengths = np.bincount(sequence)
    rows = np.argsort(sequence, kind="stable")
    place = np.empty_like(rows)
    place[rows] = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Grouping(
        torch.from_numpy(sequence.astype(np.int64)),
        torch.from_numpy(place.astype(np.int64)),
        torch.from_numpy(lengths.astype(np.int64)),
        [str(name) for name in names[order]],
    )


def as_sequences(
    dataset: Dataset, ids: Tensor | np.ndarray | Sequence[int] | Sequence[str]
) -> Dataset:
    """Group images into sequences: those of one id are the frames of one sequence.

    Sequences come in the order in which their ids first appear, frames in the order of the images.
    What sequences have fewer than the longest is filled with zeros, and `lengths` says how many
    frames are true, unless all have the same number. A factor that has one value in every sequence
    stays a factor; one that changes within any becomes a factor of frames.

    Args:
        dataset: Images, `N` of them, on the CPU.
        ids: An integer or a text for each image, `(N,)`.

    Returns:
        Sequences `(S, T, C, H, W)`.

    Raises:
        DataError: If the data are sequences already, the ids are no vector of `N`, labels or
            groups change within a sequence, or the padded frames are more than is allowed.
    """
    if dataset.is_sequence:
        raise DataError(f"{dataset.name} are sequences; expected images to group by ids")
    where = f"ids for {dataset.name}"
    values = _vector(ids.cpu().numpy() if isinstance(ids, Tensor) else np.asarray(ids), where)
    if len(values) != len(dataset):
        raise DataError(
            f"number of {where} is {len(values)}; expected {len(dataset)}, one for each of the "
            "images"
        )
    grouping = group_frames(values)
    longest = int(grouping.lengths.max())
    padded = len(grouping.lengths) * longest * int(np.prod(dataset.shape))
    check_bytes(padded, f"{dataset.name}, with its sequences padded to {longest} frames,")
    known = {
        field: _of_sequences(value, grouping, f"{field} of {dataset.name}")
        for field in ("labels", "groups")
        if (value := getattr(dataset, field)) is not None
    }
    return replace(
        dataset,
        images=grouping.scatter(dataset.pixels(torch.arange(len(dataset)))),
        lengths=grouping.lengths if int(grouping.lengths.min()) < longest else None,
        **known,
        **_parted_factors(dataset, grouping),
    )


def _vector(ids: np.ndarray, where: str) -> np.ndarray:
    if ids.ndim != 1 or ids.dtype.kind not in "iuU":
        raise DataError(
            f"{where} are {ids.dtype} of shape {ids.shape}; expected a vector of integers or text"
        )
    return ids


def _of_sequences(values: Tensor, grouping: Grouping, what: str) -> Tensor:
    """Return the values `(S,)` of sequences from those of their images, which must agree."""
    found = values[grouping.leaders()]
    row = first(values != found[grouping.sequence])
    if row is not None:
        sequence = int(grouping.sequence[row])
        raise DataError(
            f"{what} in the sequence {grouping.names[sequence]} are {found[sequence]} and "
            f"{values[row]}; expected one for all of its frames. Keep what changes as a factor."
        )
    return found


def _parted_factors(dataset: Dataset, grouping: Grouping) -> dict[str, Tensor | tuple | None]:
    """Part factors of images into those of sequences and those of frames."""
    values = dataset.factors
    if values is None:
        return {}
    found = values[grouping.leaders()]
    still = (values == found[grouping.sequence]).all(0)
    parts: dict[str, Tensor | tuple | None] = {}
    for kind, chosen in (("factor", still), ("frame_factor", ~still)):
        columns = chosen.nonzero().squeeze(1)
        rows = found if kind == "factor" else grouping.scatter(values)
        parts[f"{kind}s"] = rows[..., columns] if len(columns) else None
        for field in ("names", "sizes"):
            given = getattr(dataset, f"factor_{field}")
            parts[f"{kind}_{field}"] = tuple(given[column] for column in columns.tolist())
    return parts
