"""Sequences whose frames are made when they are asked for: composed sprites, moving digits."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class FrameStore(Protocol):
    """What `Dataset.images` may be in place of a tensor, where all frames would take much memory.

    The frame at a place of a sequence is always the same.
    """

    @property
    def shape(self) -> torch.Size:
        """`(S, T, C, H, W)`."""
        ...

    @property
    def ndim(self) -> int:
        """5."""
        ...

    @property
    def device(self) -> torch.device:
        """Where frames are made."""
        ...

    def __len__(self) -> int: ...

    def frames(self, sequences: Tensor, places: Tensor) -> Tensor:
        """Make frames, uint8 `(B, N, C, H, W)`.

        Args:
            sequences: Which sequences, int64 `(B,)`.
            places: Which of their frames, int64 `(B, N)`.
        """
        ...

    def take(self, indices: Tensor) -> "FrameStore":
        """Return the store of the sequences at `indices`, int64 `(M,)`."""
        ...

    def to(self, device: str | torch.device) -> "FrameStore":
        """Return the same store on `device`."""
        ...
