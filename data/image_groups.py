"""Groups of images that share something, laid out as sequences whose order means nothing."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .bits import PackedBits
from .dataset import Dataset, Splits
from .errors import DataError, DataWarning
from .seeds import check_seed, derive_seed
from .sharing import joint_key, shared_values
from .wording import are

_GROUPS = 0x67726F75  # a stream of random numbers of its own
GROUP_SIZE = 8


@dataclass(frozen=True, eq=False)
class ImageGroups:
    """A `FrameStore` of images that stay where they are: each group is a row of their numbers.

    Args:
        images: uint8 `(N, C, H, W)`, or packed bits.
        rows: Which images each group holds, int64 `(S, T)`.
    """

    images: Tensor | PackedBits
    rows: Tensor

    @property
    def shape(self) -> torch.Size:
        """`(S, T, C, H, W)`."""
        return torch.Size((*self.rows.shape, *self.images.shape[1:]))

    @property
    def ndim(self) -> int:
        """5."""
        return 5

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    @property
    def is_binary(self) -> bool:
        """Whether the images are known to have two values."""
        return isinstance(self.images, PackedBits)

    def __len__(self) -> int:
        return len(self.rows)

    def frames(self, sequences: Tensor, places: Tensor) -> Tensor:
        """Return the images at `places`, int64 `(B, N)`, of groups, int64 `(B,)`."""
        rows = self.rows[sequences].gather(1, places).flatten()
        images = self.images
        packed = isinstance(images, PackedBits)
        taken = images.unpack(rows) if packed else images.index_select(0, rows)
        return taken.unflatten(0, tuple(places.shape))

    def take(self, indices: Tensor) -> "ImageGroups":
        """Return the groups at `indices`, int64 `(M,)`; the images are shared."""
        return replace(self, rows=self.rows[indices])

    def to(self, device: str | torch.device) -> "ImageGroups":
        """Return the same groups on `device`."""
        return ImageGroups(self.images.to(device), self.rows.to(device))


def group_images(
    dataset: Dataset, shared: str | Sequence[str], size: int = GROUP_SIZE, seed: int = 0
) -> Dataset:
    """Put images into groups of `size` that share something, each image into one at most.

    Images that are alike are shuffled and cut into groups; a rest that fills none is left out.
    Where that leaves out all images that are alike, a warning counts them. A factor that has one
    value in all images that are alike stays a factor; any other becomes a factor of frames, and so
    do labels.

    Args:
        dataset: Images.
        shared: What the images of a group have in common: `label`, `group`, the name of a factor,
            or several of these.
        size: Images of a group, at least 2; 2 for pairs.
        seed: Chooses who is with whom; 0 to 2**32 - 1.

    Returns:
        Sequences `(S, size, C, H, W)`.

    Raises:
        DataError: If the data are sequences, do not know what is shared, or have no `size` images
            that share it.
    """
    names = (shared,) if isinstance(shared, str) else tuple(shared)
    seed = check_seed(seed)
    return _group(dataset, dataset.name, names, size, seed, None)


def grouped(
    splits: Splits,
    seed: int,
    *,
    groups: tuple[str, ...] | None = None,
    group_size: int = GROUP_SIZE,
) -> Splits:
    """Group the images of each part by themselves, or leave all as they are.

    Args:
        splits: The parts.
        seed: Chooses who is with whom.
        groups: Put images into groups, as sequences, of what they share: label, group, or names of
            factors.
        group_size: Images of a group, at least 2; 2 for pairs.

    Raises:
        DataError: If there is a size without groups, or the data lack what is to be shared.
    """
    if groups is None:
        if group_size != GROUP_SIZE:
            raise DataError(
                f"group_size is {group_size} without groups; expected both. Set groups"
            )
        return splits
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    made: list[Dataset] = []
    for part, dataset in parts.items():
        still = made[0].factor_names if made else None
        where = f"{dataset.name} ({part})"
        made.append(_group(dataset, where, groups, group_size, seed, still))
    return Splits(*made, in_order=splits.in_order)


def _group(
    dataset: Dataset,
    where: str,
    names: tuple[str, ...],
    size: int,
    seed: int,
    still: Sequence[str] | None,
) -> Dataset:
    """Group images; `still` names the factors of groups, those found to be so where None."""
    shared = ", ".join(names)
    if not names:
        raise DataError("groups share nothing; expected label, group or names of factors")
    if dataset.is_sequence:
        raise DataError(
            f"groups share {shared}, but {where} are sequences, each a group already; expected "
            "images. Leave groups out"
        )
    if type(size) is not int or size < 2:
        raise DataError(
            f"group_size is {size!r}; expected an integer of at least 2, since what a group "
            "shares shows in several images"
        )
    try:
        key = joint_key(shared_values(dataset, names, "groups"))
    except ValueError as error:
        raise DataError(str(error)) from error
    counts = key.bincount()
    if len(counts) < 2:
        raise DataError(
            f"groups share {shared}, which is the same in all {len(dataset)} images of {where}; "
            "expected several values. Share something else"
        )
    rows = _cut(key, size, seed)
    lost = int(counts[counts < size].sum())
    if not len(rows):
        raise DataError(
            f"number of groups of {size} images of {where} that share {shared} is 0, as at most "
            f"{int(counts.max())} do; expected at least 1. Choose a smaller group_size, share "
            "less, or take more data"
        )
    if lost:
        warnings.warn(
            f"{lost:,} of {len(dataset):,} images of {where} {are(lost)} left out: fewer than "
            f"{size} share their {shared}",
            DataWarning,
        )
    return replace(
        dataset,
        images=_laid_out(dataset, rows),
        groups=None,
        **_known(dataset, rows, key, names, still),
    )


def _cut(key: Tensor, size: int, seed: int) -> Tensor:
    """Return groups of data with equal keys, int64 `(S, size)`, in a mixed order."""
    generator = torch.Generator().manual_seed(derive_seed(seed, _GROUPS))
    order = torch.randperm(len(key), generator=generator)
    order = order[key[order].argsort(stable=True)]
    counts = key.bincount()
    place = torch.arange(len(key)) - (counts.cumsum(0) - counts)[key[order]]
    kept = order[place < counts[key[order]] // size * size]
    rows = kept.view(-1, size)
    return rows[torch.randperm(len(rows), generator=generator)]


def _laid_out(dataset: Dataset, rows: Tensor) -> ImageGroups:
    images = dataset.images
    if not isinstance(images, Tensor | PackedBits):
        raise DataError(f"{dataset.name} are made when asked for; expected images in memory")
    if isinstance(images, Tensor) and not dataset.dynamic and dataset.kind == "binary":
        images = PackedBits.pack(images)
    return ImageGroups(images, rows)


def _known(
    dataset: Dataset, rows: Tensor, key: Tensor, names: Sequence[str], still: Sequence[str] | None
) -> dict[str, Any]:
    """Part what is known of images into what is known of groups and of the images in them."""
    kind = torch.int64 if dataset.factors is None else dataset.factors.dtype
    columns: list[tuple[str, int, Tensor]] = []
    all_known = dataset.labels is not None and bool((dataset.labels >= 0).all())
    if dataset.labels is not None and all_known and "label" not in names:
        columns.append(("label", len(dataset.label_names), dataset.labels.to(kind)))
    if dataset.factors is not None:
        values = dataset.factors.unbind(1)
        columns += zip(dataset.factor_names, dataset.factor_sizes, values, strict=True)
    if still is None:
        still = [name for name, _, values in columns if _is_told(values, key)]
    found: dict[str, Any] = {"labels": None, "label_names": ()}
    if dataset.labels is not None and "label" in names:
        found = {"labels": dataset.labels[rows[:, 0]], "label_names": dataset.label_names}
    for field, chosen in (
        ("factor", [c for c in columns if c[0] in still]),
        ("frame_factor", [c for c in columns if c[0] not in still]),
    ):
        places = rows[:, 0] if field == "factor" else rows
        stacked = [values[places] for _, _, values in chosen]
        found[f"{field}s"] = torch.stack(stacked, -1) if stacked else None
        found[f"{field}_names"] = tuple(name for name, _, _ in chosen)
        found[f"{field}_sizes"] = tuple(size for _, size, _ in chosen)
    return found


def _is_told(values: Tensor, key: Tensor) -> bool:
    """Whether all data with one key have one value."""
    first = torch.empty(int(key.max()) + 1, dtype=values.dtype)
    first[key] = values
    return bool((first[key] == values).all())
