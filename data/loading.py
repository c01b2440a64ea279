"""From a name or a path to the three splits."""

from pathlib import Path

from .dataset import Splits
from .digits import mnist_small
from .errors import DataError
from .sources import SOURCES

_BY_NAME = {"mnist-small": mnist_small}


def load(source: str | Path, *, seed: int = 0, binarise: str | None = None) -> Splits:
    """TODO."""
    if source in _BY_NAME:
        return _BY_NAME[str(source)](seed)
    raise DataError(f"data are {str(source)!r}; expected one of {', '.join(SOURCES)}, or a path")
