"""Pairs whose model warps a canonical image: what they offer, and how they are recognised."""

from typing import Any, Protocol, TypeGuard

import torch
from torch import Tensor

from unbraid.inference import Program, require_floats
from unbraid.transforms import Transform

from .passes import point_codes, run, undisturbed


class WarpModel(Protocol):
    """A model of images with latent sites `appearance` and `perspective`, such as VITAE's.

    The mean image is `transform(canonical(appearance), gamma(perspective))`.
    """

    transform: Transform

    def canonical(self, appearance: Tensor) -> Tensor:
        """Return the images `(..., C, H, W)` of appearances `(..., A)`, not warped."""
        ...

    def gamma(self, perspective: Tensor) -> Tensor:
        """Return the warp's parameters `(..., P)` for perspectives `(..., K)`."""
        ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the generative program."""
        ...


def is_warp_model(model: Program) -> TypeGuard[WarpModel]:
    """Return whether a model has `transform`, `gamma` and `canonical`."""
    return isinstance(getattr(model, "transform", None), Transform) and all(
        callable(getattr(model, name, None)) for name in ("gamma", "canonical")
    )


def warp_model(model: Program) -> WarpModel:
    """Return the model as one that warps.

    Raises:
        ValueError: If it warps nothing.
    """
    if not is_warp_model(model):
        name = getattr(model, "__name__", type(model).__name__)
        raise ValueError(
            f"model {name} warps nothing; expected a model with transform, gamma and canonical, "
            "such as c-vitae. Train one, or look at traversals."
        )
    return model


def warp_codes(
    model: Program, guide: Program, images: Tensor, *, batch_size: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Return the appearances `(N, A)` and perspectives `(N, K)` of images: the guide's means."""
    warp_model(model)
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1. Try 256.")
    require_floats("images", images)
    if images.dim() != 4 or 0 in images.shape:
        raise ValueError(
            f"images is {tuple(images.shape)}; expected (N, C, H, W) with at least one image. "
            "Add a leading axis to a single image."
        )
    with undisturbed(model, guide, seed=seed):
        codes = [point_codes(run(model, guide, (part,))) for part in images.split(batch_size)]
    return (
        torch.cat([code["appearance"] for code in codes]),
        torch.cat([code["perspective"] for code in codes]),
    )
