"""Seeds, and seeds made from seeds."""

import numpy as np


def check_seed(seed: int) -> None:
    """Raise `ValueError` unless `seed` is one that every generator takes."""
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; expected an integer from 0 to 2**32 - 1")


def derive_seed(*keys: int) -> int:
    """Return 63 well-mixed bits that depend on all of `keys`."""
    return int(np.random.SeedSequence(keys).generate_state(1, np.uint64)[0] >> 1)
