"""Which factors are classes, and which are continuous."""

from typing import Any

import torch
from torch import Tensor

from .dataset import Dataset, Splits


def factor_kinds(splits: Splits) -> list[dict[str, Any]]:
    """Say of each factor how it was understood.

    Args:
        splits: The data.

    Returns:
        A mapping for each factor: its `name`; `of`, which is images, sequences or frames; its
        `kind`, which is classes or continuous; and the number of `classes`, or the `range`, from
        the least to the greatest value of all parts.
    """
    parts = (splits.train, splits.validation, splits.test)
    whole = "sequences" if splits.train.is_sequence else "images"
    return [
        *_kinds([part.factors for part in parts], splits.train, "factor", whole),
        *_kinds([_frame_factors(part) for part in parts], splits.train, "frame_factor", "frames"),
    ]


def _kinds(
    values: list[Tensor | None], data: Dataset, field: str, of: str
) -> list[dict[str, Any]]:
    """Say of each column of values `(N, F)` what it holds."""
    known = [part for part in values if part is not None]
    names, sizes = getattr(data, f"{field}_names"), getattr(data, f"{field}_sizes")
    found = []
    for column, (name, size) in enumerate(zip(names, sizes, strict=True) if known else ()):
        numbers = torch.cat([part[:, column] for part in known])
        kind = (
            {"kind": "classes", "classes": size}
            if size
            else {"kind": "continuous", "range": [float(numbers.min()), float(numbers.max())]}
        )
        found.append({"name": name, "of": of, **kind})
    return found


def _frame_factors(data: Dataset) -> Tensor | None:
    """Return the factors of true frames, `(N, G)`."""
    values = data.frame_factors
    if values is None or data.lengths is None:
        return None if values is None else values.flatten(0, 1)
    return values[torch.arange(values.shape[1]) < data.lengths[:, None]]
