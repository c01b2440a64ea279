"""Binary images at one bit per pixel."""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

_CHUNK = 4096  # rows that are packed at a time
_PLACES = (128, 64, 32, 16, 8, 4, 2, 1)  # numpy.packbits' order


@dataclass(frozen=True, eq=False)
class PackedBits:
    """Images of the values 0 and 255 at an eighth of the memory, unpacked when they are gathered.

    Args:
        bits: uint8 `(N, ceil(C * H * W / 8))`, in the order of `numpy.packbits`.
        event_shape: `(C, H, W)`, or `(T, C, H, W)` for sequences.
    """

    bits: Tensor
    event_shape: tuple[int, ...]

    @classmethod
    def pack(cls, images: Tensor) -> "PackedBits":
        """Pack uint8 images `(N, ...)`; whatever is not 0 counts as 255."""
        rows = [_pack_rows(chunk.flatten(1)) for chunk in images.split(_CHUNK)]
        return cls(torch.cat(rows), tuple(images.shape[1:]))

    def __len__(self) -> int:
        return len(self.bits)

    @property
    def shape(self) -> torch.Size:
        """The shape of the unpacked images, `(N, C, H, W)` or `(S, T, C, H, W)`."""
        return torch.Size((len(self.bits), *self.event_shape))

    @property
    def ndim(self) -> int:
        """The number of axes of the unpacked images."""
        return 1 + len(self.event_shape)

    @property
    def device(self) -> torch.device:
        """Where the bits are."""
        return self.bits.device

    def to(self, device: str | torch.device) -> "PackedBits":
        """Return the same images on `device`."""
        return PackedBits(self.bits.to(device), self.event_shape)

    def take(self, indices: Tensor) -> "PackedBits":
        """Return the images at `indices`, int64 `(B,)`, still packed."""
        return PackedBits(self.bits.index_select(0, indices), self.event_shape)

    def unpack(self, indices: Tensor) -> Tensor:
        """Return the images at `indices`, int64 `(B,)`, as uint8 `(B, *event_shape)`, 0 or 255."""
        rows = self.bits.index_select(0, indices)
        octets = _octets(rows.device).index_select(0, rows.flatten().int())
        pixels = octets.view(torch.uint8).view(len(rows), -1)
        return pixels[:, : math.prod(self.event_shape)].reshape(len(rows), *self.event_shape)


@cache
def _octets(device: torch.device) -> Tensor:
    """Return the eight pixels of every byte, each row seen as one int64 `(256,)` to be fast."""
    places = torch.tensor(_PLACES, dtype=torch.uint8)
    bits = torch.arange(256, dtype=torch.uint8).unsqueeze(1) & places
    return bits.ne(0).to(torch.uint8).mul(255).view(torch.int64).squeeze(1).to(device)


def _pack_rows(rows: Tensor) -> Tensor:
    """Pack `(N, P)` into uint8 `(N, ceil(P / 8))`."""
    rows = torch.nn.functional.pad(rows.ne(0).to(torch.uint8), (0, -rows.shape[1] % 8))
    places = torch.tensor(_PLACES, dtype=torch.uint8, device=rows.device)
    return (rows.unflatten(1, (-1, 8)) * places).sum(-1, dtype=torch.uint8)
