"""From a name or a path to the three splits."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .augment import Binarise
from .bodies import bodies, bodies_small
from .coil import coil20
from .coloured_digits import coloured_digits
from .dataset import Dataset, Splits
from .domains import mnist_domains
from .dsprites import dsprites, dsprites_small
from .errors import DataError
from .freezing import freeze
from .frey import frey_faces
from .grid_faces import grid_faces
from .idx import find_idx, idx_prefix, read_idx_pair
from .image_groups import grouped
from .kth import kth
from .mnist import fashion_mnist, mnist, mnist_small
from .moving_digits import moving_mnist
from .moving_mnist_file import moving_mnist_test
from .oddities import warn_of_oddities
from .own_films import is_film, read_own_film, read_own_folder
from .seeds import check_seed
from .sequence_options import SequenceOptions
from .sharing import shareable
from .source_options import keywords as _keywords
from .source_options import read_options
from .sources import SOURCES
from .splitting import FEWEST_GROUPS, carve, split
from .sprites import sprites, sprites_actions
from .user_arrays import read_npz

_BY_NAME: dict[str, Callable[..., Splits]] = {
    "mnist-small": mnist_small,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "mnist-domains": mnist_domains,
    "coloured-digits": coloured_digits,
    "dsprites-small": dsprites_small,
    "dsprites": dsprites,
    "bodies-small": bodies_small,
    "bodies": bodies,
    "moving-mnist": moving_mnist,
    "sprites": sprites,
    "sprites-actions": sprites_actions,
    "moving-mnist-test": moving_mnist_test,
    "frey-faces": frey_faces,
    "grid-faces": grid_faces,
    "coil20": coil20,
    "kth": kth,
}
_OF_SEQUENCES = (
    moving_mnist,
    moving_mnist_test,
    sprites,
    sprites_actions,
    frey_faces,
    grid_faces,
    coil20,
    kth,
)


def load(
    source: str | Path,
    *,
    seed: int = 0,
    binarise: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Splits:
    """Load data and cut them into training, validation and test parts.

    Args:
        source: A name of `SOURCES`, or a path of the user's own: an `.npz` file, a folder of image
            files whose subfolders are labels, idx files by folder or by prefix, or sequences: a
            folder of folders of frames, GIF files or videos, or one of these.
        seed: Chooses the validation data, and the test data where the source has no test part of
            its own; 0 to 2**32 - 1.
        binarise: `threshold` cuts the pixels at 0.5. `dynamic` draws the test and validation
            images once, by `seed`, and leaves it to `Batches` to draw the training images at every
            step.
        options: Options of the source by name, such as `{"size": 32}`; text is read as the
            option's type.

    Raises:
        DataError: If there is no such source or option, or the data cannot be used as they are.
        DownloadError: If a file cannot be fetched.
        ValueError: If `seed` or `binarise` is out of range.
    """
    seed = check_seed(seed)
    if binarise not in (None, "dynamic", "threshold"):
        raise ValueError(f"binarise is {binarise!r}; expected None, 'dynamic' or 'threshold'")
    chosen = typed_options(source, options or {})
    grouping = {name: chosen.pop(name) for name in _keywords(grouped) if name in chosen}
    if str(source) in _BY_NAME:
        splits = _BY_NAME[str(source)](seed, **chosen)
    else:
        splits = _own(Path(source), seed, **chosen)
        warn_of_oddities(splits)
    splits = grouped(splits, seed, **grouping)
    return splits if binarise is None else _binarised(splits, binarise, seed)


def typed_options(source: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a source with values of the right types, read from text where needed.

    Raises:
        DataError: If there is no such option, or a value is not of its type.
    """
    return read_options(str(source), makers_of(source), given)


def makers_of(source: str | Path) -> list[Callable[..., Splits]]:
    """Return the functions that make data of a source; their keyword arguments are its options.

    The first one loads it; images may be grouped then.
    """
    maker = _BY_NAME.get(str(source), _own)
    return [maker] if maker in _OF_SEQUENCES else [maker, grouped]


def options_of(source: str) -> dict[str, inspect.Parameter]:
    """Return the options of a source by name: keyword arguments with their types and defaults."""
    return {name: it for maker in makers_of(source) for name, it in _keywords(maker).items()}


def accepted_options(
    source: str | Path, splits: Splits, given: Mapping[str, Any]
) -> dict[str, inspect.Parameter]:
    """Return the options of a source by name; of the user's own those that suit what was found.

    Args:
        source: As of `load`.
        splits: What it was loaded as.
        given: The options that it was loaded with; they stay among those that are returned.
    """
    options = options_of(str(source))
    if str(source) in _BY_NAME:
        return options
    chosen = typed_options(source, given)
    path, data = Path(source), splits.train
    by_groups = chosen.get("groups") is not None
    accepted = set(chosen)
    parts = (splits.train, splits.validation, splits.test)
    shared = set.intersection(*(set(shareable(part)) for part in parts))
    if by_groups or (not data.is_sequence and shared):
        accepted |= set(_keywords(grouped))
    if idx_prefix(path) is None and (is_film(path) or (path.is_dir() and not find_idx(path))):
        if not data.is_sequence or by_groups:
            accepted.add("sequences")
        else:
            accepted |= {"length", "every", "size", "grey"}
            if len(data.label_names) >= FEWEST_GROUPS:
                accepted.add("identities")
    return {name: option for name, option in options.items() if name in accepted}


def _own(
    path: Path,
    seed: int,
    *,
    sequences: bool = False,
    identities: bool = False,
    length: int | None = None,
    every: int = 1,
    size: tuple[int, ...] | None = None,
    grey: bool = False,
) -> Splits:
    """Load the user's own data.

    Args:
        path: A file or a folder.
        seed: As of `load`.
        sequences: The images in each folder are the frames of one sequence; there are more
            options then.
        identities: The first level of subfolders names who is shown; each stays in one split.
        length: Cut films into stretches of so many frames; what is left is left out.
        every: Keep one of so many frames.
        size: Height,width that frames are brought to, or one number for both.
        grey: Make one channel of the colours of frames.
    """
    options = SequenceOptions(sequences, identities, length, every, size, grey)
    prefix = idx_prefix(path)
    if prefix is not None:
        options.refuse_for(str(path))
        return split(read_idx_pair(prefix, prefix.name), seed)
    if not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise DataError(
                f"data are {str(path)!r}, where there is nothing; expected a file or a folder. "
                "See that the path is right, from the folder where you are."
            )
        close = get_close_matches(str(path), SOURCES, n=1)
        hint = f"Did you mean {close[0]}?" if close else "See that the path is right."
        raise DataError(
            f"data are {str(path)!r}; expected one of {', '.join(SOURCES)}, or a path. {hint}"
        )
    if path.is_dir():
        files = find_idx(path)
        if not files:
            return split(read_own_folder(path, options), seed)
        options.refuse_for(str(path))
        return _idx_folder(path, sorted(files), seed)
    if is_film(path):
        return split(read_own_film(path, options), seed)
    options.refuse_for(str(path))
    if path.suffix == ".npz":
        return split(read_npz(path), seed)
    raise DataError(
        f"data are {str(path)!r}; expected an .npz file, idx files or a folder of images, "
        "frames or films; or one GIF file or video. Convert them to one of these."
    )


def _idx_folder(folder: Path, prefixes: list[str], seed: int) -> Splits:
    if len(prefixes) == 1:
        return split(read_idx_pair(folder / prefixes[0], folder.name), seed)
    if prefixes not in (["t10k", "train"], ["test", "train"]):
        raise DataError(
            f"idx files of {folder} are {', '.join(prefixes)}; expected one prefix, or train with "
            "t10k or test. Give the path of one prefix instead of the folder."
        )
    test, train = (read_idx_pair(folder / prefix, folder.name) for prefix in prefixes)
    return replace(carve(train, test, max(1, len(train) // 10), seed), in_order=True)


def _binarised(splits: Splits, how: str, seed: int) -> Splits:
    if how == "threshold":
        cut = (Binarise("threshold"),)
        parts = (splits.train, splits.validation, splits.test)
        frozen = (freeze(part, cut, seed) for part in parts)
        return Splits(*frozen, in_order=splits.in_order)
    return replace(
        splits,
        train=replace(splits.train, dynamic=True),
        validation=_drawn(splits.validation, seed),
        test=_drawn(splits.test, seed),
    )


def _drawn(data: Dataset, seed: int) -> Dataset:
    return freeze(replace(data, dynamic=True), (), seed)
