"""A pair of a content code and poses of small clips, for tests of DrNet's two hooks."""

from typing import Any

import torch
from torch import Tensor

from unbraid import guides, models
from unbraid.inference import Objective, Terms
from unbraid.nets import ClipEncoder, FrameEncoder, MLPDecoder, make_likelihood, mlp_trunk

SHAPE, F, Z, B = (1, 3, 4), 5, 3, 6


def pair(points: bool = True, dtype: torch.dtype = torch.float64) -> Any:
    """The pair; its encoders share nothing."""
    torch.manual_seed(4)
    content, pose = mlp_trunk(SHAPE, (9,)), mlp_trunk(SHAPE, (8,))
    likelihood = make_likelihood("normal", 1, scale=0.5**0.5)
    model = models.DrNet(MLPDecoder(F + Z, SHAPE, likelihood, (7,)), F, Z)
    guide = guides.DrNet(
        ClipEncoder(content, F, (6,), points=points), FrameEncoder(pose, Z, (5,), points=points)
    )
    return model.to(dtype), guide.to(dtype)


def batch_of(
    frames: int = 1, companions: int = 1, dtype: torch.dtype = torch.float64
) -> dict[str, Any]:
    """Frames and companions of `B` clips."""
    generator = torch.Generator().manual_seed(2)
    drawn = torch.rand(B, frames + companions, *SHAPE, generator=generator, dtype=dtype)
    return {
        "x": drawn[:, :frames].contiguous(),
        "companions": drawn[:, frames:].contiguous(),
        "length": torch.full((B,), frames),
        "index": torch.arange(B) + 10,
    }


def arguments(batch: dict[str, Any]) -> tuple[Tensor, ...]:
    """What model and guide take of a batch."""
    return batch["x"], batch["length"], batch["companions"]


def terms_of(model: Any, guide: Any, batch: dict[str, Any], particles: int = 1) -> Terms:
    """The terms of a pass of the pair on a batch."""
    return Objective(particles=particles).terms(model, guide, arguments(batch))
