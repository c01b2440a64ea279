"""The digits that come with the package."""

from pathlib import Path

import numpy as np
import torch

from .dataset import Dataset, Splits
from .splitting import carve

_FILE = Path(__file__).with_name("mnist_small.npz")
_VALIDATION = 1000


def mnist_small(seed: int) -> Splits:
    """Return 9000, 1000 and 2000 digits; which 1000 validate depends on `seed`."""
    with np.load(_FILE, allow_pickle=False) as file:
        train, test = (_digits(file, part) for part in ("train", "test"))
    return carve(train, test, _VALIDATION, seed)


def _digits(file: "np.lib.npyio.NpzFile", part: str) -> Dataset:
    return Dataset(
        torch.from_numpy(file[f"{part}_images"]).unsqueeze(1),
        name="mnist-small",
        labels=torch.from_numpy(file[f"{part}_labels"]).long(),
        label_names=tuple("0123456789"),
    )
