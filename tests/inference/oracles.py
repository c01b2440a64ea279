"""Pairs whose log p(x) is known: in closed form, by enumeration or by quadrature."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor


class Oracle(NamedTuple):
    """A pair, data for it, and the truth.

    Args:
        model: The generative program.
        guide: The inference program.
        data: Arguments of both, by name, in order.
        log_p: True log p(x) of each datum, float64 `(N,)`.
    """

    model: Callable[..., Any]
    guide: Callable[..., Any]
    data: dict[str, Tensor]
    log_p: Tensor

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.data)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


NOISE = 0.8
WEIGHT = _randn(6, 2, seed=1)
OFFSET = _randn(6, seed=2)


def pca_data(size: int) -> Tensor:
    return _randn(size, 2, seed=3) @ WEIGHT.T + OFFSET + NOISE * _randn(size, 6, seed=4)


def pca_posterior() -> tuple[Tensor, Tensor]:
    """Map from centred data to the posterior mean, and the posterior covariance."""
    precision = torch.eye(2, dtype=torch.float64) + WEIGHT.T @ WEIGHT / NOISE**2
    covariance = torch.linalg.inv(precision)
    return covariance @ WEIGHT.T / NOISE**2, covariance


def pca_model(dtype: torch.dtype) -> Callable[[Tensor], None]:
    weight, offset = WEIGHT.to(dtype), OFFSET.to(dtype)

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z @ weight.T + offset, NOISE).to_event(1), obs=x)

    return model


def pca(size: int = 7, width: float = 1.0, dtype: torch.dtype = torch.float64) -> Oracle:
    """Probabilistic PCA; the guide is the exact posterior, its standard deviations times
    `width`."""
    gain, covariance = (t.to(dtype) for t in pca_posterior())
    offset = OFFSET.to(dtype)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            loc = (x - offset) @ gain.T
            pyro.sample("z", dist.MultivariateNormal(loc, covariance * width**2))

    x = pca_data(size).to(dtype)
    evidence = WEIGHT @ WEIGHT.T + NOISE**2 * torch.eye(6, dtype=torch.float64)
    log_p = dist.MultivariateNormal(OFFSET, evidence).log_prob(x.double())
    return Oracle(pca_model(dtype), guide, {"x": x}, log_p)


MEAN_FIELD = (_randn(2, 6, seed=5) * 0.1, torch.tensor([0.7, 0.4], dtype=torch.float64))


def pca_mean_field(size: int) -> tuple[Oracle, Tensor]:
    """Probabilistic PCA with a wrong diagonal guide; also its ELBO in closed form."""
    gain, scale = MEAN_FIELD

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x @ gain.T, scale).to_event(1))

    exact = pca(size)
    x = exact.data["x"]
    loc = x @ gain.T
    residual = x - loc @ WEIGHT.T - OFFSET
    spread = (WEIGHT**2 * scale**2).sum()
    log_two_pi = torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    reconstruction = -0.5 * ((residual**2).sum(1) + spread) / NOISE**2
    reconstruction = reconstruction - 3 * log_two_pi - 6 * torch.log(torch.tensor(NOISE))
    divergence = 0.5 * (scale**2 + loc**2 - 1).sum(1) - scale.log().sum()
    return exact._replace(guide=guide), reconstruction - divergence


def nonlinear(size: int = 5) -> Oracle:
    """One code through a curve, with Gaussian noise; log p by quadrature."""

    def curve(z: Tensor) -> Tensor:
        return torch.stack([torch.sin(2 * z), 0.5 * z**2], -1)

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(()), 1.0))
            pyro.sample("x", dist.Normal(curve(z), 0.6).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.StudentT(5.0, 0.4 * x[:, 0], 1.1))

    grid = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    x = curve(_randn(size, seed=6)) + 0.6 * _randn(size, 2, seed=7)
    joint = dist.Normal(curve(grid), 0.6).to_event(1).log_prob(x[:, None])
    joint = joint + dist.Normal(grid.new_zeros(()), 1.0).log_prob(grid)
    log_p = torch.logsumexp(joint, 1) + torch.log(grid[1] - grid[0])
    return Oracle(model, guide, {"x": x}, log_p)


def beta_bernoulli(size: int = 4, sharpen: float = 1.0) -> Oracle:
    """Coins of unknown bias; the guide is the exact posterior where `sharpen` is 1."""
    a, b = torch.tensor(2.0, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64)

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Beta(a, b))
            probs = z.unsqueeze(-1).expand(*z.shape, x.shape[-1])
            pyro.sample("x", dist.Bernoulli(probs).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        ones, zeros = x.sum(-1), (1 - x).sum(-1)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Beta(a + sharpen * ones, b + sharpen * zeros))

    x = (torch.rand(size, 11, generator=generator(8), dtype=torch.float64) < 0.4).double()
    ones, zeros = x.sum(-1), (1 - x).sum(-1)

    def log_beta(p: Tensor, q: Tensor) -> Tensor:
        return torch.lgamma(p) + torch.lgamma(q) - torch.lgamma(p + q)

    return Oracle(model, guide, {"x": x}, log_beta(a + ones, b + zeros) - log_beta(a, b))


PROBABILITIES = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
WEIGHTS = _randn(3, 4, 2, seed=9)
OFFSETS = 1.5 * _randn(3, 4, seed=10)


def _mixture_model(enumerate_label: bool) -> Callable[[Tensor], None]:
    infer: Any = {"enumerate": "parallel"} if enumerate_label else None

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            label = pyro.sample("label", dist.Categorical(PROBABILITIES), infer=infer)
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            loc = (WEIGHTS[label] @ z.unsqueeze(-1)).squeeze(-1) + OFFSETS[label]
            pyro.sample("x", dist.Normal(loc, NOISE).to_event(1), obs=x)

    return model


def _mixture_truth(size: int) -> tuple[Tensor, Tensor]:
    label = torch.multinomial(PROBABILITIES, size, True, generator=generator(11))
    x = (WEIGHTS[label] @ _randn(size, 2, 1, seed=12)).squeeze(-1) + OFFSETS[label]
    x = x + NOISE * _randn(size, 4, seed=13)
    evidence = WEIGHTS @ WEIGHTS.mT + NOISE**2 * torch.eye(4, dtype=torch.float64)
    per_label = dist.MultivariateNormal(OFFSETS, evidence).log_prob(x[:, None])
    return x, torch.logsumexp(per_label + PROBABILITIES.log(), 1)


def mixture(size: int = 6) -> Oracle:
    """A label that only the model has, and a code: three factor analysers."""

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            loc = 0.2 * x[:, :2]
            pyro.sample("z", dist.Normal(loc, 1.2).to_event(1))

    x, log_p = _mixture_truth(size)
    return Oracle(_mixture_model(True), guide, {"x": x}, log_p)


def labelled(size: int = 6, width: float = 1.0, depends: bool = True) -> Oracle:
    """The same, with the label enumerated in the guide; the code's proposal depends on it, or does
    not.

    The code's proposal given the label is the exact posterior, its standard deviations times
    `width`.
    """
    precision = torch.eye(2, dtype=torch.float64) + WEIGHTS.mT @ WEIGHTS / NOISE**2
    covariance = torch.linalg.inv(precision)
    gain = covariance @ WEIGHTS.mT / NOISE**2

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            uniform = dist.Categorical(torch.ones(3, dtype=torch.float64) / 3)
            label = pyro.sample("label", uniform, infer={"enumerate": "parallel"})
            if depends:
                loc = (gain[label] @ (x - OFFSETS[label]).unsqueeze(-1)).squeeze(-1)
                pyro.sample("z", dist.MultivariateNormal(loc, covariance[label] * width**2))
            else:
                pyro.sample("z", dist.Normal(0.2 * x[:, :2], width).to_event(1))

    x, log_p = _mixture_truth(size)
    return Oracle(_mixture_model(False), guide, {"x": x}, log_p)


FIRST, SECOND = _randn(5, 2, seed=14), _randn(5, 3, seed=15)


def structured(size: int = 8, width: float = 1.0) -> Oracle:
    """Two codes; the guide's second depends on its sample of the first. Exact where `width` is
    1."""
    eye = torch.eye(5, dtype=torch.float64)
    rest = SECOND @ SECOND.T + NOISE**2 * eye
    evidence = FIRST @ FIRST.T + rest
    first_gain = FIRST.T @ torch.linalg.inv(evidence)
    first_covariance = torch.eye(2, dtype=torch.float64) - first_gain @ FIRST
    second_gain = SECOND.T @ torch.linalg.inv(rest)
    second_covariance = torch.eye(3, dtype=torch.float64) - second_gain @ SECOND

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            u = pyro.sample("perspective", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            v = pyro.sample("appearance", dist.Normal(x.new_zeros(3), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(u @ FIRST.T + v @ SECOND.T, NOISE).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            wide = first_covariance * width**2
            u = pyro.sample("perspective", dist.MultivariateNormal(x @ first_gain.T, wide))
            loc = (x - u @ FIRST.T) @ second_gain.T
            wide = second_covariance * width**2
            pyro.sample("appearance", dist.MultivariateNormal(loc, wide))

    x = _randn(size, 2, seed=16) @ FIRST.T + _randn(size, 3, seed=17) @ SECOND.T
    x = x + NOISE * _randn(size, 5, seed=18)
    log_p = dist.MultivariateNormal(x.new_zeros(5), evidence).log_prob(x)
    return Oracle(model, guide, {"x": x}, log_p)


FRAMES, STATIC, DYNAMIC, PIXELS = 4, 2, 3, 5
PRIOR = 0.7 * _randn(DYNAMIC, STATIC, seed=19)
FROM_DYNAMIC, FROM_STATIC = _randn(PIXELS, DYNAMIC, seed=20), _randn(PIXELS, STATIC, seed=21)


def sequences(size: int = 6, width: float = 1.0) -> Oracle:
    """A static code per sequence, a dynamic code per frame, ragged lengths. Exact where `width` is
    1.

    The width widens the dynamic codes' proposals alone.
    """
    eye = torch.eye(PIXELS, dtype=torch.float64)
    static_map = FROM_STATIC + FROM_DYNAMIC @ PRIOR  # of the mean of a frame given the static code
    frame_noise = FROM_DYNAMIC @ FROM_DYNAMIC.T + NOISE**2 * eye
    gain = FROM_DYNAMIC.T @ torch.linalg.inv(frame_noise)
    dynamic_covariance = torch.eye(DYNAMIC, dtype=torch.float64) - gain @ FROM_DYNAMIC
    per_frame = static_map.T @ torch.linalg.inv(frame_noise)

    def visible(length: Tensor) -> Tensor:
        return torch.arange(FRAMES) < length.unsqueeze(-1)

    def mask(visible: Any) -> Any:
        return poutine.mask(mask=visible)

    def model(x: Tensor, length: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-2):
            f = pyro.sample("static", dist.Normal(x.new_zeros(STATIC), 1.0).to_event(1))
            with pyro.plate("frames", FRAMES, dim=-1), mask(visible(length)):
                z = pyro.sample("dynamic", dist.Normal(f @ PRIOR.T, 1.0).to_event(1))
                loc = z @ FROM_DYNAMIC.T + f @ FROM_STATIC.T
                pyro.sample("x", dist.Normal(loc, NOISE).to_event(1), obs=x)

    def guide(x: Tensor, length: Tensor) -> None:
        count = length.to(x).view(-1, 1, 1, 1)
        precision = torch.eye(STATIC, dtype=torch.float64) + count * (per_frame @ static_map)
        covariance = torch.linalg.inv(precision)
        total = (x * visible(length).unsqueeze(-1)).sum(1, keepdim=True) @ per_frame.T
        with pyro.plate("data", len(x), dim=-2):
            loc = (covariance @ total.unsqueeze(-1)).squeeze(-1)
            f = pyro.sample("static", dist.MultivariateNormal(loc, covariance))
            with pyro.plate("frames", FRAMES, dim=-1), mask(visible(length)):
                loc = f @ PRIOR.T + (x - f @ static_map.T) @ gain.T
                wide = dynamic_covariance * width**2
                pyro.sample("dynamic", dist.MultivariateNormal(loc, wide))

    length = torch.randint(1, FRAMES + 1, (size,), generator=generator(22))
    f = _randn(size, 1, STATIC, seed=23)
    z = f @ PRIOR.T + _randn(size, FRAMES, DYNAMIC, seed=24)
    x = z @ FROM_DYNAMIC.T + f @ FROM_STATIC.T + NOISE * _randn(size, FRAMES, PIXELS, seed=25)
    log_p = []
    for n, frames in enumerate(length.tolist()):
        shared = static_map.repeat(frames, 1)
        covariance = shared @ shared.T + torch.block_diag(*[frame_noise] * frames)
        normal = dist.MultivariateNormal(x.new_zeros(frames * PIXELS), covariance)
        log_p.append(normal.log_prob(x[n, :frames].flatten()))
    return Oracle(model, guide, {"x": x, "length": length}, torch.stack(log_p))
