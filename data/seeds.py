"""Seeds, and seeds made from seeds."""

from numbers import Integral

import numpy as np


def check_seed(seed: int) -> int:
    """Return a seed that every generator takes; NumPy's integers are made Python's.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; expected an integer from 0 to 2**32 - 1")
    return int(seed)


def derive_seed(*keys: int) -> int:
    """Return 63 well-mixed bits that depend on all of `keys`."""
    return int(np.random.SeedSequence(keys).generate_state(1, np.uint64)[0] >> 1)
