"""Images as one array, as PNG bytes and as data URIs."""

from base64 import b64encode
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unbraid.inference import require_floats


def image_grid(images: Tensor, columns: int, gap: int = 2, background: float = 1.0) -> Tensor:
    """Lay images out row by row, with gaps between them and none around them.

    Args:
        images: Float, in [0, 1], `(N, C, H, W)`.
        columns: Number of images per row, at least 1.
        gap: Pixels between two images, at least 0.
        background: Value of the gaps and of the places that no image fills, in [0, 1].

    Returns:
        One image `(C, rows * (H + gap) - gap, columns * (W + gap) - gap)`.

    Raises:
        ValueError: If there are no images, they have other axes, or a number is out of range.
    """
    _check_images(images)
    if columns < 1 or gap < 0:
        raise ValueError(
            f"columns is {columns} and gap is {gap}; expected at least 1 and at least 0. "
            "Give whole numbers of images and of pixels."
        )
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    cells = images.new_full((rows * columns, channels, height + gap, width + gap), background)
    cells[:count, :, :height, :width] = images
    cells = cells.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4)
    grid = cells.reshape(channels, rows * (height + gap), columns * (width + gap))
    return grid[:, : rows * (height + gap) - gap, : columns * (width + gap) - gap]


def stack_pairs(upper: Tensor, lower: Tensor, columns: int) -> Tensor:
    """Order two sets of images so that a grid shows each upper image above its lower one.

    Args:
        upper: Images `(N, C, H, W)`, `N` a multiple of `columns`.
        lower: Images `(N, C, H, W)`.
        columns: Number of columns of the grid.

    Returns:
        Images `(2N, C, H, W)`: `columns` upper ones, their lower ones, and so on.

    Raises:
        ValueError: If the shapes differ or `N` is no multiple of `columns`.
    """
    if upper.shape != lower.shape:
        raise ValueError(
            f"upper is {tuple(upper.shape)} and lower is {tuple(lower.shape)}; "
            "expected one shape. Give one lower image per upper image."
        )
    if columns < 1 or len(upper) % columns:
        raise ValueError(
            f"upper has {len(upper)} images for {columns} columns; expected a multiple. "
            "Leave images out or choose another number of columns."
        )
    rows = torch.stack([part.unflatten(0, (-1, columns)) for part in (upper, lower)], 1)
    return rows.flatten(0, 2)


def to_pixels(image: Tensor) -> np.ndarray:
    """Return an image as 8-bit pixels, values outside [0, 1] cut off.

    Args:
        image: Float, `(C, H, W)`; 1 channel is grey, 3 are colour, of others the mean is shown.

    Returns:
        Array of uint8, `(H, W)` or `(H, W, 3)`.

    Raises:
        ValueError: If it is no image.
    """
    require_floats("image", image)
    if image.dim() != 3:
        raise ValueError(
            f"image is {tuple(image.shape)}; expected (C, H, W). Take one image, or `image_grid`."
        )
    if image.shape[0] != 3:
        image = image.mean(0, keepdim=True)
    levels = (image.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    pixels = levels.permute(1, 2, 0).numpy()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def png_bytes(image: Tensor) -> bytes:
    """Return an image `(C, H, W)` in [0, 1], such as a grid, as the bytes of a PNG file."""
    buffer = BytesIO()
    Image.fromarray(to_pixels(image)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def data_uri(png: bytes) -> str:
    """Return the bytes of a PNG file as a URI that holds them."""
    return "data:image/png;base64," + b64encode(png).decode("ascii")


def _check_images(images: Tensor) -> None:
    require_floats("images", images)
    if images.dim() != 4 or 0 in images.shape:
        raise ValueError(
            f"images is {tuple(images.shape)}; expected (N, C, H, W) with at least one image. "
            "Add a leading axis to a single image."
        )
