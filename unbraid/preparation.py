"""Load and augment the data of a run."""

import glob
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unbraid.data import (
    SOURCES,
    Binarise,
    DataError,
    Dataset,
    RandomAffine,
    describe,
    freeze,
    load,
)
from unbraid.methods import DataSpec, integer_in_range

from .config import TrainConfig
from .fingerprints import fingerprint_annotations, fingerprint_pixels

ORDER_SEED = 0  # the same for all seeds, where these do not choose what is held out


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    Args:
        train: Training data, augmented on the fly by `transforms`.
        validation: Validation data, augmented once by the seed of the data.
        test: Test data, likewise.
        transforms: Applied to every training batch.
        spec: What the method is told of the data.
        description: One line for people.
        fingerprint: Hash of the training, validation and test pixels, so that a resumed or
            evaluated run notices other data.
        annotation_fingerprints: Hash of what is known of them, such as `labels`, by name; none of
            sets that are known by name.
        mixed: Whether held-out data were brought into a random order, as their own tells something
            of them; the fingerprints are of their own.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    transforms: tuple[RandomAffine | Binarise, ...]
    spec: DataSpec
    description: str
    fingerprint: str
    annotation_fingerprints: dict[str, str]
    mixed: bool


def prepare(config: TrainConfig) -> RunData:
    """Load the data that a configuration names and augment the held-out parts.

    Raises:
        DataError: If they cannot be used.
    """
    seed = config.seed if config.data_seed is None else config.data_seed
    splits = load(config.data, seed=seed, options=config.data_options)
    transforms: list[RandomAffine | Binarise] = []
    if config.rotate or config.translate:
        transforms.append(RandomAffine(degrees=config.rotate, translate=config.translate))
    if config.binarise is not None:
        transforms.append(Binarise(config.binarise))
    held_out = [
        freeze(part, transforms, seed) if transforms else part
        for part in (splits.validation, splits.test)
    ]
    train = splits.train
    spec = DataSpec(
        shape=train.shape,
        kind="binary" if config.binarise is not None else train.kind,
        size=len(train),
        classes=len(train.label_names),
        factor_sizes=tuple(train.factor_sizes),
        factor_names=tuple(train.factor_names),
        sequence_length=train.images.shape[1] if train.is_sequence else None,
        ragged=train.lengths is not None,
    )
    sizes = (
        f"{len(train):,} to train, {len(held_out[0]):,} to validate, {len(held_out[1]):,} to test"
    )
    parts = (train, *held_out)
    fingerprint = fingerprint_pixels(parts)
    # Made data follow from their options; floats among them may differ by rounding elsewhere.
    annotations = {} if config.data in SOURCES else fingerprint_annotations(parts)
    if splits.in_order:
        # The first few, which are judged and shown alone, are to stand for all.
        held_out = [part.take(random_rows(len(part))) for part in held_out]
    return RunData(
        train,
        held_out[0],
        held_out[1],
        tuple(transforms),
        spec,
        f"{describe(train)}; {sizes}",
        fingerprint,
        annotations,
        splits.in_order,
    )


def prepare_again(config: TrainConfig, folder: Path) -> RunData:
    """Load the data of a run, as `prepare` does, or say what to do if they are not there.

    Args:
        config: How the run was trained.
        folder: The folder of the run.

    Raises:
        DataError: If they are not there, or cannot be used.
    """
    path = Path(config.data)
    # Idx files are named by what their names begin with.
    there = path.exists() or any(path.parent.glob(f"{glob.escape(path.name)}-images*"))
    if config.data not in SOURCES and not there:
        raise DataError(
            f"data of the run in {folder} were {path}, where there is nothing; expected them "
            f"there. Bring them back, or write where they are now as data in "
            f"{folder / 'config.json'}"
        )
    return prepare(config)


def random_rows(count: int) -> Tensor:
    """Return the rows `(count,)` of data in a random order, always the same for as many."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(ORDER_SEED))


def first_rows(count: int, limit: int, *, mixed: bool) -> Tensor:
    """Return the rows of the first data of `count`, at most `limit`.

    Args:
        count: How many there are.
        limit: How many are wanted.
        mixed: Whether those that are first in a random order are.

    Raises:
        OptionError: If `limit` is out of range.
    """
    limit = integer_in_range("limit", limit, 1)
    return (random_rows(count) if mixed else torch.arange(count))[:limit]
