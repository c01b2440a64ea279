"""Augmented data that are drawn once, for tests that everybody can repeat."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from .augment import Transform
from .batches import Batches
from .dataset import Dataset

_CHUNK = 1000  # the noise depends on it, so it is part of the format


def freeze(dataset: Dataset, transforms: Sequence[Transform], seed: int) -> Dataset:
    """Apply `transforms` once, by `seed`, and keep the result at 8 bits.

    Data that `dataset.dynamic` says are probabilities become binary images.
    """
    batches = Batches(
        dataset, _CHUNK, seed=seed, transforms=transforms, shuffle=False, device=dataset.device
    )
    images = [batch["x"].mul(255).round_().to(torch.uint8) for batch in batches]
    return replace(dataset, images=torch.cat(images), dynamic=False)
