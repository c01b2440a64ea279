"""Where annealing starts: the prior, the guide, or a Normal fitted to draws of the guide."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from .blocks import BLOCK, padded
from .check import PairError
from .continuous import ContinuousModel
from .eligibility import layers_of
from .flat_latents import FlatLatents
from .noise_seeds import mix, seed_noise
from .sites import Program, Runner, Site

UNIT = 32
"""Draws that are made at a time; a constant, because the noise depends on it."""
FITTED = 256
"""Draws of an implicit guide that a Normal is fitted to."""
_AT_A_TIME = 8
"""Of those, how many for each of a block's data in one run of the guide."""

Blocks = Sequence[tuple[int, tuple[Tensor, ...]]]
"""Blocks of data with their numbers, which the noise depends on."""


class Start(Protocol):
    """A distribution of vectors `(B, K)` that can be drawn from and has a density."""

    def draw(self, count: int, seed: int, stage: int) -> Tensor:
        """Draw `(count, B, K)`; the noise depends on the seed, the stage and the block."""
        ...

    def log_density(self, vectors: Tensor, values: dict[str, Tensor], jacobian: Tensor) -> Tensor:
        """Log density `(C, B)` of vectors, in nats; the values are those that they stand for."""
        ...


class ProgramStart:
    """A program's latent sites as it draws them itself.

    Args:
        program: The model, or a guide whose distributions depend on the data alone.
        latents: How the sites are laid out.
        blocks: The data.
        densities: The guide's distributions by site, batch `(B,)`; None for the model, whose prior
            is evaluated with the rest of it.
    """

    def __init__(
        self,
        program: Program,
        latents: FlatLatents,
        blocks: Blocks,
        densities: dict[str, Distribution] | None = None,
    ) -> None:
        self._program, self._latents, self._blocks = program, latents, blocks
        self.densities = densities

    def draw(self, count: int, seed: int, stage: int) -> Tensor:
        """Draw `(count, B, K)`; the noise depends on the seed, the stage and the block."""
        return torch.cat([self._draw(*block, count, seed, stage) for block in self._blocks], 1)

    def _draw(
        self, index: int, block: tuple[Tensor, ...], count: int, seed: int, stage: int
    ) -> Tensor:
        args, units = padded(block), []
        for unit in range(-(-count // UNIT)):
            seed_noise(mix(seed, index, stage), unit, args[0].device)
            sites = Runner(1, UNIT).run(self._program, args).sites
            units.append(self._latents.vectors({name: site.value for name, site in sites.items()}))
        return torch.cat(units)[:count, : len(block[0])]

    def log_density(self, vectors: Tensor, values: dict[str, Tensor], jacobian: Tensor) -> Tensor:
        """Log density `(C, B)` of vectors, in nats; the values are those that they stand for."""
        if self.densities is None:
            raise RuntimeError("the prior's density is evaluated with the model")
        return jacobian + sum(fn.log_prob(values[name]) for name, fn in self.densities.items())


class NormalStart:
    """Normals with independent coordinates.

    Args:
        loc: Means `(B, K)`.
        scale: Standard deviations `(B, K)`.
        blocks: The data.
    """

    def __init__(self, loc: Tensor, scale: Tensor, blocks: Blocks) -> None:
        self._normal, self._blocks = Normal(loc, scale), blocks

    def draw(self, count: int, seed: int, stage: int) -> Tensor:
        """Draw `(count, B, K)`; the noise depends on the seed, the stage and the block."""
        noise = NoiseOfBlocks(self._blocks, seed, stage)
        loc = self._normal.loc
        standard = noise.normal(count, loc.shape[-1], loc.dtype)
        return loc + self._normal.scale * standard

    def log_density(self, vectors: Tensor, values: dict[str, Tensor], jacobian: Tensor) -> Tensor:
        """Log density `(C, B)` of vectors, in nats; the values are those that they stand for."""
        return self._normal.log_prob(vectors).sum(-1)


class NoiseOfBlocks:
    """Noise whose numbers depend on the seed, the stage and the block, not on the company.

    Args:
        blocks: The data.
        seed: The user's seed.
        stage: What the noise is for.
    """

    def __init__(self, blocks: Blocks, seed: int, stage: int) -> None:
        self._sizes = [len(block[0]) for _, block in blocks]
        self._generators = []
        for index, block in blocks:
            generator = torch.Generator(block[0].device)
            self._generators.append(generator.manual_seed(mix(seed, index, stage)))

    def normal(self, chains: int, dimension: int, dtype: torch.dtype) -> Tensor:
        """Standard normal noise `(chains, B, dimension)`."""
        return self._cat(torch.randn, (dimension,), chains, dtype)

    def uniform(self, chains: int) -> Tensor:
        """Uniform noise in [0, 1), float64 `(chains, B)`."""
        return self._cat(torch.rand, (), chains, torch.float64)

    def _cat(self, draw: Any, event: tuple[int, ...], chains: int, dtype: torch.dtype) -> Tensor:
        parts = []
        for size, generator in zip(self._sizes, self._generators, strict=True):
            shape = (chains, BLOCK, *event)
            noise = draw(shape, generator=generator, dtype=dtype, device=generator.device)
            parts.append(noise[:, :size])
        return torch.cat(parts, 1)


def guide_start(
    guide: Program, model: ContinuousModel, blocks: Blocks, seed: int, stage: int
) -> Start:
    """Start at the guide where it has a density, else at a Normal with its draws' moments.

    It has one that can be used where its distributions depend on the data alone. A guide whose
    codes are functions of noise, or whose second code depends on its first, is fitted.

    Args:
        guide: The inference program.
        model: What it is the guide of.
        blocks: The data.
        seed: The user's seed.
        stage: What the fit's noise is for.

    Raises:
        PairError: If the guide lacks a latent site of the model.
        ValueError: If its codes are the same at every draw.
    """
    args = tuple(torch.cat(entries) for entries in zip(*(b for _, b in blocks), strict=True))
    first, second = (dict(_guide_sites(guide, model, args)) for _ in range(2))
    if all(_same(first[name], second[name]) for name in first):
        densities = {name: site.fn for name, site in first.items()}
        return ProgramStart(guide, model.latents, blocks, densities)
    moments = [_moments(guide, model, index, block, seed, stage) for index, block in blocks]
    loc, scale = (torch.cat(parts) for parts in zip(*moments, strict=True))
    # Equal draws in float32 do not have exactly their mean.
    if not bool((scale > 1e-5 * (1 + loc.abs())).all()):
        raise ValueError(
            "start is 'guide', but the guide's codes do not vary from draw to draw; expected a "
            "distribution to start at. Use start='prior'"
        )
    return NormalStart(loc, scale, blocks)


def _guide_sites(
    guide: Program, model: ContinuousModel, args: tuple[Tensor, ...]
) -> Iterator[tuple[str, Site]]:
    sites = Runner().run(guide, args).sites
    for name in model.latents.names:
        if name not in sites:
            raise PairError(
                f"latent site {name!r} is in the model but not in the guide, which has "
                f"{', '.join(map(repr, sites)) or 'no sites'}. Sample {name!r} in the guide too, "
                "or use start='prior'"
            )
        yield name, sites[name]


def _same(first: Site, second: Site) -> bool:
    """Whether two runs of other noise met one distribution with a density."""
    if any(type(fn).__name__ == "Delta" for fn in layers_of(first.fn)):
        return False
    value = first.value
    return torch.equal(first.fn.log_prob(value), second.fn.log_prob(value))


def _moments(
    guide: Program,
    model: ContinuousModel,
    index: int,
    block: tuple[Tensor, ...],
    seed: int,
    stage: int,
) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of a block's codes, `(B, K)`."""
    # Each draw is of a copy of the data: so noise that is no site is drawn anew as well.
    copies = tuple(torch.cat([entry] * _AT_A_TIME) for entry in padded(block))
    draws = []
    for unit in range(FITTED // _AT_A_TIME):
        seed_noise(mix(seed, index, stage), unit, copies[0].device)
        values = {name: site.value for name, site in _guide_sites(guide, model, copies)}
        draws.append(model.latents.vectors(values).unflatten(0, (_AT_A_TIME, -1)))
    codes = torch.cat(draws)[:, : len(block[0])]
    return codes.mean(0), codes.std(0)
