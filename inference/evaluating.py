"""What evaluations of likelihoods share: checks of data, and leaving no trace."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from unbraid.nets import Likelihood

from .sites import Program, modules_of


def likelihoods_of(model: Program) -> list[Likelihood]:
    """The likelihoods among a model's parts."""
    return [
        m for module in modules_of(model) for m in module.modules() if isinstance(m, Likelihood)
    ]


def checked(
    stream: Iterator[tuple[Tensor, ...]], place: torch.device, likelihoods: Sequence[Likelihood]
) -> Iterator[tuple[Tensor, ...]]:
    """Move blocks of data to a device and have the likelihoods check the first entry of each."""
    for block in stream:
        block = tuple(entry.to(place) for entry in block)
        for likelihood in likelihoods:
            likelihood.check(block[0])
        yield block


@contextmanager
def own_noise(place: torch.device) -> Iterator[None]:
    """Leave the global random state as it was."""
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        yield
