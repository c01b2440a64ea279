"""The data contract: images or sequences, and what is known about each of them."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from .bits import PackedBits
from .errors import DataError
from .frame_store import FrameStore
from .wording import counted

UNKNOWN = -1  # the label of a datum whose class is not known
_ANNOTATIONS = ("labels", "factors", "groups", "lengths", "frame_factors")
_MAY_BE_FLOAT = ("factors", "frame_factors")
_CHUNK = 1024  # images that are looked at together to find out their kind


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images `(N, C, H, W)` or sequences `(S, T, C, H, W)`, with what is known about each of them.

    Args:
        images: uint8, 0 to 255; `PackedBits` for large sets of binary images, a `FrameStore` for
            sequences whose frames are made when they are asked for.
        name: What figures and reports call the data.
        labels: Classes, int64 `(N,)`, from 0; -1 where the class is not known.
        label_names: One name per class.
        factors: True factors of variation `(N, F)`: int64 class indices or float32 values.
        factor_names: One name per factor.
        factor_sizes: Number of values of each factor; 0 where it is continuous.
        groups: int64 `(N,)`; data of one group never fall into different splits.
        lengths: Number of true frames of each sequence, int64 `(S,)`, 1 to `T`; the rest is
            padding.
        frame_factors: True factors of every frame `(S, T, G)`: int64 class indices or float32
            values; sequences only.
        frame_factor_names: One name per factor of frames.
        frame_factor_sizes: Number of values of each factor of frames; 0 where it is continuous.
        dynamic: The pixels are probabilities, from which `Batches` draws binary images anew at
            every step.

    Raises:
        DataError: If the parts do not fit together.
    """

    images: Tensor | PackedBits | FrameStore
    name: str = "data"
    labels: Tensor | None = None
    label_names: tuple[str, ...] = ()
    factors: Tensor | None = None
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()
    groups: Tensor | None = None
    lengths: Tensor | None = None
    frame_factors: Tensor | None = None
    frame_factor_names: tuple[str, ...] = ()
    frame_factor_sizes: tuple[int, ...] = ()
    dynamic: bool = False

    def __post_init__(self) -> None:
        _check_images(self)
        _check_labels(self)
        _check_factors(self, "factors", "(N, F)")
        _check_lengths(self)
        _check_frame_factors(self)

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
        if self.dynamic or isinstance(self.images, PackedBits):
            return "binary"
        if isinstance(self.images, FrameStore) and getattr(self.images, "is_binary", False):
            return "binary"
        if isinstance(self.images, Tensor) and _is_binary(self.images):
            return "binary"
        return "grey" if self.shape[0] == 1 else "colour"

    def pixels(self, indices: Tensor) -> Tensor:
        """Return the images at `indices`, int64 `(B,)`, as uint8 `(B, ...)`."""
        images = self.images
        if isinstance(images, PackedBits):
            return images.unpack(indices)
        if isinstance(images, Tensor):
            return images.index_select(0, indices)
        places = torch.arange(images.shape[1], device=images.device)
        return images.frames(indices, places.expand(len(indices), -1))

    def frames(self, sequences: Tensor, places: Tensor) -> Tensor:
        """Return chosen frames of sequences.

        Args:
            sequences: Which sequences, int64 `(B,)`.
            places: Which of their frames, int64 `(B, N)`.

        Returns:
            uint8 `(B, N, C, H, W)`.

        Raises:
            DataError: If the data are images.
        """
        images = self.images
        if isinstance(images, Tensor):
            rows = sequences.unsqueeze(1) * images.shape[1] + places
            flat = images.flatten(0, 1).index_select(0, rows.flatten())
            return flat.unflatten(0, tuple(places.shape))
        if isinstance(images, PackedBits):
            if images.ndim != 5:
                raise DataError(f"{self.name} are images; expected sequences to take frames of")
            rows = torch.arange(len(sequences), device=places.device).unsqueeze(1)
            return images.unpack(sequences)[rows, places]
        return images.frames(sequences, places)

    def take(self, indices: Tensor) -> "Dataset":
        """Return a dataset of the data at `indices`, int64 `(B,)`."""
        images = self.images
        taken = images[indices] if isinstance(images, Tensor) else images.take(indices)
        known = {name: value[indices] for name, value in self.annotations().items()}
        return replace(self, images=taken, **known)

    def to(self, device: str | torch.device) -> "Dataset":
        """Return the same data on `device`."""
        known = {name: value.to(device) for name, value in self.annotations().items()}
        return replace(self, images=self.images.to(device), **known)

    def annotations(self) -> dict[str, Tensor]:
        """Return what is known of each of the data, by field name."""
        return {name: value for name in _ANNOTATIONS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, eq=False)
class Splits:
    """The three parts of the data; training and model selection never see `test`.

    Args:
        train: What pairs are trained on.
        validation: What they are chosen by.
        test: What they are judged on.
        in_order: Whether parts lie in an order that tells something, such as by factor, identity
            or time, so that the first few do not stand for all.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    in_order: bool = field(default=False, kw_only=True)


def describe(dataset: Dataset) -> str:
    """Say in one line what the data are."""
    thing, frames = "images", ""
    if dataset.is_sequence:
        thing, frames = "sequences", f"{_lengths_in_words(dataset)} of "
    size = "x".join(str(n) for n in dataset.shape)
    parts = [f"{dataset.name}: {counted(len(dataset), thing)}", f"{frames}{size}", dataset.kind]
    if dataset.labels is not None:
        known = int((dataset.labels != UNKNOWN).sum())
        of_some = "" if known == len(dataset) else f", known of {known:,}"
        parts.append(f"{counted(len(dataset.label_names), 'labels')}{of_some}")
    if dataset.factors is not None:
        names = dataset.factor_names
        parts.append(f"{counted(len(names), 'factors')} ({', '.join(names)})")
    if dataset.frame_factors is not None:
        parts.append(f"factors of frames ({', '.join(dataset.frame_factor_names)})")
    if dataset.groups is not None:
        parts.append(counted(len(dataset.groups.unique()), "groups"))
    return ", ".join(parts)


def _lengths_in_words(dataset: Dataset) -> str:
    """Say how many frames sequences have; a part may have none that fills the room for them."""
    shortest = longest = dataset.images.shape[1]
    if dataset.lengths is not None:
        shortest, longest = int(dataset.lengths.min()), int(dataset.lengths.max())
    frames = counted(longest, "frames")
    return frames if shortest == longest else f"{shortest} to {frames}"


def _is_binary(images: Tensor) -> bool:
    images = images.flatten(0, -4)  # frames of sequences by themselves
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
        floats = name in _MAY_BE_FLOAT and value.dtype == torch.float32
        if value.dtype != torch.int64 and not floats:
            raise DataError(f"{name} of {data.name} are {value.dtype}; expected torch.int64")


def _check_labels(data: Dataset) -> None:
    if data.labels is None:
        return
    row = first(data.labels < UNKNOWN)
    if row is not None:
        raise DataError(
            f"labels[{row}] of {data.name} is {data.labels[row]}; expected at least 0, or "
            f"{UNKNOWN} where it is not known"
        )
    if not data.label_names:
        names = tuple(str(k) for k in range(int(data.labels.max()) + 1))
        object.__setattr__(data, "label_names", names)
    row = first(data.labels >= len(data.label_names))
    if row is not None:
        raise DataError(
            f"labels[{row}] of {data.name} is {data.labels[row]}; "
            f"expected 0 to {len(data.label_names) - 1}, one for each of the label names, or "
            f"{UNKNOWN} where it is not known"
        )


def _check_factors(data: Dataset, field: str, shape: str) -> None:
    """Check factors of data or of frames, and name and count what was left out."""
    factors, singular = getattr(data, field), field.removesuffix("s")
    if factors is None:
        return
    if factors.ndim != shape.count(",") + 1:
        raise DataError(
            f"{field} of {data.name} have shape {tuple(factors.shape)}; expected {shape}"
        )
    count = factors.shape[-1]
    if not getattr(data, f"{singular}_names"):
        names = tuple(f"{singular.replace('_', ' ')} {k}" for k in range(count))
        object.__setattr__(data, f"{singular}_names", names)
    if not getattr(data, f"{singular}_sizes"):
        discrete = not factors.is_floating_point()
        sizes = (factors.flatten(0, -2).amax(0) + 1).tolist() if discrete else [0] * count
        object.__setattr__(data, f"{singular}_sizes", tuple(sizes))
    for name in (f"{singular}_names", f"{singular}_sizes"):
        if len(getattr(data, name)) != count:
            raise DataError(
                f"number of {name} of {data.name} is {len(getattr(data, name))}; expected {count}"
            )


def _check_frame_factors(data: Dataset) -> None:
    if data.frame_factors is None:
        return
    if not data.is_sequence:
        raise DataError(f"frame_factors of {data.name} are given for images; expected sequences")
    _check_factors(data, "frame_factors", "(S, T, G)")
    found, frames = data.frame_factors.shape[1], data.images.shape[1]
    if found != frames:
        raise DataError(
            f"frame_factors of {data.name} are of {counted(found, 'frames')}; expected {frames}, "
            "as many as the sequences have"
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
