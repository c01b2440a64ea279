"""Batches as a pure function of the seed and the step."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from .augment import Binarise, Transform
from .dataset import Dataset
from .frame_draws import check_frames, draw_places, draw_windows
from .one_active import ActiveSets, OneActive
from .partners import Partners
from .seeds import check_seed, derive_seed
from .turning import Turning, Turntable

_KEYS = {"labels": "label", "factors": "factors", "groups": "group", "lengths": "length"}
# What a stream of random numbers is for.
_ORDER, _NOISE, _FRAMES, _PARTNERS, _PARTNER_NOISE, _ACTIVE, _TURNS = range(7)


class Batches:
    """Batches that depend on the seed and the step alone: whoever knows the step can resume.

    `batch(step)` gathers into buffers that the next call overwrites: a batch is valid until then.
    Clone what must live longer.

    Args:
        dataset: Where the data come from; it is moved to `device` once.
        batch_size: Number `B` of data in a batch; reduced, with a warning, where there are
            fewer data.
        seed: 0 to 2**32 - 1.
        transforms: Applied in order to `x`, with noise that depends on the seed and the step.
        device: Where the data and the batches are.
        shuffle: Draw every epoch in a new order and leave out its remainder, so that all batches
            have one shape. Otherwise walk the data in order and end with the ragged rest.
        streams: More batches that every batch carries, by key, each of the same step.
        frames: Number `N` of frames that are drawn of each sequence at every step, without
            replacement and in no order; all frames, in order, unless given.
        companions: Number `M` of further frames of the same sequence, none of them among the
            others.
        ordered: Whether the `frames` of a sequence are successive ones, in the order of time, from
            wherever a draw lets them start.
        partners: What each image shares with another that comes along with it, drawn anew at
            every step: `label`, `group`, the name of a factor of classes, or several of these.
        active: Make batches of sets in each of which one factor varies and all others are held
            fixed, in place of the data in a new order. What is drawn is anew at every step.
        turning: Draw a clip of each turn of a turntable, in place of frames in no order: of as
            many rotations as the stage of the step has, wherever it starts and ends.

    Attributes:
        steps_per_epoch: Number of batches in an epoch, or in one walk through the data.

    Raises:
        ValueError: If the batch size, the seed or a number of frames is out of range, or the data
            do not know what partners share, or one is alone with it; or if batches are no whole
            number of sets, or there are no sets; or if the data are no turns of a turntable.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        seed: int = 0,
        transforms: Sequence[Transform] = (),
        device: str | torch.device = "cpu",
        shuffle: bool = True,
        streams: Mapping[str, "Batches"] | None = None,
        frames: int | None = None,
        companions: int = 0,
        ordered: bool = False,
        partners: str | Sequence[str] | None = None,
        active: OneActive | None = None,
        turning: Turning | None = None,
    ) -> None:
        if not isinstance(batch_size, Integral) or batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected an integer of at least 1")
        batch_size, seed = int(batch_size), check_seed(seed)
        check_frames(dataset, frames, companions, ordered)
        if shuffle and batch_size > len(dataset):
            warnings.warn(
                f"batch_size is reduced from {batch_size} to {len(dataset)}, all of {dataset.name}"
            )
        self._given, self.dataset = dataset.images, dataset.to(device)
        self.batch_size = min(batch_size, len(dataset))
        self.shuffle = shuffle
        rounding_up = 0 if shuffle else self.batch_size - 1
        self.steps_per_epoch = (len(dataset) + rounding_up) // self.batch_size
        self._seed = seed
        self._transforms = (*transforms, *([Binarise("dynamic")] if dataset.dynamic else []))
        self._streams = dict(streams or {})
        self._refuse_copies()
        self._frames, self._companions = frames, companions
        self._draw = draw_windows if ordered else draw_places
        self._turntable = None if turning is None else self._turntable_of(turning)
        self._partners = None if partners is None else Partners(self.dataset, partners)
        self._sets = None if active is None else self._sets_of(active, partners)
        self._noise = torch.Generator(self.dataset.device)
        self._epoch, self._order = -1, torch.empty(0)
        self._partner_epoch, self._partner_order = -1, torch.empty(0)
        self._buffers: dict[str, Tensor] = {}
        # A tensor, because dividing by a number is multiplying by its reciprocal on some devices.
        self._white = torch.tensor(255.0, device=self.dataset.device)

    def _refuse_copies(self) -> None:
        for key, stream in self._streams.items():
            same = stream._given is self._given and stream.shuffle
            if self.shuffle and same and stream._seed == self._seed:
                raise ValueError(
                    f"stream {key!r} has the data and the seed ({self._seed}) of the batches that "
                    f"carry it, so that both would draw the same; expected another seed. Pass "
                    f"Batches(..., seed={self._seed + 1})"
                )

    def batch(self, step: int) -> dict[str, Any]:
        """Return the batch of `step`, counted from 0 over all epochs.

        Returns:
            `x`: float32 `(B, C, H, W)` or `(B, T, C, H, W)` in [0, 1]; `index`: int64 `(B,)`,
            which data they are; and `label`, `factors`, `group`, `length`, `frame_factors` where
            the data have them. With `frames`: `x` is `(B, N, C, H, W)`; `frame`, int64 `(B, N)`,
            says which frames they are; `length` counts the true ones, which come first;
            `companions` are `(B, M, C, H, W)`. With `partners`: `partner` holds the `x` and the
            `index` of the others, transformed with noise of their own. With `active`: `active`,
            int64 `(B,)`, is the number of what varies in each one's set; sets follow each other.
            With `turning`: `x` is `(B, T + 1, C, H, W)`, `frame` says which frames they are, and
            `actions`, float32 `(B, T + 1)`, what led to each: 0 for the first, then 1 (to larger
            angles) or -1.

        Raises:
            ValueError: If `step` is negative.
        """
        if step < 0:
            raise ValueError(f"step is {step}; expected at least 0")
        epoch, place = divmod(step, self.steps_per_epoch)
        start = place * self.batch_size
        here = slice(start, start + self.batch_size)
        batch: dict[str, Any] = {}
        if self._sets is None:
            index = self._indices(epoch)[here]
        else:
            index, batch["active"] = self._draw_sets(self._sets, step)
        batch["index"] = index
        for name, values in self.dataset.annotations().items():
            batch[_KEYS.get(name, name)] = self._select(name, values, index)
        if self._turntable is not None:
            self._add_clips(batch, self._turntable, step)
        elif self._frames is None:
            batch["x"] = self._transformed(self._gather(index), (_NOISE, step))
        else:
            self._add_frames(batch, step)
        if self._partners is not None:
            other = self._partner_indices(epoch)[here]
            x = self._transformed(self._gather(other, "partner "), (_PARTNER_NOISE, step))
            batch["partner"] = {"x": x, "index": other}
        for key, stream in self._streams.items():
            batch[key] = stream.batch(step)
        return batch

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.batch(step) for step in range(self.steps_per_epoch))

    def _sets_of(
        self, active: OneActive, partners: str | Sequence[str] | None
    ) -> tuple[ActiveSets, int]:
        """Return the sets that batches are made of, and how many of them a batch has."""
        if partners is not None or not self.shuffle:
            raise ValueError(
                "active is given beside partners or shuffle=False; expected it alone, since sets "
                "are drawn at random. Leave the other out"
            )
        if self.batch_size % active.together:
            raise ValueError(
                f"batch_size is {self.batch_size}; expected a multiple of {active.together}, the "
                "images of a set. Choose another batch size, or another size of sets"
            )
        return ActiveSets(self.dataset, active), self.batch_size // active.together

    def _turntable_of(self, turning: Turning) -> Turntable:
        if self._frames is not None or self._companions:
            raise ValueError(
                f"frames is {self._frames} beside turning; expected none, since turning says how "
                "many frames a clip has. Leave it out"
            )
        return Turntable(self.dataset, turning)

    def _draw_sets(self, made: tuple[ActiveSets, int], step: int) -> tuple[Tensor, Tensor]:
        sets, count = made
        index, active = sets.draw(count, derive_seed(self._seed, _ACTIVE, step))
        return index.to(self.dataset.device), active.to(self.dataset.device)

    def _indices(self, epoch: int) -> Tensor:
        """Return the order `(N,)` of an epoch; drawn on the CPU, so it is the same everywhere."""
        epoch = epoch if self.shuffle else 0
        if epoch != self._epoch:
            order = torch.arange(len(self.dataset))
            if self.shuffle:
                generator = torch.Generator().manual_seed(derive_seed(self._seed, _ORDER, epoch))
                order = torch.randperm(len(self.dataset), generator=generator)
            self._epoch, self._order = epoch, order.to(self.dataset.device)
        return self._order

    def _partner_indices(self, epoch: int) -> Tensor:
        """Return the partners `(N,)` of the data of an epoch, in its order."""
        if epoch != self._partner_epoch and self._partners is not None:
            seed = derive_seed(self._seed, _PARTNERS, epoch)
            self._partner_order = self._partners.draw(self._indices(epoch), seed)
            self._partner_epoch = epoch
        return self._partner_order

    def _gather(self, index: Tensor, whose: str = "") -> Tensor:
        images = self.dataset.images
        if isinstance(images, Tensor):
            return self._scaled(self._select(f"{whose}images", images, index), whose)
        return self._scaled(self.dataset.pixels(index), whose)

    def _scaled(self, pixels: Tensor, whose: str = "") -> Tensor:
        x = self._buffer(f"{whose}x", pixels.shape, torch.float32)
        return torch.div(pixels, self._white, out=x)

    def _add_frames(self, batch: dict[str, Any], step: int) -> None:
        """Draw frames of each sequence of a batch, and what is known of them."""
        index, lengths = batch["index"], batch.get("length")
        drawn = self._frames or 1
        places, true = self._draw(
            (len(index), drawn + self._companions),
            self.dataset.images.shape[1],
            lengths,
            derive_seed(self._seed, _FRAMES, step),
        )
        places, true = places.to(index.device), true.to(index.device)
        x = self._scaled(self.dataset.frames(index, places))
        if lengths is not None:
            x.mul_(true[..., None, None, None])
        x = self._transformed(x, (_NOISE, step))
        batch["x"], batch["frame"] = x[:, :drawn], places[:, :drawn]
        if self._companions:
            batch["x"] = batch["x"].contiguous()
            batch["companions"] = x[:, drawn:].contiguous()
        if lengths is not None:
            batch["length"] = lengths.clamp(max=drawn)
        elif self._companions:
            batch["length"] = torch.full_like(index, drawn)
        if "frame_factors" in batch:
            chosen = places[:, :drawn, None].expand(-1, -1, batch["frame_factors"].shape[-1])
            batch["frame_factors"] = batch["frame_factors"].gather(1, chosen)

    def _add_clips(self, batch: dict[str, Any], turntable: Turntable, step: int) -> None:
        """Draw a clip of each turn of a batch, and what is known of its frames."""
        turns, seed = turntable.turning.at(step), derive_seed(self._seed, _TURNS, step)
        places, batch["actions"] = turntable.draw(batch["index"], turns, seed)
        # A buffer for each length of clips, as those of stages differ.
        x = self._scaled(self.dataset.frames(batch["index"], places), f"{turns} turns ")
        batch["x"], batch["frame"] = self._transformed(x, (_NOISE, step)), places
        known = batch["frame_factors"]
        batch["frame_factors"] = known.gather(1, places[..., None].expand(-1, -1, known.shape[-1]))

    def _select(self, name: str, values: Tensor, index: Tensor) -> Tensor:
        buffer = self._buffer(name, (len(index), *values.shape[1:]), values.dtype)
        return torch.index_select(values, 0, index, out=buffer)

    def _buffer(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        if name not in self._buffers:
            full = (self.batch_size, *shape[1:])
            self._buffers[name] = torch.empty(full, dtype=dtype, device=self.dataset.device)
        return self._buffers[name][: shape[0]]

    def _transformed(self, x: Tensor, stream: tuple[int, int]) -> Tensor:
        if self._transforms:
            self._noise.manual_seed(derive_seed(self._seed, *stream))
        for transform in self._transforms:
            x = transform(x, self._noise)
        return x
