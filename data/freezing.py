"""Augmented data that are drawn once, for tests that everybody can repeat."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from .augment import Transform
from .batches import Batches
from .dataset import Dataset

# The noise depends on these, so they are part of the format.
_CHUNK, _CHUNK_OF_SEQUENCES = 1000, 20


def freeze(dataset: Dataset, transforms: Sequence[Transform], seed: int) -> Dataset:
    """Apply `transforms` once, by `seed`, and keep the result at 8 bits.

    Data that `dataset.dynamic` says are probabilities become binary images.
    """
    chunk = _CHUNK_OF_SEQUENCES if dataset.is_sequence else _CHUNK
    batches = Batches(
        dataset, chunk, seed=seed, transforms=transforms, shuffle=False, device=dataset.device
    )
    images = [batch["x"].mul(255).round_().to(torch.uint8) for batch in batches]
    return replace(dataset, images=torch.cat(images), dynamic=False)
