"""Codes of a sequence and codes of its frames, side by side."""

import torch
from torch import Tensor


def join_codes(*codes: Tensor) -> Tensor:
    """Stack codes `(..., D)`, whose leading dims broadcast, to `(..., D + ...)`."""
    lead = torch.broadcast_shapes(*(code.shape[:-1] for code in codes))
    return torch.cat([code.expand(*lead, code.shape[-1]) for code in codes], -1)


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
