"""What data have in common: their label, group or factors, as one number each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .dataset import UNKNOWN, Dataset

_FIELDS = {"label": "labels", "group": "groups"}


def shared_values(dataset: Dataset, names: Sequence[str], whose: str) -> list[Tensor]:
    """Return what each of `names` says of every datum, int64 `(N,)` each, on the CPU.

    Args:
        dataset: The data.
        names: `label`, `group`, or names of factors.
        whose: What shares it, for messages, such as `partners`.

    Raises:
        ValueError: If the data lack one of these or do not know it of all.
    """
    return [_values(dataset, name, whose).cpu() for name in names]


def shareable(dataset: Dataset) -> list[str]:
    """Return what `dataset` knows that data can share: `label`, `group`, names of factors."""
    labels = dataset.labels
    known = ["label"] if labels is not None and bool((labels != UNKNOWN).all()) else []
    known += ["group"] if dataset.groups is not None else []
    sizes = zip(dataset.factor_names, dataset.factor_sizes, strict=True)
    return known + [name for name, size in sizes if size]


def joint_key(values: Sequence[Tensor]) -> Tensor:
    """Number the combinations of several values, int64 `(N,)` each, from 0."""
    key = torch.zeros_like(values[0])
    for value in values:
        _, number = value.unique(return_inverse=True)
        _, key = (key * (number.max() + 1) + number).unique(return_inverse=True)
    return key


def _values(dataset: Dataset, name: str, whose: str) -> Tensor:
    known = dataset.annotations()
    values = known.get(_FIELDS.get(name, ""))
    if name in dataset.factor_names and values is None:
        column = dataset.factor_names.index(name)
        if dataset.factor_sizes[column] == 0:
            raise ValueError(
                f"{whose} share {name!r}, a continuous factor of {dataset.name}; expected one "
                "of classes. Choose another, or number its values"
            )
        values = known["factors"][:, column].long()
    if values is None:
        there = [field for field, home in _FIELDS.items() if home in known]
        accepted = ", ".join([*there, *dataset.factor_names]) or "nothing, as none is known"
        raise ValueError(
            f"{whose} share {name!r}, which {dataset.name} do not have; expected one or several "
            f"of: {accepted}"
        )
    unknown = int((values == UNKNOWN).sum())
    if unknown and name == "label":
        raise ValueError(
            f"{whose} share the label, which is not known of {unknown} of {len(dataset)} "
            f"{dataset.name}; expected all labels to be known. Take labelled(dataset)"
        )
    return values
