"""Alignment: every image with its own warp undone, also known as congealing."""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .image_figure import image_figure
from .passes import undisturbed
from .sharpness import mean_variance, sharpness
from .warped import warp_codes, warp_model

CLASSES, EXAMPLES = 10, 8


@dataclass(frozen=True)
class Alignment:
    """Images before and after their warps are undone; all on the host.

    Attributes:
        images: The images `(N, C, H, W)` as they were.
        aligned: The images un-warped, `(N, C, H, W)`.
        gamma: Parameters `(N, P)` of the warp that was undone.
        perspective: Codes `(N, K)` that gamma was decoded from.
        labels: Classes `(N,)`, or None.
    """

    images: Tensor
    aligned: Tensor
    gamma: Tensor
    perspective: Tensor
    labels: Tensor | None = None


def align(
    model: Program,
    guide: Program,
    images: Tensor,
    *,
    labels: Tensor | None = None,
    perspective: Tensor | None = None,
    batch_size: int = 256,
    seed: int = 0,
) -> Alignment:
    """Undo the warp of every image: turn the perspective out of it, and leave the appearance.

    Source: Learned-Miller (2006), https://doi.org/10.1109/TPAMI.2006.34, for the name and the
    purpose; here the guide gives the warps at once.

    Args:
        model: The generative program, a `WarpModel`.
        guide: The inference program.
        images: Images `(N, C, H, W)`.
        labels: Classes `(N,)`, for the means by class of `alignment_figure`; -1 where not known.
        perspective: Codes `(N, K)`, such as those of `search_codes`; the guide's means unless
            given.
        batch_size: Images per pass, at least 1.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If the model warps nothing, there are no images, or there is not one label or
            one perspective per image.
    """
    warped = warp_model(model)
    if labels is not None and labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels is {tuple(labels.shape)}; expected ({len(images)},), one class per image. "
            "Leave labels out if there are none."
        )
    # Where codes are given, one image says how wide they are.
    encoded = images if perspective is None else images[:1]
    _, means = warp_codes(model, guide, encoded, batch_size=batch_size, seed=seed)
    expected = (len(images), *means.shape[1:])
    if perspective is not None and perspective.shape != expected:
        raise ValueError(
            f"perspective is {tuple(perspective.shape)}; expected {expected}, a code per image. "
            "Search them by search_codes, or leave perspective out."
        )
    perspective = means if perspective is None else perspective.to(means)
    with undisturbed(model, seed=seed):
        gamma = warped.gamma(perspective)
        parts = zip(images.split(batch_size), gamma.split(batch_size), strict=True)
        aligned = torch.cat([warped.transform.inverse(*part).cpu() for part in parts])
    return Alignment(
        images.cpu(),
        aligned,
        gamma.cpu(),
        perspective.cpu(),
        None if labels is None else labels.cpu(),
    )


def alignment_figure(alignment: Alignment) -> Figure:
    """Show the mean image before and after, with how much sharper it is.

    Beside the mean over all images stand those of each class, of the ten largest where there are
    more; without labels, the first eight images.

    Args:
        alignment: What `align` returns.
    """
    groups = _groups(alignment)
    whole = torch.ones(len(alignment.images), dtype=torch.bool)
    names, before, after = [], [], []
    for name, chosen in {"all": whole, **groups}.items():
        old, new = alignment.images[chosen], alignment.aligned[chosen]
        before.append(old.mean(0))
        after.append(new.mean(0))
        single = alignment.labels is None and name != "all"
        names.append("" if single else f"{name}\n{_times(sharpness(new), sharpness(old))}")
    means = torch.stack([*before, *after]).float().clamp(0, 1)
    by = "class" if alignment.labels is not None else "all images, and the first ones"
    return image_figure(
        means,
        len(names),
        title=_title(alignment),
        rows=["before", "after"],
        columns_named=names,
        x=f"{by}; times as sharp after",
    )


def _groups(alignment: Alignment) -> dict[str, Tensor]:
    """Which images each column besides the first is the mean of."""
    count = len(alignment.images)
    if alignment.labels is None:
        single = torch.eye(count, dtype=torch.bool)[:EXAMPLES]
        return {f"example {i}": chosen for i, chosen in enumerate(single)}
    known = alignment.labels[alignment.labels >= 0]
    classes, sizes = known.unique(return_counts=True)
    largest = sizes.argsort(descending=True, stable=True)[:CLASSES].sort().values
    return {str(int(label)): alignment.labels == label for label in classes[largest]}


def _title(alignment: Alignment) -> str:
    old, new = mean_variance(alignment.images), mean_variance(alignment.aligned)
    left = f", variance left {100 * new / old:.0f} %" if old > 0 else ""
    sharp = [sharpness(alignment.images), sharpness(alignment.aligned)]
    return f"Mean image: sharpness {sharp[0]:.2g} to {sharp[1]:.2g}{left}"


def _times(new: float, old: float) -> str:
    return f"{new / old:.1f}x" if old > 0 else ""
