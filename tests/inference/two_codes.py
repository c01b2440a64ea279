"""A pair of two linear codes of small images, for tests of swapped and mixed codes."""

from typing import Any

import torch
from torch import nn

from unbraid import guides, models
from unbraid.inference import Runner, Terms
from unbraid.nets import MLPDecoder, MLPEncoder, PointEncoder, make_likelihood

SHAPE, SPECIFIED, UNSPECIFIED = (1, 3, 4), 2, 3


def pair(point: bool = True) -> Any:
    """The pair, in float64."""
    torch.manual_seed(4)
    decoder = MLPDecoder(SPECIFIED + UNSPECIFIED, SHAPE, make_likelihood("normal", 1), (7,))
    make = PointEncoder if point else MLPEncoder
    model = models.SwapVAE(decoder, SPECIFIED, UNSPECIFIED)
    guide = guides.SwapVAE(make(SHAPE, SPECIFIED, (6,)), MLPEncoder(SHAPE, UNSPECIFIED, (5,)))
    return model.double(), guide.double()


def batch_of(size: int = 6, classes: int = 3) -> dict[str, Any]:
    """Images with labels, and their partners."""
    x, partner = torch.rand(2, size, *SHAPE, dtype=torch.float64)
    return {
        "x": x,
        "label": torch.arange(size) % classes,
        "partner": {"x": partner, "index": torch.arange(size)},
    }


def terms_of(model: Any, guide: Any, batch: dict[str, Any], particles: int = 1) -> Terms:
    """The terms of a pass of the pair on a batch."""
    runner = Runner(particles=particles)
    p, q = runner.run_pair(model, guide, (batch["x"],))
    return Terms(p, q, runner, model, guide, (batch["x"],))


def moved(loss: torch.Tensor, module: nn.Module) -> list[bool | None]:
    """Of each parameter whether the loss moves it; None where it is no part of the loss."""
    found = torch.autograd.grad(loss, [*module.parameters()], retain_graph=True, allow_unused=True)
    return [None if g is None else bool((g != 0).any()) for g in found]
