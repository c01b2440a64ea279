"""The head that all encoders end with."""

import pyro.distributions as dist
from torch import Tensor
from torch.nn import functional

from .activations import at_least_float32

SCALE_FLOOR = 1e-6


def diagonal_normal(raw: Tensor) -> dist.Independent:
    """Split a net's outputs `(..., 2K)` into the loc and scale of a Normal with event `(K,)`.

    The scale is `softplus(raw) + 1e-6`: never zero, and of slope at most one, so that neither it
    nor its gradient overflows. Half-precision outputs are cast to float32 first.
    """
    loc, raw_scale = at_least_float32(raw).chunk(2, dim=-1)
    return dist.Normal(loc, functional.softplus(raw_scale) + SCALE_FLOOR).to_event(1)
