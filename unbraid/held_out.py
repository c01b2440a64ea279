"""Walks through data that a pair is judged on or inspected with."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unbraid.data import Batches, Dataset, freeze
from unbraid.methods import OptionError, Parts

from .preparation import first_rows

if TYPE_CHECKING:
    from .run import Run


def held_out_batches(
    dataset: Dataset,
    parts: Parts,
    device: torch.device,
    batch_size: int,
    *,
    frames: int | None = None,
    seed: int = 0,
) -> Batches:
    """Walk through held-out data; of sequences, some frames of each, drawn once by `seed`.

    Where frames are to be predicted they are successive ones.

    Of turns of a turntable they are a clip of each, as long as those of the last stage.

    Args:
        dataset: The data.
        parts: The method's parts, which say how many frames it was trained on.
        device: Where the batches are.
        batch_size: Data per batch; a tenth of it where they are sequences.
        frames: Frames of each sequence, those of the training unless given.
        seed: Of the choice of frames.

    Raises:
        OptionError: If the sequences do not have so many frames, or the data are images.
    """
    if parts.frames is None and parts.turning is None and frames is None:
        return Batches(dataset, batch_size, shuffle=False, device=device)
    drawn: dict[str, Any] = {"frames": parts.frames if frames is None else frames}
    drawn["ordered"] = parts.past is not None
    try:
        if parts.turning is not None:
            drawn = {"turning": parts.turning.held_out(None if frames is None else frames - 1)}
        return Batches(
            dataset, max(1, batch_size // 10), shuffle=False, device=device, seed=seed, **drawn
        )
    except ValueError as error:
        raise OptionError(str(error)) from error


def judged(run: "Run", dataset: Dataset, split: str) -> Dataset:
    """Return data of a split as they are judged.

    Held-out data are turned, shifted and binarised once and for all when a run is made; those of
    the training are at every step, so they are here, once, by the seed of the data.

    Args:
        run: A run.
        dataset: The split's data, or some of them.
        split: `"test"`, `"validation"` or `"train"`.
    """
    if split != "train" or not run.data.transforms:
        return dataset
    return freeze(dataset, run.data.transforms, run.data_seed)


def first_judged(run: "Run", split: str, limit: int | None) -> Dataset:
    """Return the first data of a split as they are judged.

    Args:
        run: A run.
        split: `"test"`, `"validation"` or `"train"`.
        limit: How many; of ordered training data a random few. None for all.

    Raises:
        OptionError: If there is no such split, or `limit` is out of range.
    """
    dataset = run.split(split)
    if limit is not None:
        lie_as_in_source = split == "train" and run.data.mixed
        dataset = dataset.take(first_rows(len(dataset), limit, mixed=lie_as_in_source))
    return judged(run, dataset, split)


def arguments_of(
    run: "Run", dataset: Dataset, transforms: Sequence[Any] = (), seed: int = 0
) -> Iterator[tuple[Tensor, ...]]:
    """Walk through images as the arguments that the pair is inspected with, 500 at a time.

    Args:
        run: A run.
        dataset: Images.
        transforms: What changes them first, such as the training's.
        seed: Of these changes.
    """
    settings: dict[str, Any] = {"shuffle": False, "device": run.device, "seed": seed}
    for batch in Batches(dataset, 500, transforms=transforms, **settings):
        yield tuple(batch[key].clone() for key in run.parts.inspected)
