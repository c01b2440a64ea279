"""What a warp does to an image: rotation, scale, stretch, shear, shift, and the rest."""

import torch
from torch import Tensor

from unbraid.transforms import Transform, pixel_centres

from .affine_parts import fit_affine, linear_parts

CHUNK = 256


def decompose(transform: Transform, gamma: Tensor, height: int, width: int) -> dict[str, Tensor]:
    """Take warps of images apart.

    The affine map that is closest to the warp, in the sum of squares over the pixels, is taken
    apart by the polar decomposition; how far the warp is from that map is the deformation. An
    affine warp is its own closest map and has none.

    Args:
        transform: The warp, of images.
        gamma: Its parameters `(..., P)`.
        height: Rows `H` of the images, at least 2.
        width: Columns `W` of the images, at least 2.

    Returns:
        Float64 `(...)` by name: `rotation`, degrees clockwise as seen; `scale`, 1 for none;
        `stretch`, how many times more in x than in y, 1 for none; `shear`, along the diagonal
        from top left to bottom right, 0 for none; `shift_x` to the right and `shift_y` down, of
        the centre of the image, in pixels; `deformation`, root mean square over pixels, in pixels.

    Raises:
        ValueError: If an image is less than 2 pixels wide or high, or gamma is not `(..., P)`.
    """
    if min(height, width) < 2:
        raise ValueError(
            f"images are {height} x {width}; expected at least 2 x 2. The pixels of a single row "
            "or column say nothing about the other direction."
        )
    transform.check(gamma)
    flat = gamma.detach().reshape(-1, gamma.shape[-1]).double()
    chunks = [_parts(transform, chunk, height, width) for chunk in flat.split(CHUNK)]
    return {
        name: torch.cat([chunk[name] for chunk in chunks]).view(gamma.shape[:-1])
        for name in chunks[0]
    }


def _parts(transform: Transform, gamma: Tensor, height: int, width: int) -> dict[str, Tensor]:
    unit = max(height, width) / 2
    goals = transform.image_points(height, width, gamma)
    affine, rest = fit_affine(pixel_centres(height, width, gamma), goals)
    linear = linear_parts(affine[..., :2])
    return {
        "rotation": linear.angle.rad2deg(),
        "scale": linear.scale,
        "stretch": linear.stretch,
        "shear": linear.shear,
        "shift_x": affine[..., 0, 2] * unit,
        "shift_y": affine[..., 1, 2] * unit,
        "deformation": rest.square().sum(-1).mean(-1).sqrt() * unit,
    }
