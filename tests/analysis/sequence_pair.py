"""A pair of sequences whose codes and decoded frames are known exactly: all its maps are linear.

A frame is `0.5 + [static, dynamic] @ basis` with orthonormal rows of the basis, so that the guide
reads the codes off the frames: the dynamic code of each, and the mean static code of the true
ones.
"""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor, nn

SHAPE = (1, 4, 6)
STATIC, DYNAMIC = 3, 2


def basis(rows: int, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    """Orthonormal rows, `(rows, C H W)`."""
    noise = torch.randn(
        torch.Size(shape).numel(), rows, generator=torch.Generator().manual_seed(4)
    )
    return torch.linalg.qr(noise).Q.T.contiguous()


def frame_mask(length: Tensor | None, frames: int) -> Any:
    return True if length is None else torch.arange(frames) < length.unsqueeze(-1)


class LinearFrames(nn.Module):
    """The model: p(z|f) has mean `f @ prior` and a deviation of its own for each coordinate."""

    def __init__(
        self, static: int = STATIC, dynamic: int = DYNAMIC, shape: tuple[int, int, int] = SHAPE
    ):
        super().__init__()
        self.static_dim, self.dynamic_dim, self.shape = static, dynamic, shape
        self.basis = nn.Parameter(basis(static + dynamic, shape))
        noise = torch.randn(static, dynamic, generator=torch.Generator().manual_seed(5))
        self.prior = nn.Parameter(0.3 * noise)
        self.deviation = nn.Parameter(torch.linspace(0.2, 0.5, dynamic))
        self.largest = 0  # frames in one pass so far

    def mean(self, static: Tensor, dynamic: Tensor) -> Tensor:
        lead = torch.broadcast_shapes(static.shape[:-1], dynamic.shape[:-1])
        codes = [code.expand(*lead, code.shape[-1]) for code in (static, dynamic)]
        return 0.5 + (torch.cat(codes, -1) @ self.basis).unflatten(-1, self.shape)

    def forward(
        self,
        x: Tensor | None = None,
        length: Tensor | None = None,
        *,
        size: int | None = None,
        frames: int | None = None,
    ) -> Tensor:
        size, frames = (size, frames or 5) if x is None else x.shape[:2]
        assert size is not None
        self.largest = max(self.largest, size * frames)
        with pyro.plate("data", size, dim=-2):
            static = pyro.sample(
                "static", dist.Normal(torch.zeros(self.static_dim), 1).to_event(1)
            )
            mask = frame_mask(length, frames)
            with pyro.plate("frames", frames, dim=-1), poutine.mask(mask=mask):
                p = dist.Normal(static @ self.prior, self.deviation)
                dynamic = pyro.sample("dynamic", p.to_event(1))
                image = dist.Normal(self.mean(static, dynamic), 0.1).to_event(3)
                return pyro.sample("x", image, obs=x)


class LinearFramesGuide(nn.Module):
    """The guide: reads both codes off the frames, the dynamic one less what is static."""

    def __init__(self, model: LinearFrames):
        super().__init__()
        self.model = model
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, length: Tensor | None = None) -> None:
        size, frames = x.shape[:2]
        codes = self.dropout(x - 0.5).flatten(2) @ self.model.basis.T
        static, dynamic = codes.split([self.model.static_dim, self.model.dynamic_dim], -1)
        mask = frame_mask(length, frames)
        weight = torch.ones(size, frames) * mask
        loc = (static * weight.unsqueeze(-1)).sum(1) / weight.sum(1, keepdim=True)
        with pyro.plate("data", size, dim=-2):
            f = pyro.sample("static", dist.Normal(loc.unsqueeze(1), 0.1).to_event(1))
            with pyro.plate("frames", frames, dim=-1), poutine.mask(mask=mask):
                # What is sampled of the static code must not come through.
                shifted = dynamic + (f - loc.unsqueeze(1)).sum(-1, keepdim=True)
                pyro.sample(
                    "dynamic", dist.Normal(shifted, 0.05 + 0.1 * dynamic.abs()).to_event(1)
                )


def make_frames(
    static: int = STATIC, dynamic: int = DYNAMIC, shape: tuple[int, int, int] = SHAPE
) -> tuple[LinearFrames, LinearFramesGuide]:
    """A model with its guide."""
    model = LinearFrames(static, dynamic, shape)
    return model, LinearFramesGuide(model)


def codes(
    sequences: int, frames: int, static: int = STATIC, dynamic: int = DYNAMIC, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Static `(S, F)` and dynamic `(S, T, Z)` codes, small enough for images in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return (
        0.3 * torch.randn(sequences, static, generator=generator).clamp(-1.5, 1.5),
        0.3 * torch.randn(sequences, frames, dynamic, generator=generator).clamp(-1.5, 1.5),
    )


def padded(x: Tensor, lengths: Tensor, value: float = 0.0) -> Tensor:
    """Sequences with `value` beyond their lengths."""
    mask = torch.arange(x.shape[1]) < lengths.unsqueeze(1)
    return torch.where(mask[..., None, None, None], x, torch.full_like(x, value))
