"""Pairs of images whose posterior given some pixels is known."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from unbraid import guides, models

SHAPE = (1, 3, 4)
PIXELS = 12
NOISE = 0.7
COUNT = 5


def randn(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


WEIGHT = randn(PIXELS, 2, seed=1)
OFFSET = randn(PIXELS, seed=2)


class Known(NamedTuple):
    """A pair, images, which pixels are seen, and the posterior given these.

    Args:
        model: The generative program.
        guide: The inference program, which is right for whole images or for none.
        data: What the programs take by name.
        observed: Bool `(N, H, W)`.
        mean: Of the posterior, `(N, K)`.
        covariance: Of the posterior, `(N, K, K)`.
        log_evidence: `log p(x_observed)`, `(N,)`.
    """

    model: Callable[..., Any]
    guide: Callable[..., Any]
    data: dict[str, Tensor]
    observed: Tensor
    mean: Tensor
    covariance: Tensor
    log_evidence: Tensor


def masks(count: int = COUNT) -> Tensor:
    """Masks of all sizes; of the first image nothing is seen, of the last all but one pixel."""
    generator = torch.Generator().manual_seed(3)
    order = torch.rand(count, PIXELS, generator=generator).argsort(1).argsort(1)
    seen = torch.linspace(0, PIXELS - 1, count).long()
    return (order < seen.unsqueeze(1)).unflatten(1, SHAPE[1:])


def decoder(z: Tensor, condition: Tensor | None = None) -> Any:
    shift = 0.0 if condition is None else condition.unsqueeze(-1)
    loc = (z @ WEIGHT.T + OFFSET + shift).unflatten(-1, SHAPE)
    return dist.Normal(loc, NOISE).to_event(3)


def pca(count: int = COUNT, *, conditional: bool = False, wrong: bool = False) -> Known:
    """Probabilistic PCA; the guide is the mean-field one of whole images, or a wrong one."""
    precision = torch.eye(2, dtype=torch.float64) + WEIGHT.T @ WEIGHT / NOISE**2
    gain = torch.linalg.solve(precision, WEIGHT.T) / NOISE**2
    scale = precision.diagonal().rsqrt()

    def encoder(x: Tensor, condition: Tensor | None = None) -> Any:
        shift = 0.0 if condition is None else condition.unsqueeze(-1)
        loc = (x.flatten(1) - shift - OFFSET) @ gain.T
        if wrong:
            return dist.Normal(loc + 0.3, 0.8 * scale).to_event(1)
        return dist.Normal(loc, scale).to_event(1)

    condition = randn(count, seed=4)
    z = randn(count, 2, seed=5)
    x = decoder(z, condition if conditional else None).mean
    x = x + NOISE * randn(count, *SHAPE, seed=6)
    observed, found = masks(count), []
    for n in range(count):
        seen = observed[n].flatten()
        weight, offset = WEIGHT[seen], OFFSET[seen] + condition[n] * conditional
        covariance = torch.linalg.inv(torch.eye(2) + weight.T @ weight / NOISE**2)
        centred = x[n].flatten()[seen] - offset
        evidence = weight @ weight.T + NOISE**2 * torch.eye(int(seen.sum()), dtype=torch.float64)
        normal = dist.MultivariateNormal(torch.zeros_like(centred), evidence)
        log_p = normal.log_prob(centred) if seen.any() else torch.zeros((), dtype=torch.float64)
        found.append((covariance @ weight.T @ centred / NOISE**2, covariance, log_p))
    data = {"x": x, "condition": condition} if conditional else {"x": x}
    model = (models.CVAE if conditional else models.VAE)(decoder, 2).double()
    guide = (guides.CVAE if conditional else guides.VAE)(encoder)
    truth = [torch.stack(column) for column in zip(*found, strict=True)]
    return Known(model, guide, data, observed, *truth)


def coins(count: int = 4) -> Known:
    """Black and white pixels of one unknown brightness each image, which is Beta distributed."""
    a, b = torch.tensor(2.0, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64)

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Beta(a, b))
            probs = z[..., None, None, None].expand(*z.shape, *SHAPE)
            pyro.sample("x", dist.Bernoulli(probs).to_event(3), obs=x)

    def guide(x: Tensor) -> None:
        ones = x.sum((1, 2, 3))
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Beta(a + ones, b + PIXELS - ones))

    x = (randn(count, *SHAPE, seed=7) > 0.3).double()
    observed = masks(count)
    ones = torch.where(observed.unsqueeze(1), x, 0.0).sum((1, 2, 3))
    zeros = observed.sum((1, 2)) - ones
    posterior = dist.Beta(a + ones, b + zeros)

    def log_beta(p: Tensor, q: Tensor) -> Tensor:
        return torch.lgamma(p) + torch.lgamma(q) - torch.lgamma(p + q)

    return Known(
        model,
        guide,
        {"x": x},
        observed,
        posterior.mean.unsqueeze(1),
        posterior.variance[:, None, None],
        log_beta(a + ones, b + zeros) - log_beta(a, b),
    )
