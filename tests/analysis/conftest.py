"""Small pairs whose posteriors, divergences and decoded images are known in closed form."""

from typing import NamedTuple

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn


class LinearModel(nn.Module):
    """Two latent sites whose sum of linear maps is the mean image."""

    def __init__(self, shape: tuple[int, int, int], dims: dict[str, int]):
        super().__init__()
        self.shape, self.dims = shape, dims
        generator = torch.Generator().manual_seed(1)
        size = torch.Size(shape).numel()
        self.maps = nn.ParameterDict(
            {n: torch.randn(k, size, generator=generator) * 0.05 for n, k in dims.items()}
        )

    def mean(self, codes: dict[str, Tensor]) -> Tensor:
        parts = torch.stack([codes[name] @ matrix for name, matrix in self.maps.items()])
        return 0.5 + parts.sum(0).unflatten(-1, self.shape)

    def forward(self, x: Tensor | None = None, *, size: int | None = None) -> Tensor:
        with pyro.plate("data", size if x is None else len(x)):
            codes = {
                name: pyro.sample(name, dist.Normal(torch.zeros(k), 1.0).to_event(1))
                for name, k in self.dims.items()
            }
            return pyro.sample("x", dist.Normal(self.mean(codes), 0.1).to_event(3), obs=x)


class LinearGuide(nn.Module):
    """Posterior means linear in the image, posterior scales fixed by dimension."""

    def __init__(self, shape: tuple[int, int, int], scales: dict[str, Tensor], gains):
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        size = torch.Size(shape).numel()
        self.scales = scales
        self.maps = nn.ParameterDict(
            {
                n: torch.randn(size, len(s), generator=generator) * gains[n]
                for n, s in scales.items()
            }
        )
        self.dropout = nn.Dropout(0.5)

    def locs(self, x: Tensor) -> dict[str, Tensor]:
        flat = self.dropout(x.flatten(1))
        return {name: flat @ matrix for name, matrix in self.maps.items()}

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            for name, loc in self.locs(x).items():
                pyro.sample(name, dist.Normal(loc, self.scales[name]).to_event(1))


class Pair(NamedTuple):
    model: LinearModel
    guide: LinearGuide
    x: Tensor


DIMS = {"appearance": 4, "perspective": 2}
SCALES = {
    "appearance": torch.tensor([0.9, 0.2, 1.0, 0.5]),
    "perspective": torch.tensor([0.3, 0.6]),
}
# Dimension 2 of `appearance` does not look at the image at all.
GAINS = {"appearance": torch.tensor([0.3, 0.4, 0.0, 0.2]), "perspective": torch.tensor([0.5, 0.1])}


def make_pair(shape: tuple[int, int, int], names: tuple[str, ...]) -> Pair:
    dims = {name: DIMS[name] for name in names}
    model = LinearModel(shape, dims)
    guide = LinearGuide(shape, {n: SCALES[n] for n in names}, GAINS)
    x = torch.rand(11, *shape, generator=torch.Generator().manual_seed(3))
    return Pair(model, guide, x)


@pytest.fixture(params=[(1, 5, 7), (3, 9, 6), (2, 8, 8)], ids=["grey", "colour", "two-channel"])
def pair(request) -> Pair:
    """Two latent sites, of 4 and 2 dimensions, on images of several kinds."""
    return make_pair(request.param, ("appearance", "perspective"))


@pytest.fixture
def plain_pair() -> Pair:
    """One latent site of 4 dimensions on grey 5 x 7 images."""
    return make_pair((1, 5, 7), ("appearance",))


def normal_kl(loc: Tensor, scale: Tensor) -> Tensor:
    return 0.5 * (loc**2 + scale**2 - 1) - scale.log()
