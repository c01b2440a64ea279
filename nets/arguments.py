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


def number_of_frames(x: Tensor | None, frames: int) -> int:
    """Return how many frames the sequences `x` `(B, N, C, H, W)` have, or `frames` without `x`.

    Raises:
        ValueError: If `x` are no sequences.
    """
    if x is None:
        return frames
    if x.dim() != 5:
        raise ValueError(
            f"x has shape {tuple(x.shape)}; expected sequences (B, N, C, H, W). "
            "Give one image as a sequence of one frame: x.unsqueeze(1)"
        )
    return x.shape[1]
