"""Warps of images by name, alone or one after the other."""

from collections.abc import Sequence
from difflib import get_close_matches
from inspect import signature
from typing import Any

from .affine import Affine, Rotation, Similarity, Translation
from .cpab import CPAB
from .sequential import Sequential
from .transform import Transform, extent_of

TRANSFORMS: dict[str, type[Transform]] = {
    "translation": Translation,
    "rotation": Rotation,
    "similarity": Similarity,
    "affine": Affine,
    "cpab": CPAB,
}


def make_transform(name: str, shape: tuple[int, int, int], **options: Any) -> Transform:
    """Return the warp `name` for images of a shape.

    Args:
        name: A key of `TRANSFORMS`, or several joined by `+`, the first one first, such as
            `similarity+cpab`.
        shape: Shape `(C, H, W)` of the images; the domain of CPAB is all of the image.
        **options: Further arguments of the classes, such as `cells` of `cpab` and
            `padding` of all.

    Raises:
        ValueError: If a name is unknown, a close one is suggested; if no named warp takes an
            option; or if an option is out of range.
    """
    names = [part.strip() for part in str(name).split("+")]
    for part in names:
        if part not in TRANSFORMS:
            raise ValueError(_unknown(part, str(name)))
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"shape is {tuple(shape)}; expected (C, H, W), each at least 1. "
            "Put the channels first."
        )
    _, height, width = shape
    cells = options.get("cells", (2, 4))
    if isinstance(cells, Sequence) and len(cells) != 2:
        raise ValueError(
            f"cells is {cells}; expected (columns, rows) for images. Give two whole numbers."
        )
    arguments: dict[str, Any] = {"extent": extent_of(height, width)} | options
    taken = {part: set(signature(TRANSFORMS[part]).parameters) for part in names}
    strange = sorted(set(options) - set().union(*taken.values()))
    if strange:
        accepted = sorted(set().union(*taken.values()) - {"extent"})
        raise ValueError(
            f"options of transform {name} are {', '.join(strange)}; expected some of "
            f"{', '.join(accepted)}. Remove the others."
        )
    parts = [
        TRANSFORMS[part](**{key: value for key, value in arguments.items() if key in taken[part]})
        for part in names
    ]
    if len(parts) == 1:
        return parts[0]
    return Sequential(*parts, padding=options.get("padding", "border"))


def _unknown(part: str, name: str) -> str:
    close = get_close_matches(part, TRANSFORMS, n=1)
    hint = f"Did you mean {close[0]}?" if close else "Choose one of these."
    what = repr(name) if part == name else f"{name!r}, with {part!r}"
    return (
        f"transform is {what}; expected one of {', '.join(TRANSFORMS)}, or several joined by +. "
        f"{hint}"
    )
