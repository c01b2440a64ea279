"""Turntables of simple shapes: a blob off the centre, and another one closer to it."""

import torch
from torch import Tensor

from unbraid.data import Dataset


def drawn(angles: Tensor, size: int, side: int) -> Tensor:
    """Draw an object at angles in degrees, uint8 `(T, 1, side, side + 1)`; `size` says which."""
    radians = torch.deg2rad(angles)[:, None, None]
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, side), torch.linspace(-1, 1, side + 1), indexing="ij"
    )
    far = (x - 0.6 * radians.cos()) ** 2 + (y - 0.6 * radians.sin()) ** 2
    near = (x + 0.3 * radians.sin()) ** 2 + (y - 0.3 * radians.cos()) ** 2
    image = torch.exp(-far / (0.05 + 0.03 * size)) + 0.2 * size * torch.exp(-near / 0.05)
    return (image.clamp(max=1) * 255).round().to(torch.uint8).unsqueeze(1)


def turntable(
    objects: int = 4,
    frames: int = 12,
    side: int = 8,
    *,
    start: float = 30.0,
    falling: tuple[int, ...] = (),
    name: str = "angle",
) -> Dataset:
    """Return whole turns from `start` degrees; those of `falling` objects go backwards."""
    rows = []
    for k in range(objects):
        way = -1 if k in falling else 1
        rows.append((start + way * torch.arange(frames) * 360 / frames) % 360)
    angles = torch.stack(rows)
    return Dataset(
        torch.stack([drawn(row, k, side) for k, row in enumerate(angles)]),
        "shapes",
        labels=torch.arange(objects),
        frame_factors=torch.stack([torch.zeros_like(angles), angles], 2),
        frame_factor_names=("light", name),
    )
