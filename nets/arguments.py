"""What every model of images or sequences asks of its arguments."""

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


def number_of_frames(
    x: Tensor | None, given: int | None, default: int, name: str = "frames"
) -> int:
    """Return how many frames sequences have: as many as `x`, or as are to be sampled.

    Args:
        x: Sequences `(B, N, C, H, W)`, or None where they are sampled.
        given: How many frames are asked for, if that is said.
        default: How many there are where it is not.
        name: What the message calls that number.

    Raises:
        ValueError: If `x` are no sequences, or no frame is to be sampled.
    """
    if x is None:
        count = default if given is None else given
        if count < 1:
            raise ValueError(f"{name} is {count}; expected at least 1. Leave it out")
        return count
    if x.dim() != 5:
        raise ValueError(
            f"x has shape {tuple(x.shape)}; expected sequences (B, N, C, H, W). "
            "Give one image as a sequence of one frame: x.unsqueeze(1)"
        )
    return x.shape[1]
