"""Characters that are composed of layers when they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

_CHUNK = 64  # frames that are composed together, so that they stay in a processor's cache
_WHITE = 255


@dataclass(frozen=True, eq=False)
class SpriteLayer:
    """One layer of the characters: `V` variants in `P` poses, a row for each of `R = V * P`.

    Most pixels are opaque or empty, so that most of the composition is `under & keep | paint`, in
    words of eight pixels. The few translucent pixels of a row, at most `K`, are a list.

    Args:
        paint: The colours of opaque pixels, else 0: int64 `(R, 3, H * W / 8)`.
        keep: 0 where a pixel is opaque, else 255: int64 `(R, 1, H * W / 8)`.
        places: `K` different pixels of each row, among them all translucent ones, int64 `(R, K)`.
        light: Colour times opacity of these, int32 `(R, 3, K)`, 0 where not translucent.
        opacity: int32 `(R, 1, K)`, 0 where not translucent.
    """

    paint: Tensor
    keep: Tensor
    places: Tensor
    light: Tensor
    opacity: Tensor

    @classmethod
    def of(cls, pixels: Tensor) -> "SpriteLayer":
        """Make a layer of uint8 pixels `(V, P, 4, H, W)`: red, green, blue and opacity."""
        flat = pixels.flatten(0, 1).flatten(2)
        colour, alpha = flat[:, :3], flat[:, 3:]
        opaque, translucent = alpha == _WHITE, (alpha > 0) & (alpha < _WHITE)
        most = int(translucent.sum(-1).max())
        places = translucent.squeeze(1).to(torch.uint8).topk(most).indices
        opacity = torch.where(translucent, alpha, 0).gather(2, places.unsqueeze(1)).int()
        light = colour.gather(2, places.unsqueeze(1).expand(-1, 3, -1)).int() * opacity
        paint = torch.where(opaque, colour, 0)
        keep = torch.where(opaque, 0, _WHITE).to(torch.uint8)
        return cls(paint.view(torch.int64), keep.view(torch.int64), places, light, opacity)

    def to(self, device: str | torch.device) -> "SpriteLayer":
        """Return the same layer on `device`."""
        return SpriteLayer(**{name: value.to(device) for name, value in vars(self).items()})

    def paint_on_black(self, canvas: Tensor, rows: Tensor) -> None:
        """Write the rows, int64 `(B,)`, over black into `canvas`, uint8 `(B, 3, H * W)`."""
        torch.index_select(self.paint, 0, rows, out=canvas.view(torch.int64))
        self._blend(canvas, rows)

    def paint_over(self, canvas: Tensor, rows: Tensor) -> None:
        """Lay the rows over what is on `canvas`."""
        words = canvas.view(torch.int64)
        words &= self.keep.index_select(0, rows)
        words |= self.paint.index_select(0, rows)
        self._blend(canvas, rows)

    def _blend(self, canvas: Tensor, rows: Tensor) -> None:
        """Blend translucent pixels with what is beneath them."""
        if not self.places.shape[1]:
            return
        places = self.places.index_select(0, rows).unsqueeze(1).expand(-1, 3, -1)
        opacity, light = self.opacity.index_select(0, rows), self.light.index_select(0, rows)
        blended = light + canvas.gather(2, places) * (_WHITE - opacity)
        blended = (blended + _WHITE // 2).div_(_WHITE, rounding_mode="floor")
        canvas.scatter_(2, places, blended.to(torch.uint8))


@dataclass(frozen=True, eq=False)
class Sprites:
    """Sequences of characters: a `FrameStore` that composes the frames that are asked for.

    A frame is its layers, alpha-over black, from the first to the last. Every layer rounds to the
    nearest of 256 levels, as Pillow's `alpha_composite` does. Where `size` is smaller than the
    layers, a pixel is the mean of a block of the composed frame, halves rounded up.

    Args:
        layers: From the lowest to the topmost.
        looks: The variant of each layer in each sequence, int64 `(S, L)`.
        poses: The pose in each frame of each sequence, int64 `(S, T)`.
        pose_count: Number of poses of every layer.
        cell: Pixels of the layers, both ways; a power of 2, at least 4.
        size: Pixels of the frames, both ways, a divisor of `cell`.
    """

    layers: tuple[SpriteLayer, ...]
    looks: Tensor
    poses: Tensor
    pose_count: int
    cell: int
    size: int

    @classmethod
    def of(cls, layers: Sequence[Tensor], looks: Tensor, poses: Tensor, size: int) -> "Sprites":
        """Make a store of layers as `read_layers` gives them: uint8 `(V, P, 4, H, H)` each."""
        pose_count, cell = layers[0].shape[1], layers[0].shape[-1]
        made = tuple(SpriteLayer.of(layer) for layer in layers)
        return cls(made, looks, poses, pose_count, cell, size)

    @property
    def shape(self) -> torch.Size:
        """`(S, T, 3, H, W)`."""
        return torch.Size((*self.poses.shape, 3, self.size, self.size))

    @property
    def ndim(self) -> int:
        """5."""
        return len(self.shape)

    @property
    def device(self) -> torch.device:
        """Where frames are composed."""
        return self.poses.device

    def __len__(self) -> int:
        return len(self.poses)

    def frames(self, sequences: Tensor, places: Tensor) -> Tensor:
        """Compose the frames at `places`, int64 `(B, N)`, of `sequences`, int64 `(B,)`.

        Returns:
            uint8 `(B, N, 3, H, W)`.
        """
        poses = self.poses[sequences].gather(1, places)
        first = self.looks[sequences].unsqueeze(1) * self.pose_count
        rows = (first + poses.unsqueeze(2)).flatten(0, 1)
        chunk = _CHUNK if self.device.type == "cpu" else max(len(rows), 1)
        made = torch.empty(len(rows), *self.shape[2:], dtype=torch.uint8, device=self.device)
        for target, part in zip(made.split(chunk), rows.split(chunk), strict=True):
            self._compose(target, part.T.contiguous())
        return made.unflatten(0, tuple(places.shape))

    def take(self, indices: Tensor) -> "Sprites":
        """Return the sequences at `indices`, int64 `(M,)`; the layers are shared."""
        return replace(self, looks=self.looks[indices], poses=self.poses[indices])

    def to(self, device: str | torch.device) -> "Sprites":
        """Return the same sequences on `device`."""
        layers = tuple(layer.to(device) for layer in self.layers)
        looks, poses = self.looks.to(device), self.poses.to(device)
        return replace(self, layers=layers, looks=looks, poses=poses)

    def _compose(self, target: Tensor, rows: Tensor) -> None:
        """Write frames into `target`, `(B, 3, H, W)`, from a row of every layer, `(L, B)`."""
        shape = (len(target), 3, self.cell, self.cell)
        full = target if self.size == self.cell else target.new_empty(shape)
        canvas = full.flatten(2)
        self.layers[0].paint_on_black(canvas, rows[0])
        for layer, chosen in zip(self.layers[1:], rows[1:], strict=True):
            layer.paint_over(canvas, chosen)
        if full is not target:
            target.copy_(average_blocks(full, self.cell // self.size))


def average_blocks(images: Tensor, factor: int) -> Tensor:
    """Return the means of blocks of `factor` x `factor` pixels, halves rounded up.

    Args:
        images: uint8 `(..., H, W)`, contiguous, with even sides.
        factor: A power of 2 that divides the sides.

    Returns:
        uint8 `(..., H / factor, W / factor)`.
    """
    if factor == 1:
        return images
    neighbours = images.view(torch.int16)  # two pixels in a word: the fastest way to add them
    sums = (neighbours & _WHITE) + ((neighbours >> 8) & _WHITE)
    sums = sums[..., 0::2, :] + sums[..., 1::2, :]
    if factor > 2:
        blocks = sums.unflatten(-1, (-1, factor // 2)).unflatten(-3, (-1, factor // 2))
        sums = blocks.sum((-3, -1))
    doubled = 2 * factor.bit_length() - 2  # the logarithm of factor^2
    return ((sums + factor**2 // 2) >> doubled).to(torch.uint8)
