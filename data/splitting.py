"""Cut data into training, validation and test parts."""

import torch

from .dataset import Dataset, Splits


def carve(train: Dataset, test: Dataset, validation: int, seed: int) -> Splits:
    """Take `validation` of the training data, chosen by `seed`, to validate on."""
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    held_out, kept = order[:validation].sort().values, order[validation:].sort().values
    return Splits(train.take(kept), train.take(held_out), test)
