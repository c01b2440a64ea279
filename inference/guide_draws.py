"""Samples of the guide in units of fixed size, whose noise depends on the seed and the unit alone.

However the work on the samples is cut into chunks, they are the same; and the first samples of
many are those of few.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .blocks import padded
from .eligibility import Layout
from .log_density import log_density
from .noise_seeds import mix, seed_noise
from .sites import Program, Runner, Site

UNIT = 32
"""Samples that are drawn at a time; a constant, because the noise depends on it."""


class Draw(NamedTuple):
    """Samples of one latent site.

    Args:
        site: The guide's site: its plates, and its `enum_dim` if its support is laid out instead
            of sampled.
        value: The samples, `(batch, event)`.
        log_q: Their log density under the guide, batch shape, nats; None where it is no part of
            the weight.
    """

    site: Site
    value: Tensor
    log_q: Tensor | None

    def narrow(self, dim: int, start: int, length: int) -> "Draw":
        """Keep a range along a batch dim, counted from the right."""
        value = _narrow(self.value, dim - len(self.site.fn.event_shape), start, length)
        log_q = None if self.log_q is None else _narrow(self.log_q, dim, start, length)
        return self._replace(value=value, log_q=log_q)


def _narrow(tensor: Tensor, dim: int, start: int, length: int) -> Tensor:
    if tensor.dim() < -dim or tensor.shape[dim] == 1:
        return tensor
    return tensor.narrow(dim, start, length)


def _join(draws: tuple[Draw, ...], dim: int) -> Draw:
    first = draws[0]
    if len(draws) == 1 or first.site.enum_dim is not None:
        return first
    value = torch.cat([draw.value for draw in draws], dim - len(first.site.fn.event_shape))
    densities = [draw.log_q for draw in draws if draw.log_q is not None]
    return first._replace(value=value, log_q=torch.cat(densities, dim) if densities else None)


class GuideDraws:
    """Draws of the guide for one block of data.

    Where the guide's distributions do not depend on what it sampled, it runs twice, to find that
    out, and its distributions are sampled from then on. Otherwise it runs for every unit.

    Args:
        guide: The inference program.
        block: Its arguments: at most 32 data. It runs on exactly as many, the last one repeated,
            because noise for fewer would be other noise.
        layout: How the pair is laid out.
        inner: Samples of the nested sites per sample of the others.
        seed: Seeds of the noise: the user's and the block's.
    """

    def __init__(
        self,
        guide: Program,
        block: tuple[Tensor, ...],
        layout: Layout,
        inner: int,
        seed: tuple[int, int],
    ) -> None:
        self._guide, self._args, self._count = guide, padded(block), len(block[0])
        self._layout, self._inner, self._seed = layout, inner, seed
        self.unit_size = max(2, UNIT // inner)
        self._first: dict[str, Site] = {}
        self._independent = False

    def units(self, first: int, count: int) -> list[Draw]:
        """Draw consecutive units; each sample's `inner` of the nested sites lie side by side."""
        units = [self._unit(index) for index in range(first, first + count)]
        dim = self._layout.particle_dim
        return [_join(draws, dim) for draws in zip(*units, strict=True)]

    def _unit(self, index: int) -> list[Draw]:
        return [draw.narrow(-self._layout.nesting, 0, self._count) for draw in self._whole(index)]

    def _whole(self, index: int) -> list[Draw]:
        """Draw a unit for all 32 data of the block."""
        seed_noise(mix(*self._seed), index, self._args[0].device)
        if self._independent and index > 1:
            return [self._draw(site, _sample(site)) for site in self._first.values()]
        sites = self._run_guide()
        if index == 0:
            self._first = sites
        elif index == 1 and self._inner == 1:
            self._independent = same_distributions(self._first, sites)
        return [self._draw(site, site.value) for site in sites.values()]

    def _run_guide(self) -> dict[str, Site]:
        nesting, enumerated = self._layout.nesting, self._layout.enumerated
        sites = Runner(nesting, self.unit_size, enumerated).run(self._guide, self._args).sites
        if self._inner == 1:
            return sites
        repeated = {
            name: site.value.repeat_interleave(
                self._inner, self._layout.particle_dim - len(site.fn.event_shape)
            )
            for name, site in sites.items()
            if site.enum_dim is None and name not in self._layout.nested
        }
        runner = Runner(nesting, self.unit_size * self._inner, enumerated)
        return runner.run(self._guide, self._args, repeated).sites

    def _draw(self, site: Site, value: Tensor) -> Draw:
        if site.enum_dim is not None:
            return Draw(site, value, None)
        return Draw(site, value, log_density(site._replace(value=value)))


def _sample(site: Site) -> Tensor:
    return site.value if site.enum_dim is not None else site.fn.sample()


def same_distributions(first: dict[str, Site], second: dict[str, Site]) -> bool:
    """Whether two runs of other noise met the same distributions: equal densities at points."""
    return all(
        torch.equal(site.fn.log_prob(site.value), second[name].fn.log_prob(site.value))
        for name, site in first.items()
        if site.enum_dim is None
    )
