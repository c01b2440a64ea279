"""Clips of a coloured square that moves: identity is its hue and size, pose is its place."""

import torch
from torch import Tensor

HUES, SIZES, PLACES, ACTIONS = 3, 2, 4, 3
SIDE, FRAMES = 16, 4
IDENTITY = ("hue", "size")
# Each action visits two corners; a single frame of any corner fits several actions.
CORNERS = torch.tensor([[0, 1], [2, 3], [0, 2]])


def draw(hue: Tensor, size: Tensor, place: Tensor, seed: int) -> Tensor:
    """Draw frames `(N, 3, 16, 16)` of classes `(N,)`, on a dark background with noise."""
    generator = torch.Generator().manual_seed(seed)
    frames = 0.1 * torch.rand(len(hue), 3, SIDE, SIDE, generator=generator)
    jitter = torch.randint(0, 2, (len(hue), 2), generator=generator)
    for i, (h, s, p) in enumerate(zip(hue.tolist(), size.tolist(), place.tolist(), strict=True)):
        top, left = (torch.tensor([p // 2, p % 2]) * 8 + jitter[i] + 1).tolist()
        side = 3 + 2 * s
        frames[i, h, top : top + side, left : left + side] = 0.9
    return frames


def identities(count: int, seed: int) -> dict[str, Tensor]:
    """Classes `(N,)` of the attributes."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "hue": torch.randint(HUES, (count,), generator=generator),
        "size": torch.randint(SIZES, (count,), generator=generator),
    }


def motions(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Actions `(N,)` and the places `(N, T)` that they visit, each corner twice in any order."""
    generator = torch.Generator().manual_seed(seed)
    action = torch.randint(ACTIONS, (count,), generator=generator)
    order = torch.rand(count, FRAMES, generator=generator).argsort(1) % 2
    return action, CORNERS[action].gather(1, order)


def clips(identity: dict[str, Tensor], place: Tensor, seed: int) -> Tensor:
    """Draw clips `(N, T, 3, 16, 16)`."""
    count, frames = place.shape
    hue, size = (identity[name].repeat_interleave(frames) for name in IDENTITY)
    return draw(hue, size, place.flatten(), seed).unflatten(0, (count, frames))
