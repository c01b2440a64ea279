"""Data by name or by path, and batches of them.

`SOURCES` needs no torch; the other names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .sources import SOURCES, Source

if TYPE_CHECKING:
    from .augment import Binarise, RandomAffine
    from .batches import Batches
    from .bits import PackedBits
    from .dataset import UNKNOWN, Dataset, Splits, describe
    from .errors import DataError, DataWarning, DownloadError
    from .frame_store import FrameStore
    from .freezing import freeze
    from .grouping import as_sequences
    from .image_groups import group_images
    from .known_factors import factor_kinds
    from .labelling import keep_labels, labelled
    from .loading import accepted_options, load, makers_of, options_of, typed_options
    from .one_active import OneActive
    from .turning import Turning, Turntable

__all__ = [
    "SOURCES",
    "UNKNOWN",
    "Batches",
    "Binarise",
    "DataError",
    "DataWarning",
    "Dataset",
    "DownloadError",
    "FrameStore",
    "OneActive",
    "PackedBits",
    "RandomAffine",
    "Source",
    "Splits",
    "Turning",
    "Turntable",
    "accepted_options",
    "as_sequences",
    "describe",
    "factor_kinds",
    "freeze",
    "group_images",
    "keep_labels",
    "labelled",
    "load",
    "makers_of",
    "options_of",
    "typed_options",
]

_HOMES = {
    "augment": ("Binarise", "RandomAffine"),
    "batches": ("Batches",),
    "bits": ("PackedBits",),
    "dataset": ("UNKNOWN", "Dataset", "Splits", "describe"),
    "errors": ("DataError", "DataWarning", "DownloadError"),
    "known_factors": ("factor_kinds",),
    "freezing": ("freeze",),
    "grouping": ("as_sequences",),
    "image_groups": ("group_images",),
    "one_active": ("OneActive",),
    "turning": ("Turning", "Turntable"),
    "labelling": ("keep_labels", "labelled"),
    "frame_store": ("FrameStore",),
    "loading": ("accepted_options", "load", "makers_of", "options_of", "typed_options"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
