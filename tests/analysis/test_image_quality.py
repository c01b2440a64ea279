"""Peak signal-to-noise ratio and structural similarity, against numpy and scipy."""

from math import inf, nan

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from unbraid.analysis import psnr, ssim


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def reference_ssim(x, y):
    """SSIM of two channels by scipy's filter, its window cut to 11 x 11, where it fits."""

    def blur(values):
        full = gaussian_filter(values, sigma=1.5, radius=5, mode="constant", cval=nan)
        return full[5:-5, 5:-5]

    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    both = blur(x * y) - mean_x * mean_y
    up = (2 * mean_x * mean_y + 0.0001) * (2 * both + 0.0009)
    return np.mean(up / ((mean_x**2 + mean_y**2 + 0.0001) * (var_x + var_y + 0.0009)))


def test_psnr_is_that_of_numpy():
    x, y = images(5, 3, 7, 9), images(5, 3, 7, 9, seed=1)
    errors = ((x.double().numpy() - y.double().numpy()) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(psnr(x, y).numpy(), 10 * np.log10(1 / errors), rtol=1e-12)


def test_psnr_of_constants():
    """An error of 0.1 everywhere is 20 dB, one of 1 is 0 dB, none is infinite."""
    zeros = torch.zeros(3, 1, 4, 4, dtype=torch.float64)
    others = zeros + torch.tensor([0.1, 1.0, 0.0], dtype=torch.float64).reshape(3, 1, 1, 1)
    assert psnr(zeros, others).tolist() == pytest.approx([20, 0, inf])


def test_ssim_is_that_of_scipy():
    x = images(4, 3, 20, 16)
    y = (x + 0.3 * (images(4, 3, 20, 16, seed=1) - 0.5)).clamp(0, 1)
    expected = [
        np.mean([reference_ssim(a, b) for a, b in zip(own, other, strict=True)])
        for own, other in zip(x.numpy(), y.numpy(), strict=True)
    ]
    assert 0.5 < min(expected) < max(expected) < 1
    np.testing.assert_allclose(ssim(x, y).numpy(), expected, rtol=1e-10)


def test_many_images_are_as_each_alone():
    x, y = images(300, 1, 11, 11), images(300, 1, 11, 11, seed=1)
    values = ssim(x, y)
    assert values.shape == (300,)
    for row in (0, 255, 256, 299):
        assert values[row] == pytest.approx(reference_ssim(x[row, 0], y[row, 0]))


def test_ssim_of_constants_compares_their_luminance():
    black, grey = torch.zeros(1, 1, 11, 11), torch.full((1, 1, 11, 11), 0.5)
    assert float(ssim(black, grey)) == pytest.approx(0.0001 / (0.25 + 0.0001), rel=1e-9)


def test_the_edge_has_no_window_of_its_own():
    """A pixel in a corner counts in the one window that holds it alone, hardly at all."""
    x = torch.full((1, 1, 31, 31), 0.5, dtype=torch.float64)
    corner, middle = x.clone(), x.clone()
    corner[..., 0, 0], middle[..., 15, 15] = 1, 1
    lost_in_corner, lost = 1 - ssim(x, corner), 1 - ssim(x, middle)
    assert 0 < float(lost_in_corner) < 0.01 * float(lost)


def test_equal_images_and_symmetry():
    x, y = images(3, 2, 16, 16), images(3, 2, 16, 16, seed=1)
    assert ssim(x, x).tolist() == pytest.approx([1.0] * 3, abs=1e-12)
    assert psnr(x, x).tolist() == [inf] * 3
    assert torch.equal(psnr(x, y), psnr(y, x))
    torch.testing.assert_close(ssim(x, y), ssim(y, x), rtol=1e-12, atol=0)


def test_an_inverted_image_is_dissimilar():
    x = (images(1, 1, 16, 16) > 0.5).float()
    assert float(ssim(x, 1 - x)) < -0.5


def test_a_smaller_window_fits_smaller_images():
    x, y = images(2, 1, 8, 12), images(2, 1, 8, 12, seed=1)
    with pytest.raises(ValueError, match=r"window is 11; .* shorter side, 8\. Give window=7"):
        ssim(x, y)
    assert (ssim(x, y, window=7) < 1).all()


@pytest.mark.parametrize("window", [0, 1, 4, 13, -3])
def test_a_wrong_window_is_named(window):
    with pytest.raises(ValueError, match=f"window is {window}; expected an odd number"):
        ssim(images(1, 1, 12, 12), images(1, 1, 12, 12), window=window)


@pytest.mark.parametrize("score", [psnr, ssim])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:1], r"others is \(1, 1, 12, 12\); expected one shape"),
        (lambda x: x[0], r"expected one shape \(N, C, H, W\)"),
        (lambda x: (255 * x).byte(), r"others is torch\.uint8; .*Divide 8-bit values by 255"),
        (lambda x: 2 * x, r"others has values from 0.* to 1\.9.*; expected finite"),
        (lambda x: x - 0.5, r"others has values from -0\.4"),
        (lambda x: x.fill_(nan), "others has values from nan"),
    ],
)
def test_wrong_images_are_named(score, change, message):
    x = images(2, 1, 12, 12)
    with pytest.raises(ValueError, match=message):
        score(x, change(x.clone()))


@pytest.mark.parametrize("score", [psnr, ssim])
def test_no_images_are_refused(score):
    with pytest.raises(ValueError, match=r"images is \(0, 1, 12, 12\)"):
        score(torch.zeros(0, 1, 12, 12), torch.zeros(0, 1, 12, 12))
