"""How large data may be, judged by what their headers declare before any memory is taken."""

import math
import os

from .errors import DataError

VARIABLE = "UNBRAID_MAX_GIB"
DEFAULT_GIB = 4.0
MAX_PIXELS = 2**24  # of one image file: 4096 x 4096


def max_bytes() -> int:
    """Return how many bytes one source of data may take in memory.

    Raises:
        ValueError: If the environment variable `UNBRAID_MAX_GIB` is not a positive number.
    """
    value = os.environ.get(VARIABLE, str(DEFAULT_GIB))
    try:
        gib = float(value)
    except ValueError:
        gib = math.nan
    if not 0 < gib < math.inf:
        raise ValueError(f"{VARIABLE} is {value!r}; expected a positive number of gibibytes")
    return int(gib * 2**30)


def check_bytes(declared: int, what: object) -> None:
    """Raise `DataError` if `what` declares more bytes than are allowed."""
    allowed = max_bytes()
    if declared > allowed:
        raise DataError(
            f"size that {what} declares is {declared} bytes; expected at most {allowed}. "
            f"Set {VARIABLE} to allow more."
        )
