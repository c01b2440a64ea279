"""The data contract: images or sequences, and what is known about each of them."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from .bits import PackedBits
from .errors import DataError

_ANNOTATIONS = ("labels", "factors", "groups", "lengths")
_CHUNK = 1024  # images that are looked at together to find out their kind


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images `(N, C, H, W)` or sequences `(S, T, C, H, W)`, with what is known about each of them.

    Args:
        images: uint8, 0 to 255; `PackedBits` for large sets of binary images.
        name: What figures and reports call the data.
        labels: Classes, int64 `(N,)`, from 0.
        label_names: One name per class.
        factors: True factors of variation `(N, F)`: int64 class indices or float32 values.
        factor_names: One name per factor.
        factor_sizes: Number of values of each factor; 0 where it is continuous.
        groups: int64 `(N,)`; data of one group never fall into different splits.
        lengths: Number of true frames of each sequence, int64 `(S,)`, 1 to `T`.
        dynamic: The pixels are probabilities, from which `Batches` draws binary images anew at
            every step.

    Raises:
        DataError: If the parts do not fit together.
    """

    images: Tensor | PackedBits
    name: str = "data"
    labels: Tensor | None = None
    label_names: tuple[str, ...] = ()
    factors: Tensor | None = None
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()
    groups: Tensor | None = None
    lengths: Tensor | None = None
    dynamic: bool = False

    def __post_init__(self) -> None:
        _check_images(self)
        _check_labels(self)
        _check_factors(self)
        _check_lengths(self)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"<Dataset {describe(self)}>"

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of one image or frame."""
        channels, height, width = self.images.shape[-3:]
        return channels, height, width

    @property
    def is_sequence(self) -> bool:
        """Whether the data are sequences of frames."""
        return self.images.ndim == 5

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    @cached_property
    def kind(self) -> str:
        """`binary` (only 0 and 255, or `dynamic`), `grey` (one channel) or `colour`."""
        if self.dynamic or isinstance(self.images, PackedBits) or _is_binary(self.images):
            return "binary"
        return "grey" if self.shape[0] == 1 else "colour"

    def pixels(self, indices: Tensor) -> Tensor:
        """Return the images at `indices`, int64 `(B,)`, as uint8 `(B, ...)`."""
        if isinstance(self.images, PackedBits):
            return self.images.unpack(indices)
        return self.images.index_select(0, indices)

    def take(self, indices: Tensor) -> "Dataset":
        """Return a dataset of the data at `indices`, int64 `(B,)`."""
        images = self.images
        taken = images.take(indices) if isinstance(images, PackedBits) else images[indices]
        known = {name: value[indices] for name, value in self.annotations().items()}
        return replace(self, images=taken, **known)

    def to(self, device: str | torch.device) -> "Dataset":
        """Return the same data on `device`."""
        known = {name: value.to(device) for name, value in self.annotations().items()}
        return replace(self, images=self.images.to(device), **known)

    def annotations(self) -> dict[str, Tensor]:
        """Return which of labels, factors, groups and lengths the data have, by field name."""
        return {name: value for name in _ANNOTATIONS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, eq=False)
class Splits:
    """The three parts of the data; training and model selection never see `test`."""

    train: Dataset
    validation: Dataset
    test: Dataset


def describe(dataset: Dataset) -> str:
    """Say in one line what the data are."""
    thing, frames = "images", ""
    if dataset.is_sequence:
        thing, frames = "sequences", f"{dataset.images.shape[1]} frames of "
    size = "x".join(str(n) for n in dataset.shape)
    parts = [f"{dataset.name}: {len(dataset):,} {thing}", f"{frames}{size}", dataset.kind]
    if dataset.labels is not None:
        parts.append(f"{len(dataset.label_names)} labels")
    if dataset.factors is not None:
        names = dataset.factor_names
        parts.append(f"{len(names)} factors ({', '.join(names)})")
    if dataset.groups is not None:
        parts.append(f"{len(dataset.groups.unique())} groups")
    return ", ".join(parts)


def _is_binary(images: Tensor) -> bool:
    return all(bool(((part == 0) | (part == 255)).all()) for part in images.split(_CHUNK))


def _check_images(data: Dataset) -> None:
    images = data.images
    if isinstance(images, Tensor) and images.dtype != torch.uint8:
        raise DataError(
            f"images of {data.name} are {images.dtype}; expected torch.uint8, 0 to 255"
        )
    if images.ndim not in (4, 5):
        raise DataError(
            f"images of {data.name} have shape {tuple(images.shape)}; "
            "expected (N, C, H, W), or (S, T, C, H, W) for sequences"
        )
    if 0 in images.shape:
        raise DataError(
            f"images of {data.name} have shape {tuple(images.shape)}; expected no axis of length 0"
        )
    for name, value in data.annotations().items():
        if value.shape[:1] != images.shape[:1]:
            raise DataError(
                f"number of {name} of {data.name} is {len(value)}; "
                f"expected {len(images)}, one for each of the images"
            )
        if value.dtype != torch.int64 and not (name == "factors" and value.dtype == torch.float32):
            raise DataError(f"{name} of {data.name} are {value.dtype}; expected torch.int64")


def _check_labels(data: Dataset) -> None:
    if data.labels is None:
        return
    row = first(data.labels < 0)
    if row is not None:
        raise DataError(f"labels[{row}] of {data.name} is {data.labels[row]}; expected at least 0")
    if not data.label_names:
        names = tuple(str(k) for k in range(int(data.labels.max()) + 1))
        object.__setattr__(data, "label_names", names)
    row = first(data.labels >= len(data.label_names))
    if row is not None:
        raise DataError(
            f"labels[{row}] of {data.name} is {data.labels[row]}; "
            f"expected 0 to {len(data.label_names) - 1}, one for each of the label names"
        )


def _check_factors(data: Dataset) -> None:
    if data.factors is None:
        return
    if data.factors.ndim != 2:
        raise DataError(
            f"factors of {data.name} have shape {tuple(data.factors.shape)}; expected (N, F)"
        )
    count = data.factors.shape[1]
    if not data.factor_names:
        object.__setattr__(data, "factor_names", tuple(f"factor {k}" for k in range(count)))
    if not data.factor_sizes:
        discrete = not data.factors.is_floating_point()
        sizes = (data.factors.amax(0) + 1).tolist() if discrete else [0] * count
        object.__setattr__(data, "factor_sizes", tuple(sizes))
    for name in ("factor_names", "factor_sizes"):
        if len(getattr(data, name)) != count:
            raise DataError(
                f"number of {name} of {data.name} is {len(getattr(data, name))}; expected {count}"
            )


def _check_lengths(data: Dataset) -> None:
    if data.lengths is None:
        return
    if not data.is_sequence:
        raise DataError(f"lengths of {data.name} are given for images; expected sequences")
    frames = data.images.shape[1]
    row = first((data.lengths < 1) | (data.lengths > frames))
    if row is not None:
        raise DataError(
            f"lengths[{row}] of {data.name} is {data.lengths[row]}; expected 1 to {frames} frames"
        )


def first(wrong: Tensor) -> int | None:
    """Return the first place where the bool vector `wrong` is true."""
    places = wrong.nonzero()
    return int(places[0]) if len(places) else None
