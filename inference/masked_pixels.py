"""Which pixels are seen, and the density of the pixels that are."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from .eligibility import NoLikelihoodError, mask_of
from .sites import Site


@runtime_checkable
class PixelDensity(Protocol):
    """Images whose pixels are independent, though the channels of a pixel may not be."""

    def log_prob_by_pixel(self, value: Tensor) -> Tensor:
        """Return the log density `(..., H, W)` of each pixel of images `(..., C, H, W)`."""
        ...


def read_observed(observed: Tensor, images: Tensor) -> Tensor:
    """Check which pixels are seen, and say it for each channel of each image.

    Args:
        observed: Bool `(H, W)`, `(N, H, W)` or `(N, C, H, W)`, true where a pixel is seen.
        images: Images `(N, C, H, W)`.

    Returns:
        Bool `(N, C, H, W)`.

    Raises:
        TypeError: If it is no bool tensor.
        ValueError: If the shape is another, or an image has no hidden pixel.
    """
    if images.dim() != 4:
        raise ValueError(
            f"images have shape {tuple(images.shape)}; expected (N, C, H, W), single images. "
            "Sequences of frames cannot be masked pixel by pixel: take their frames as images"
        )
    if not isinstance(observed, Tensor) or observed.dtype != torch.bool:
        kind = observed.dtype if isinstance(observed, Tensor) else type(observed).__name__
        raise TypeError(
            f"observed is {kind}; expected a bool tensor, true where a pixel is seen. "
            "Compare with what marks them, such as mask > 0"
        )
    count, channels, height, width = images.shape
    expected = ((height, width), (count, height, width), (count, channels, height, width))
    if tuple(observed.shape) not in expected:
        raise ValueError(
            f"observed has shape {tuple(observed.shape)}; expected {expected[0]}, one for all "
            f"images, {expected[1]} or {expected[2]}. Make it as large as the images"
        )
    if observed.dim() == 3:
        observed = observed.unsqueeze(1)
    every = observed.to(images.device).expand(images.shape)
    complete = every.flatten(1).all(1)
    if bool(complete.any()):
        raise ValueError(
            f"observed is true everywhere for image {int(complete.nonzero()[0])}; expected at "
            "least one hidden pixel, false, to complete. For the posterior of whole images and "
            "log p(x), use log_likelihood"
        )
    return every


def require_pixels(site: Site, observed: Tensor) -> None:
    """Make sure that the density of an image site is a product over pixels.

    Args:
        site: The model's site of the images, event `(C, H, W)`.
        observed: Bool `(N, C, H, W)`.

    Raises:
        NoLikelihoodError: If it is not, or only some channels of a pixel are seen where channels
            depend on each other.
    """
    if mask_of(site) is not None:
        raise NoLikelihoodError(
            f"site {site.name!r} is masked by the model itself ({type(site.fn).__name__}), which "
            "then has a density of some pixels alone; expected one of whole images. Train a pair "
            "without a mask, such as vae or a cvae whose condition is a label"
        )
    if _independent(site.fn) is not None:
        return
    if not isinstance(site.fn, PixelDensity):
        raise NoLikelihoodError(
            f"site {site.name!r} is {type(site.fn).__name__}, whose log_prob is of whole images; "
            "expected pixels that are independent given the codes, since others have no density "
            "of some pixels alone. Use .to_event(3), or give the distribution a "
            "log_prob_by_pixel(x) of shape (..., H, W)"
        )
    if bool((observed != observed[:, :1]).any()):
        raise NoLikelihoodError(
            f"observed differs between the channels of a pixel, which site {site.name!r} "
            f"({type(site.fn).__name__}) models together; expected all of them seen or none. "
            "Give one mask of shape (H, W), or train with likelihood=normal-learned"
        )


def log_density_of_seen(site: Site, observed: Tensor) -> Tensor:
    """Log density of the seen pixels of images, batch shape, nats.

    Args:
        site: The model's site of the images, event `(C, H, W)`; its value at hidden pixels is not
            looked at, but must be in the support.
        observed: Bool `(N, C, H, W)`.
    """
    pixels = _independent(site.fn)
    if pixels is not None:
        densities = pixels.log_prob(site.value)
        return torch.where(observed, densities, densities.new_zeros(())).sum((-3, -2, -1))
    fn: Any = site.fn
    densities = fn.log_prob_by_pixel(site.value)
    return torch.where(observed[:, 0], densities, densities.new_zeros(())).sum((-2, -1))


def _independent(fn: Distribution) -> Distribution | None:
    """The distribution of single values where an image's are independent; None elsewhere."""
    if isinstance(fn, Independent) and fn.reinterpreted_batch_ndims == 3:
        return None if fn.base_dist.event_shape else fn.base_dist
    return None
