"""Labels that are not known: hide most of them, or take the data that have one."""

from dataclasses import replace

import torch
from torch import Tensor

from .dataset import UNKNOWN, Dataset, Splits
from .errors import DataError
from .seeds import check_seed, derive_seed

# A stream of its own: in the order of `Batches` of the same seed, its first batches would have all
# of the labels.
_LABELS = 0x6C616265


def keep_labels(dataset: Dataset, per_class: int = 10, seed: int = 0) -> Dataset:
    """Hide all labels but so many of each class, as semi-supervised methods are judged.

    The images are untouched. With one seed, more labels include those of fewer.

    Args:
        dataset: Data with labels.
        per_class: Labels that are kept of each class, at least 1.
        seed: Chooses them; 0 to 2**32 - 1.

    Returns:
        The same data, with the label -1 where it is hidden.

    Raises:
        DataError: If there are no labels, or too few of a class.
        ValueError: If `seed` is out of range.
    """
    seed = check_seed(seed)
    labels = _labels_of(dataset)
    if type(per_class) is not int or per_class < 1:
        raise DataError(f"labels per class are {per_class!r}; expected an integer of at least 1")
    known = (labels != UNKNOWN).nonzero().squeeze(1)
    counts = labels[known].bincount(minlength=len(dataset.label_names))
    scarce = int(counts.argmin())
    if counts[scarce] < per_class:
        raise DataError(
            f"number of {dataset.name} with the label {dataset.label_names[scarce]!r} is "
            f"{counts[scarce]}; expected at least {per_class}. Keep fewer labels per class"
        )
    generator = torch.Generator().manual_seed(derive_seed(seed, _LABELS))
    order = known[torch.randperm(len(known), generator=generator).to(known.device)]
    by_class = order[labels[order].argsort(stable=True)]
    first = (counts.cumsum(0) - counts)[labels[by_class]]
    kept = by_class[torch.arange(len(order), device=order.device) - first < per_class]
    hidden = torch.full_like(labels, UNKNOWN)
    hidden[kept] = labels[kept]
    return replace(dataset, labels=hidden)


def labelled(dataset: Dataset) -> Dataset:
    """Return the data whose label is known.

    Raises:
        DataError: If there are none.
    """
    known = (_labels_of(dataset) != UNKNOWN).nonzero().squeeze(1)
    if not len(known):
        raise DataError(f"number of {dataset.name} with a known label is 0; expected at least 1")
    return dataset.take(known)


def hide_training_labels(splits: Splits, per_class: int | None, seed: int) -> Splits:
    """Hide labels of the training part, as `keep_labels` does; None leaves all of them."""
    if per_class is None:
        return splits
    return replace(splits, train=keep_labels(splits.train, per_class, seed))


def _labels_of(dataset: Dataset) -> Tensor:
    if dataset.labels is None:
        raise DataError(f"{dataset.name} have no labels; expected data with labels")
    return dataset.labels
