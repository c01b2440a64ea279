"""Smaller images by averages over areas."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from .errors import DataError

_CHUNK = 1024  # images that are averaged at a time


def shrink(images: Tensor, size: int, sizes: tuple[int, ...]) -> Tensor:
    """Return square images at a side of `size` pixels, each the mean of those that it covers.

    Args:
        images: uint8 `(N, C, H, W)`.
        size: The side of the results.
        sizes: What `size` may be: divisors of the side of the images.

    Raises:
        DataError: If `size` is not one of these.
    """
    if type(size) is not int or size not in sizes:
        raise DataError(f"size is {size!r}; expected one of {', '.join(map(str, sizes))}")
    factor = images.shape[-1] // size
    if factor == 1:
        return images
    chunks = [avg_pool2d(chunk.float(), factor) for chunk in images.split(_CHUNK)]
    return torch.cat([chunk.round().to(torch.uint8) for chunk in chunks])
