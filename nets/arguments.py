"""What every model of images asks of its arguments."""

from torch import Tensor


def batch_size(x: Tensor | None, size: int | None) -> int:
    """Return the number of data: those of `x` `(B, ...)`, or `size` where there is no `x`.

    Raises:
        ValueError: Unless exactly one of the two is given.
    """
    if (x is None) == (size is None):
        given = "neither" if x is None else "both"
        raise ValueError(
            f"{given} of x and size given; expected exactly one. "
            "Call model(x) to score images or model(size=B) to sample B of them."
        )
    return x.shape[0] if x is not None else int(size or 0)
