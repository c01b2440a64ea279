"""The No-U-Turn sampler on the codes of one image after the other, given its seen pixels.

Source: Hoffman & Gelman (2014), https://arxiv.org/abs/1111.4246, in Pyro's implementation.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from pyro.infer import MCMC, NUTS
from pyro.ops.stats import effective_sample_size, split_gelman_rubin
from torch import Tensor
from torch.distributions import MultivariateNormal

from .device import mix, seed_noise
from .masked_density import MaskedDensity
from .masked_fills import Fills

FEWEST = 10
"""Draws of a chain without which its diagnostics say nothing."""


class Chains(NamedTuple):
    """Draws of `B` images' codes by Markov chains, and what they say of themselves.

    Args:
        vectors: Codes `(S, B, K)`, the draws of one chain after those of another.
        r_hat: Largest split R-hat of a coordinate, float64 `(B,)`.
        divergences: Share of the draws that end a divergent path, float64 `(B,)`.
        effective_sample_size: Smallest of a coordinate, float64 `(B,)`.
    """

    vectors: Tensor
    r_hat: Tensor
    divergences: Tensor
    effective_sample_size: Tensor


def run_chains(
    density: MaskedDensity,
    fills: Fills,
    normal: MultivariateNormal,
    *,
    samples: int,
    chains: int,
    warmup: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Chains:
    """Run chains for each image, from codes of different fills.

    Args:
        density: The density to draw from.
        fills: What the guide says of each fill: chains start at its means.
        normal: Near the posterior, batch `(B,)`: chains move in coordinates in which it is a
            standard normal, so that paths are short; they are free to leave it.
        samples: Number `S` of draws of an image, a multiple of `chains`.
        chains: Number of chains of an image.
        warmup: Moves of each chain that adapt the step size and the mass, and are thrown away.
        seed: Seed of the noise.
        progress: Called with the number of images done.
    """
    found = []
    for image in range(fills.loc.shape[1]):
        one = density.of(image)
        centre, tril = normal.loc[image], normal.scale_tril[image]
        starts = torch.linalg.solve_triangular(
            tril, (fills.loc[:, image] - centre).mT, upper=False
        ).mT
        draws, divergences = [], 0
        for chain in range(chains):
            seed_noise(mix(seed, image), chain, starts.device)
            start = starts[chain % len(starts)]
            drawn, diverged = _chain(one, centre, tril, start, samples // chains, warmup)
            draws.append(drawn)
            divergences += diverged
        vectors = torch.stack(draws)
        found.append(
            (
                vectors.flatten(0, 1),
                split_gelman_rubin(vectors.double(), 0, 1).max(),
                torch.tensor(divergences / samples, dtype=torch.float64, device=vectors.device),
                effective_sample_size(vectors.double(), 0, 1).min(),
            )
        )
        if progress is not None:
            progress(image + 1)
    vectors, *diagnostics = zip(*found, strict=True)
    return Chains(torch.stack(vectors, 1), *(torch.stack(column) for column in diagnostics))


def _chain(
    density: MaskedDensity, centre: Tensor, tril: Tensor, start: Tensor, samples: int, warmup: int
) -> tuple[Tensor, int]:
    """Draws `(samples, K)` of one chain for one image, and how many paths diverged."""

    def potential(where: dict[str, Tensor]) -> Tensor:
        code = (centre + tril @ where["code"]).view(1, 1, -1)
        return -density.joint(code).squeeze().to(code.dtype)

    kernel = NUTS(potential_fn=potential)
    with torch.enable_grad():
        mcmc = MCMC(
            kernel,
            samples,
            warmup_steps=warmup,
            initial_params={"code": start.clone()},
            disable_progbar=True,
        )
        mcmc.run()
    drawn = mcmc.get_samples()["code"].detach()
    return centre + drawn @ tril.mT, len(mcmc.diagnostics()["divergences"]["chain 0"])
