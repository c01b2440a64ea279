"""Arrays of NumPy and 8-bit images, which notebooks give, are refused with what to do."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

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
from unbraid.inference import check_pair

FLOATS = np.zeros((3, 1, 4, 5), np.float32)
ARRAYS = {
    "floats": (FLOATS, r"NumPy array of float32; expected a tensor.*as_tensor\(x\)\.float\(\)$"),
    "bytes": (
        FLOATS.astype(np.uint8),
        r"NumPy array of uint8; .*\(x\)\.float\(\) / 255$",
    ),
    "byte tensor": (
        torch.zeros(3, 1, 4, 5, dtype=torch.uint8),
        r"torch\.uint8; expected floats in \[0, 1\]\. Divide 8-bit values by 255",
    ),
}


def never(*args, **kwargs):
    raise RuntimeError("a program ran")


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
def test_a_pair_is_not_run_on_arrays_and_fails_on_bytes_in_words(name, given):
    x, message = ARRAYS[given]
    with pytest.raises(ValueError, match=f"the data are a? ?{message}") as refused:
        OF_PAIRS[name](x)
    assert ("a program ran" in str(refused.value)) == (given == "byte tensor")


def test_pairs_of_bytes_are_pairs():
    """Nothing but nets of images needs floats: these are symbols, each with a row of its own."""
    rows = nn.Embedding(256, 2)

    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Categorical(logits=z @ rows.weight.T), obs=x.long())

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(rows(x.long()), 1.0).to_event(1))

    x = torch.tensor([0, 3, 255], dtype=torch.uint8)
    assert check_pair(model, guide, x).size == 3
    found = kl_per_dimension(model, guide, [x])["z"]
    expected = 0.5 * rows(x.long()).detach().double().square().mean(0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


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
