"""Checks of image shapes at the nets' boundary."""

from torch import Tensor

Shape = tuple[int, int, int]


def check_shape(shape: Shape) -> Shape:
    """Return `shape` as a tuple `(C, H, W)`; `ValueError` unless it is three positive integers."""
    if len(shape) != 3 or any(size < 1 for size in shape):
        raise ValueError(
            f"shape is {tuple(shape)}; expected three positive sizes (C, H, W). "
            "Give channels, height and width of one image."
        )
    channels, height, width = shape
    return channels, height, width


def check_image(x: Tensor, shape: Shape) -> None:
    """Raise `ValueError` unless `x` ends in the image shape `(C, H, W)`."""
    if x.shape[-3:] != shape:
        raise ValueError(
            f"x is {tuple(x.shape)}; expected (..., {', '.join(map(str, shape))}). "
            "Build the encoder for the shape of these images."
        )
