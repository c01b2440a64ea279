"""A bar of progress, for people who watch."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(steps: Iterable[Any] | None = None, **settings: Any) -> tqdm:
    """Return a bar on standard error; it shows only where that is a terminal.

    Args:
        steps: What is gone through; None where `update` tells of it.
        **settings: Handed to tqdm, such as `desc`, `total` and `unit`.
    """
    return tqdm(steps, file=sys.stderr, disable=None, **settings)
