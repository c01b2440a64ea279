"""How near images are to others: peak signal-to-noise ratio and structural similarity."""

from math import inf

import torch
from torch import Tensor, nn

from unbraid.inference import require_floats

WINDOW = 11
_DEVIATION = 1.5  # pixels, of the window
_LUMINANCE, _CONTRAST = 0.01**2, 0.03**2  # (K L)^2 with the range L = 1
_CHUNK = 256  # images at a time


def psnr(images: Tensor, others: Tensor) -> Tensor:
    r"""Return the peak signal-to-noise ratio of each image to its other, in decibels.

    That is \( -10 \log_{10} \operatorname{mean}_p (x(p) - y(p))^2 \), with the mean over pixels
    and channels and the peak 1. The mean over images is not the ratio of their mean error.

    Args:
        images: Images `(N, C, H, W)`, floats in [0, 1].
        others: As many images of the same shape.

    Returns:
        float64 `(N,)` on the device of `images`; infinite where two images are equal.

    Raises:
        ValueError: If the shapes differ, there are no images, or values are not in [0, 1].
    """
    _check(images, others)
    error = (images.double() - others.to(images.device).double()).square().flatten(1).mean(1)
    return torch.where(error > 0, -10 * error.log10(), inf)


def ssim(images: Tensor, others: Tensor, *, window: int = WINDOW) -> Tensor:
    r"""Return the structural similarity of each image to its other.

    The mean, over pixels and channels, of

    \[ \frac{(2 \mu_x \mu_y + c_1)(2 \sigma_{xy} + c_2)}
            {(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)}, \quad
       c_1 = 0.01^2, \; c_2 = 0.03^2, \]

    with moments under a Gaussian window of standard deviation 1.5 pixels around the pixel. As in
    the paper, pixels count whose window lies in the image: nothing is padded, so an edge of
    `window // 2` pixels has no window of its own. Channels are compared one by one.

    Source: Wang et al. (2004), https://doi.org/10.1109/TIP.2003.819861, equation 13.

    Args:
        images: Images `(N, C, H, W)`, floats in [0, 1].
        others: As many images of the same shape.
        window: Side of the window in pixels, odd, at most the shorter side of the images; the
            paper's 11. Numbers of different windows cannot be compared.

    Returns:
        float64 `(N,)` on the device of `images`, from -1 to 1; 1 where two images are equal.

    Raises:
        ValueError: If the shapes differ, there are no images, values are not in [0, 1], or the
            window is even or larger than the images.
    """
    _check(images, others)
    _check_window(window, min(images.shape[-2:]))
    weights = _window(window).to(images.device)
    parts = [
        _similarity(own.double(), other.to(images.device).double(), weights)
        for own, other in zip(images.split(_CHUNK), others.split(_CHUNK), strict=True)
    ]
    return torch.cat(parts)


def _similarity(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    count = len(x)
    moments = _blur(torch.cat([x, y, x * x, y * y, x * y]), weights).split(count)
    mean_x, mean_y, square_x, square_y, product = moments
    variances = (square_x - mean_x**2) + (square_y - mean_y**2)
    luminance = (2 * mean_x * mean_y + _LUMINANCE) / (mean_x**2 + mean_y**2 + _LUMINANCE)
    structure = (2 * (product - mean_x * mean_y) + _CONTRAST) / (variances + _CONTRAST)
    return (luminance * structure).flatten(1).mean(1)


def _blur(images: Tensor, weights: Tensor) -> Tensor:
    """Average under the window, where it lies in the image: one axis after the other."""
    single = images.flatten(0, 1)[:, None]
    rows = nn.functional.conv2d(single, weights[None, None, :, None])
    return nn.functional.conv2d(rows, weights[None, None, None, :]).unflatten(0, images.shape[:2])


def _window(size: int) -> Tensor:
    places = torch.arange(size, dtype=torch.float64) - size // 2
    return (-0.5 * (places / _DEVIATION) ** 2).softmax(0)


def _check_window(window: int, side: int) -> None:
    if window % 2 == 0 or not 1 < window <= side:
        largest = side - (side + 1) % 2
        advice = f"Give window={largest}, or larger images." if side > 2 else "Give larger images."
        raise ValueError(
            f"window is {window}; expected an odd number from 3 to the images' shorter side, "
            f"{side}. {advice}"
        )


def _check(images: Tensor, others: Tensor) -> None:
    require_floats("images", images)
    require_floats("others", others)
    if images.dim() != 4 or 0 in images.shape or images.shape != others.shape:
        raise ValueError(
            f"images is {tuple(images.shape)} and others is {tuple(others.shape)}; expected one "
            "shape (N, C, H, W) with at least one image. Pair each image with its other."
        )
    for what, values in (("images", images), ("others", others)):
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"{what} has values from {low:g} to {high:g}; expected finite values in [0, 1]. "
                "Give mean images, as the likelihood shows them."
            )
