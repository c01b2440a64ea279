"""Gram matrices of codes, for penalties that compare distributions by samples."""

import torch
from torch import Tensor


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared distances `(..., M, N)` of the rows of `(..., M, K)` and `(..., N, K)`.

    Made from products, which takes memory of `M N` and not of `M N K`; around a common centre, so
    that rows far from 0 lose no digits; never under autocast, whose products are in bfloat16.
    """
    with torch.autocast(x.device.type, enabled=False):
        centre = torch.cat([x.detach(), y.detach()], -2).mean(-2, keepdim=True)
        x, y = x - centre, y - centre
        squares = x.square().sum(-1).unsqueeze(-1) + y.square().sum(-1).unsqueeze(-2)
        return (squares - 2.0 * (x @ y.mT)).clamp(min=0.0)


def gaussian(squares: Tensor, bandwidth: float | Tensor) -> Tensor:
    """Return `exp(-squares / (2 bandwidth^2))`.

    Args:
        squares: Squared distances.
        bandwidth: In the unit of the distances, positive; broadcasts with `squares`.
    """
    return (squares / (-2.0 * bandwidth**2)).exp()


def inverse_multiquadric(squares: Tensor, constant: float) -> Tensor:
    """Return `constant / (constant + squares)`."""
    return constant / (constant + squares)


def off_diagonal(gram: Tensor) -> Tensor:
    """Return Gram matrices `(..., N, N)` with zeros on their diagonals."""
    own = torch.eye(gram.shape[-1], dtype=torch.bool, device=gram.device)
    return gram.masked_fill(own, 0.0)
