"""Codes with mean 0 and variance 1 over a batch, for losses that codes' scale is not to move."""

import torch
from torch import Tensor
from torch.nn.functional import batch_norm

SMALLEST_VARIANCE = 1e-8
"""Added to the variance of a coordinate, so that one that hardly varies is not blown up."""


def standardised_codes(codes: Tensor) -> Tensor:
    """Bring each coordinate to mean 0 and variance 1 over all rows, in float32 at least.

    It is what a batch normalisation behind the encoder would give, without weights, but in a loss
    alone: the code of a datum, and its density, know nothing of its neighbours.

    Source: Ioffe & Szegedy (2015), algorithm 1, https://arxiv.org/abs/1502.03167.

    Args:
        codes: `(..., K)`, at least two rows.

    Raises:
        ValueError: If there is one row.
    """
    codes = codes.to(torch.promote_types(codes.dtype, torch.float32))
    rows = codes.reshape(-1, codes.shape[-1])
    if len(rows) < 2:
        raise ValueError(
            f"the batch holds {len(rows)} code; expected at least 2, over which codes are "
            "standardised. Use a larger batch (--batch-size), or more clips"
        )
    return batch_norm(rows, None, None, training=True, eps=SMALLEST_VARIANCE).view_as(codes)
