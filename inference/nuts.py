"""The No-U-Turn sampler on the codes of one datum after the other.

Source: Hoffman & Gelman (2014), https://arxiv.org/abs/1111.4246, in Pyro's implementation.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from pyro.infer import MCMC, NUTS
from pyro.ops.stats import effective_sample_size, split_gelman_rubin
from torch import Tensor
from torch.distributions import MultivariateNormal

from .joint_density import JointDensity
from .noise_seeds import mix, seed_noise

FEWEST = 10
"""Draws of a chain without which its diagnostics say nothing."""


class Chains(NamedTuple):
    """Draws of `B` data's codes by Markov chains, and what they say of themselves.

    Args:
        vectors: Codes `(S, B, K)`, the draws of one chain after those of another.
        diverging: Which draws end a divergent path, bool `(S, B)`.
        acceptance: Mean probability of acceptance along the paths, float64 `(chains, B)`.
        step_size: Of the paths, in the coordinates of the Normal, float64 `(chains, B)`.
        r_hat: Largest split R-hat of a coordinate, float64 `(B,)`.
        effective_sample_size: Smallest of a coordinate, float64 `(B,)`.
    """

    vectors: Tensor
    diverging: Tensor
    acceptance: Tensor
    step_size: Tensor
    r_hat: Tensor
    effective_sample_size: Tensor

    @property
    def divergences(self) -> Tensor:
        """Share of the draws that end a divergent path, float64 `(B,)`."""
        return self.diverging.double().mean(0)


class _Chain(NamedTuple):
    vectors: Tensor
    diverging: Tensor
    acceptance: float
    step_size: float


def run_chains(
    density: JointDensity,
    starts: Tensor,
    normal: MultivariateNormal,
    *,
    samples: int,
    chains: int,
    warmup: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Chains:
    """Run chains for each datum.

    Args:
        density: The density to draw from.
        starts: Where chains start, `(M, B, K)`: each at the next one.
        normal: Near the posterior, batch `(B,)`: chains move in coordinates in which it is a
            standard normal, so that paths are short; they are free to leave it.
        samples: Number `S` of draws of a datum, a multiple of `chains`.
        chains: Number of chains of a datum.
        warmup: Moves of each chain that adapt the step size and the mass, and are thrown away.
        seed: Seed of the noise.
        progress: Called with the number of data done.
    """
    found = []
    for datum in range(starts.shape[1]):
        one = density.of(datum)
        centre, tril = normal.loc[datum], normal.scale_tril[datum]
        whitened = torch.linalg.solve_triangular(
            tril, (starts[:, datum] - centre).mT, upper=False
        ).mT
        ran = []
        for chain in range(chains):
            seed_noise(mix(seed, datum), chain, starts.device)
            start = whitened[chain % len(whitened)]
            ran.append(_chain(one, centre, tril, start, samples // chains, warmup))
        vectors = torch.stack([chain.vectors for chain in ran])

        def column(of: Callable[[_Chain], float], ran: list[_Chain] = ran) -> Tensor:
            return torch.tensor([of(chain) for chain in ran], dtype=torch.float64)

        found.append(
            (
                vectors.flatten(0, 1),
                torch.cat([chain.diverging for chain in ran]),
                column(lambda chain: chain.acceptance),
                column(lambda chain: chain.step_size),
                split_gelman_rubin(vectors.double(), 0, 1).max(),
                effective_sample_size(vectors.double(), 0, 1).min(),
            )
        )
        if progress is not None:
            progress(datum + 1)
    columns = [torch.stack(column, -1) for column in list(zip(*found, strict=True))[1:]]
    return Chains(torch.stack([part[0] for part in found], 1), *columns)


def _chain(
    density: JointDensity, centre: Tensor, tril: Tensor, start: Tensor, samples: int, warmup: int
) -> _Chain:
    """Run one chain of `samples` draws for one datum."""

    def potential(where: dict[str, Tensor]) -> Tensor:
        code = (centre + tril @ where["code"]).view(1, 1, -1)
        return -density.joint(code).squeeze().to(code.dtype)

    told: dict[str, float] = {}

    def listen(kernel: NUTS, _samples: object, stage: str, index: int) -> None:
        if stage == "Sample" and index == samples - 1:
            told.update((name, float(text)) for name, text in kernel.logging().items())

    kernel = NUTS(potential_fn=potential)
    with torch.enable_grad():
        mcmc = MCMC(
            kernel,
            samples,
            warmup_steps=warmup,
            initial_params={"code": start.clone()},
            hook_fn=listen,
            disable_progbar=True,
        )
        mcmc.run()
    drawn = mcmc.get_samples()["code"].detach()
    diverging = torch.zeros(samples, dtype=torch.bool, device=drawn.device)
    diverging[mcmc.diagnostics()["divergences"]["chain 0"]] = True
    return _Chain(centre + drawn @ tril.mT, diverging, told["acc. prob"], told["step size"])
