"""The guide once more, with a clip's frames and their companions exchanged."""

from collections.abc import Mapping

import torch

from .hooks import Batch
from .sites import Site
from .terms import Terms


def exchanged_sites(terms: Terms, batch: Batch) -> Mapping[str, Site]:
    """Run the guide on companions, with the frames as their companions; without gradients.

    Where a guide infers the content of a clip from `companions` and the poses from `x`, this gives
    the poses of the companions and the content that the frames tell. It runs once per pass: hooks
    and critics share what it gives.

    Args:
        terms: The terms of a step whose guide was called as `guide(x, length, companions)`.
        batch: Its batch, with `x` `(B, N, C, H, W)`, all of them true, and `companions`
            `(B, M, C, H, W)`.

    Raises:
        ValueError: If the batch has no companions.
    """
    if "companions" not in batch:
        raise ValueError(
            f"the batch has no 'companions'; it has {', '.join(map(repr, batch))}. Train with "
            "Batches(frames=1, companions=1), and the keys x, length, companions"
        )
    if exchanged_sites not in terms.constants:
        with torch.no_grad():
            sites = terms.encode(batch["companions"], None, batch["x"])
        terms.constants[exchanged_sites] = sites
    return terms.constants[exchanged_sites]
