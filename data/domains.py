"""Digits in two domains, one with labels and one without, for methods that carry labels over.

The coloured domain follows Ganin and Lempitsky (2015), https://arxiv.org/abs/1409.7495, section 4:
each digit's difference from a coloured patch. Their patches are cut from photographs; these are
smooth random colours.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .bouncing import uniforms
from .dataset import UNKNOWN, Dataset, Splits
from .digit_sets import DigitSet, digits_of
from .errors import DataError

Target = Literal["inverted", "coloured"]
Labelled = Literal["source", "target", "both"]
_SOURCE, _TARGET = 0, 1
_DOMAINS = 2
_LABELLED = {"source": (_SOURCE,), "target": (_TARGET,), "both": (_SOURCE, _TARGET)}
_HALVES, _PATCHES = range(2)  # what a stream of random numbers is for
_GRIDS = (2, 5)  # colours along a side of a patch, coarse and fine
_SHARES = (0.7, 0.3)  # of the coarse and of the fine ones
_CHUNK = 2048  # patches that are drawn at a time
_COLOURS = 3


def mnist_domains(
    seed: int,
    *,
    target: Target = "inverted",
    labelled: Labelled = "source",
    brightness: float = 1.0,
    labels_per_class: int = 0,
    digits_from: DigitSet = "mnist-small",
) -> Splits:
    """Return digits of two domains, as many of either, and no digit in both.

    The factor `domain` is 0 for the source and 1 for the target. Target digits have no labels (-1)
    in the training part, unless `labelled` says otherwise; all digits that validate and test have
    theirs, to judge by.

    Every class has as many digits in either domain, or one more. The test part does not depend on
    `seed`.

    Args:
        seed: Chooses which digits validate, the domain of each digit and its patch.
        target: `inverted`: black on white. `coloured`: the difference of the digit, in each
            colour, from a patch of smooth random colours; images of both domains have three
            channels then, and those of the source are grey.
        labelled: Which digits of the training part have labels: those of the `source`, of the
            `target` (what could be reached if its labels were known), or of `both`.
        brightness: Of the patches behind coloured targets, from 0 to 1. Up to 0.5 digits are
            brighter than what is behind them, as those of the source are.
        labels_per_class: So many target digits of each class that train have labels where only
            those of the source would.
        digits_from: Where the digits come from.

    Raises:
        DataError: If an option is none of these.
        DownloadError: If the digits cannot be fetched.
    """
    if target not in ("inverted", "coloured"):
        raise DataError(f"target is {target!r}; expected one of inverted, coloured")
    if labelled not in _LABELLED:
        raise DataError(f"labelled is {labelled!r}; expected one of {', '.join(_LABELLED)}")
    if not 0 <= brightness <= 1:
        raise DataError(f"brightness is {brightness}; expected 0 to 1")
    if type(labels_per_class) is not int or labels_per_class < 0:
        raise DataError(f"labels_per_class is {labels_per_class!r}; expected an integer from 0 on")
    digits = digits_of(digits_from, seed)
    return Splits(
        _in_two_domains(
            digits.train, target, (seed, 0), brightness, _LABELLED[labelled], labels_per_class
        ),
        _in_two_domains(digits.validation, target, (seed, 1), brightness),
        _in_two_domains(digits.test, target, (0, 2), brightness),
    )


def _in_two_domains(
    digits: Dataset,
    target: Target,
    key: tuple[int, ...],
    brightness: float,
    labelled: tuple[int, ...] = (_SOURCE, _TARGET),
    labels_per_class: int = 0,
) -> Dataset:
    classes = digits.annotations()["labels"]
    domain = _halves(classes, (*key, _HALVES))
    rows = (domain >= 0).nonzero().squeeze(1)
    domain, labels, images = domain[rows], classes[rows], digits.pixels(rows)
    there = domain == _TARGET
    if target == "coloured":
        images = images.repeat(1, _COLOURS, 1, 1)
        patches = draw_patches((*key, _PATCHES), int(there.sum()), images.shape[-1])
        patches = (patches * brightness).round().to(torch.uint8)
        digit = images[there]
        images[there] = torch.maximum(digit, patches) - torch.minimum(digit, patches)
    else:
        images[there] = 255 - images[there]
    known = torch.isin(domain, torch.tensor(labelled))
    if labels_per_class:
        known |= _first_of_each_class(classes[rows], there, labels_per_class)
    labels = labels.masked_fill(~known, UNKNOWN)
    return Dataset(
        images,
        "mnist-domains",
        labels=labels,
        label_names=digits.label_names,
        factors=domain.unsqueeze(1),
        factor_names=("domain",),
        factor_sizes=(_DOMAINS,),
    )


def _first_of_each_class(classes: Tensor, chosen: Tensor, count: int) -> Tensor:
    """Mark the first few chosen data of each class, bool `(N,)`; more include those of fewer."""
    marked = torch.zeros_like(chosen)
    for label in classes.unique():
        rows = (chosen & (classes == label)).nonzero().squeeze(1)
        if len(rows) < count:
            raise DataError(
                f"labels_per_class is {count}; expected at most {len(rows)}, the target digits "
                f"of class {int(label)}"
            )
        marked[rows[:count]] = True
    return marked


def _halves(classes: Tensor, key: tuple[int, ...]) -> Tensor:
    """Return the domain of each datum, int64 `(N,)`; of an odd number one has none, -1."""
    mixed = torch.from_numpy(uniforms(key, len(classes))).argsort()
    order = mixed[classes[mixed].argsort(stable=True)]
    domain = torch.full_like(classes, -1)
    even = len(order) - len(order) % _DOMAINS
    domain[order[:even]] = torch.arange(even) % _DOMAINS
    return domain


def draw_patches(key: tuple[int, ...], count: int, side: int) -> Tensor:
    """Draw patches of smooth random colours, uint8 `(count, 3, side, side)`."""
    draws = torch.from_numpy(uniforms(key, count, _COLOURS, sum(n * n for n in _GRIDS)))
    colours = (1 - torch.cos(torch.pi * draws)) / 2  # rarely grey, in which digits would vanish
    return torch.cat([_smooth(part, side) for part in colours.split(_CHUNK)])


def _smooth(colours: Tensor, side: int) -> Tensor:
    """Blow up a coarse and a fine grid of colours, `(B, 3, n * n)` together, and mix them."""
    grids = colours.split([n * n for n in _GRIDS], dim=-1)
    patch = torch.zeros((), dtype=colours.dtype)
    for grid, n, share in zip(grids, _GRIDS, _SHARES, strict=True):
        unit = torch.eye(n, dtype=colours.dtype)[None, None]
        spread = interpolate(unit, (n, side), mode="bicubic", align_corners=True)[0, 0]
        patch = patch + share * (spread.T @ grid.unflatten(-1, (n, n)) @ spread)
    return patch.clamp(0, 1).mul(255).round().to(torch.uint8)
