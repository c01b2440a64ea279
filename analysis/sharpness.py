"""How sharp the mean of some images is, and how much they differ pixel by pixel."""

from torch import Tensor

from unbraid.inference import require_floats


def sharpness(images: Tensor) -> float:
    r"""Measure the sharpness of the mean image by its gradient energy.

    That is \( \operatorname{mean}_p (\partial_x \bar x(p))^2 + \operatorname{mean}_p (\partial_y
    \bar x(p))^2 \), with differences of neighbouring pixels and the mean over channels. Images
    that are not aligned blur their mean, which lowers it.

    Source: Pertuz et al. (2013), https://doi.org/10.1016/j.patcog.2012.11.011, operator GRA2.

    Args:
        images: Images `(N, C, H, W)`, at least 2 x 2 pixels; one image is its own mean.

    Returns:
        Squares of the image range per squared pixel; 0 for a flat mean.

    Raises:
        ValueError: If there are no images or they are less than 2 pixels wide or high.
    """
    _check(images)
    mean = images.double().mean(0)
    return float(mean.diff(dim=-1).square().mean() + mean.diff(dim=-2).square().mean())


def mean_variance(images: Tensor) -> float:
    """Return the variance of a pixel across images, mean over pixels and channels.

    What remains of it after an alignment is what the warps do not explain. Interpolation smooths
    images, which lowers it too, of black and white ones by a quarter: compare with the variance
    that warps of other images leave.

    Source: Cox et al. (2008), https://doi.org/10.1109/CVPR.2008.4587573, least-squares congealing,
    which minimises it.

    Args:
        images: Images `(N, C, H, W)`.

    Returns:
        Squares of the image range; 0 for equal images.

    Raises:
        ValueError: If there are no images or they are less than 2 pixels wide or high.
    """
    _check(images)
    return float(images.double().var(0, correction=0).mean())


def _check(images: Tensor) -> None:
    require_floats("images", images)
    if images.dim() != 4 or len(images) == 0 or min(images.shape[-2:]) < 2:
        raise ValueError(
            f"images is {tuple(images.shape)}; expected (N, C, H, W) with at least one image of "
            "2 x 2 pixels. Add a leading axis to a single image."
        )
