"""What summaries of one estimate per datum share: the error of a mean, and numbers for JSON."""

import math

from torch import Tensor


def standard_error(values: Tensor) -> float:
    """Standard error of the mean of `(N,)` values; NaN for one."""
    return float(values.std() / math.sqrt(len(values))) if len(values) > 1 else math.nan


def finite(number: float | None) -> float | None:
    """The number, or None where it is NaN or infinite, which JSON cannot hold, or not known."""
    return number if number is not None and math.isfinite(number) else None
