"""What the tests of warps share."""

import torch

from unbraid.transforms import make_transform

NAMES = ["translation", "rotation", "similarity", "affine", "cpab", "similarity+cpab"]
CLOSED = NAMES[:4]


def make(name, shape=(2, 7, 5), **options):
    return make_transform(name, shape, **options)


def draw_gamma(warp, *lead, length=1.0, dtype=torch.float64):
    """Parameters of the given length in random directions."""
    gamma = torch.randn(*lead, warp.parameter_count, dtype=dtype)
    return length * gamma / gamma.norm(dim=-1, keepdim=True)


def draw_points(*lead, dims=2, reach=1.0, dtype=torch.float64):
    """Points in the box that reaches this far from the origin."""
    return reach * (2 * torch.rand(*lead, dims, dtype=dtype) - 1)
