"""Arrays of NumPy and 8-bit images, which notebooks give, are refused with what to do."""

import numpy as np
import pytest
import torch

from unbraid.analysis import (
    image_grid,
    interpolation,
    kl_per_dimension,
    latent_scatter,
    posterior,
    posterior_means,
    psnr,
    reconstructions,
    sharpness,
    ssim,
    to_pixels,
    traversals,
)

FLOATS = np.zeros((3, 1, 4, 5), np.float32)
ARRAYS = {
    "floats": (FLOATS, r"NumPy array of float32; expected a tensor.*as_tensor\(x\)\.float\(\)$"),
    "bytes": (
        FLOATS.astype(np.uint8),
        r"NumPy array of uint8; .*\(x\)\.float\(\) / 255$",
    ),
    "byte tensor": (
        torch.zeros(3, 1, 4, 5, dtype=torch.uint8),
        r"torch\.uint8; expected floats in \[0, 1\]\. Divide 8-bit values by 255$",
    ),
}


def never(*args, **kwargs):
    raise AssertionError("a program ran")


OF_PAIRS = {
    "interpolation": lambda x: interpolation(never, never, x),
    "divergence": lambda x: kl_per_dimension(never, never, [(x,)]),
    "divergence of batches alone": lambda x: kl_per_dimension(never, never, [x]),
    "scatter": lambda x: latent_scatter(never, never, x),
    "posterior": lambda x: posterior(never, never, x),
    "means": lambda x: posterior_means(never, never, [(x,)]),
    "reconstructions": lambda x: reconstructions(never, never, x),
    "traversals": lambda x: traversals(never, never, x),
}
OF_IMAGES = {
    "grid": lambda x: image_grid(x, 3),
    "psnr": lambda x: psnr(x, x),
    "ssim": lambda x: ssim(x, x),
    "sharpness": sharpness,
    "pixels": lambda x: to_pixels(x[0]),
}


@pytest.mark.parametrize("given", ARRAYS)
@pytest.mark.parametrize("name", OF_PAIRS)
def test_a_pair_is_not_run_on_them(name, given):
    x, message = ARRAYS[given]
    with pytest.raises(ValueError, match=f"the data are a? ?{message}"):
        OF_PAIRS[name](x)


@pytest.mark.parametrize("given", ARRAYS)
@pytest.mark.parametrize("name", OF_IMAGES)
def test_functions_of_images_refuse_them(name, given):
    x, message = ARRAYS[given]
    with pytest.raises(ValueError, match=message):
        OF_IMAGES[name](x)


def test_what_is_beside_the_data_is_named():
    x = torch.zeros(3, 1, 4, 5)
    with pytest.raises(ValueError, match=r"argument 1 beside .* int64; .*torch\.as_tensor\(x\)$"):
        posterior_means(never, never, [(x, np.arange(3))])


def test_one_image_is_drawn_at_a_time():
    with pytest.raises(ValueError, match=r"image is \(3, 1, 4, 5\); expected \(C, H, W\)"):
        to_pixels(torch.zeros(3, 1, 4, 5))
