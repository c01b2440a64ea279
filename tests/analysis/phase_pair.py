"""A pair of poses that is exact: a pose is a point on a circle, and turns by a fixed angle.

A frame is `0.5 + [content, pose] @ basis` with orthonormal rows of the basis, so that the codes
are read off the frame.
"""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.nets import LSTMTransition

from .sequence_pair import basis

SHAPE, CONTENT, POSE = (3, 12, 13), 3, 2
ANGLE = 0.4


class Turn(LSTMTransition):
    """Each pose is the one before, turned; the memory counts steps in its first number."""

    def step(self, z: Tensor, content: Tensor, memory: Any) -> Any:
        cos, sin = torch.tensor([ANGLE]).cos(), torch.tensor([ANGLE]).sin()
        x, y = z[:, :1], z[:, 1:]
        return torch.cat([cos * x - sin * y, sin * x + cos * y], 1), memory


class Decoder(nn.Module):
    """Counts the frames that it is given at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.basis = nn.Parameter(basis(CONTENT + POSE, SHAPE))
        self.largest = 0

    def forward(self, codes: Tensor) -> Any:
        self.largest = max(self.largest, codes.shape[:-1].numel())
        loc = 0.5 + (codes @ self.basis).unflatten(-1, SHAPE)
        return dist.Normal(loc, 0.1).to_event(3)


class Codes(nn.Module):
    """Reads the codes off frames, and keeps what it was shown."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.shown: list[Tensor] = []

    def read(self, frames: Tensor) -> Tensor:
        self.shown.append(frames.clone())
        return (frames - 0.5).flatten(-3) @ self.decoder.basis.T

    def content(self, frames: Tensor) -> Any:
        return dist.Normal(self.read(frames)[..., :CONTENT], 0.05).to_event(1)

    def pose(self, frames: Tensor, content: Tensor) -> Any:
        return dist.Normal(self.read(frames)[..., CONTENT:], 0.05).to_event(1)


def make_pair(transition: LSTMTransition | None = None) -> tuple[Any, Any]:
    """A model with its guide; the true transition, of small steps of noise, unless given."""
    if transition is None:
        transition = Turn(POSE, CONTENT, hidden=1, layers=1)
        nn.init.constant_(transition.spread, -0.3)
    decoder = Decoder()
    model = models.PosePrediction(decoder, transition, CONTENT)
    return model, guides.PosePrediction(Codes(decoder), 4)


def learned(seed: int = 0) -> LSTMTransition:
    """A transition of LSTM cells, untrained."""
    torch.manual_seed(seed)
    transition = LSTMTransition(POSE, CONTENT, hidden=5, layers=2)
    nn.init.normal_(transition.spread, std=0.1)
    return transition


def clips(count: int, frames: int, seed: int = 0) -> Tensor:
    """Clips `(count, frames, C, H, W)` in which each pose follows exactly."""
    generator = torch.Generator().manual_seed(seed)
    content = 0.6 * torch.randn(count, 1, CONTENT, generator=generator)
    start = 6.3 * torch.rand(count, 1, generator=generator)
    phase = start + ANGLE * torch.arange(frames)
    pose = torch.stack([phase.cos(), phase.sin()], -1)
    codes = torch.cat([content.expand(-1, frames, -1), pose], -1)
    return 0.5 + (codes @ basis(CONTENT + POSE, SHAPE)).unflatten(-1, SHAPE)
