"""Invertible warps of points and images: flows, so that the inverse of gamma is minus gamma."""

from .affine import Affine, LinearFlow, Rotation, Similarity, Translation
from .cpab import CPAB
from .matrix_exponential import affine_exponential
from .named import TRANSFORMS, make_transform
from .sequential import Sequential, compose
from .transform import PADDINGS, Transform, extent_of, pixel_centres, sample_image

__all__ = [
    "CPAB",
    "PADDINGS",
    "TRANSFORMS",
    "Affine",
    "LinearFlow",
    "Rotation",
    "Sequential",
    "Similarity",
    "Transform",
    "Translation",
    "affine_exponential",
    "compose",
    "extent_of",
    "make_transform",
    "pixel_centres",
    "sample_image",
]
