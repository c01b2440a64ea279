"""The posteriors of many data at one latent site, beside the priors of the same data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unbraid.inference import Program

from .latents import by_kl
from .passes import (
    distribution_at,
    first_datum,
    is_discrete,
    prior_moments,
    run,
    sites_at_points,
    spread_of,
    undisturbed,
)
from .traversed import chosen_site, measured_kl

_CHUNK = 256  # images or frames in one pass


@dataclass(frozen=True)
class SiteCodes:
    """Moments of q and p at a site, float64 on the host.

    Attributes:
        site: Name of the site.
        mean: Means of q, `(N, K)`.
        scale: Standard deviations of q, `(N, K)`; 0 where the guide gives points.
        prior_mean: Means of p, `(N, K)`, which differ where the prior has conditions.
        prior_scale: Standard deviations of p, `(N, K)`.
        kl: Nats per dimension, `(K,)`, or `(0,)` where they are not known.
    """

    site: str
    mean: Tensor
    scale: Tensor
    prior_mean: Tensor
    prior_scale: Tensor
    kl: Tensor

    @property
    def order(self) -> list[int]:
        """The dimensions, the one of the highest divergence first."""
        return by_kl(self.kl, self.mean.shape[1])

    @property
    def is_point(self) -> bool:
        """Whether no posterior has any width."""
        return not bool(self.scale.any())

    @property
    def has_one_prior(self) -> bool:
        """Whether all data have the same prior."""
        parts = (self.prior_mean, self.prior_scale)
        return all(torch.allclose(part, part[:1].expand_as(part)) for part in parts)

    def draw(self, least: int, seed: int) -> Tensor:
        """Draw from the aggregate posterior, from each datum as often, at least so many in all.

        Returns:
            float64 `(M, K)`, from Normals of the means and standard deviations.
        """
        repeats = -(-least // len(self.mean))
        generator = torch.Generator().manual_seed(seed)
        mean, scale = self.mean.repeat(repeats, 1), self.scale.repeat(repeats, 1)
        return mean + scale * torch.randn(mean.shape, generator=generator, dtype=torch.float64)

    def name(self, dim: int) -> str:
        """What a dimension is called in pictures, with its divergence where that is known."""
        nats = f" ({self.kl[dim]:.2f} nats)" if len(self.kl) == self.mean.shape[1] else ""
        return f"{self.site}[{dim}]{nats}"


def site_codes(
    model: Program,
    guide: Program,
    args: tuple[Any, ...],
    latent: str | None = None,
    kl: Tensor | None = None,
    seed: int = 0,
) -> SiteCodes:
    """Return the moments of q and p of every datum at a site.

    Sites before it are at the mean of q, in both programs.

    Args:
        model: The generative program.
        guide: The inference program.
        args: The arguments of both, images `(N, C, H, W)` first.
        latent: The latent site; may be left out where only one has dimensions.
        kl: Nats by dimension; measured on `args` unless given.
        seed: Seed of what has to be sampled.

    Raises:
        ValueError: If there is no such site, or it has several codes per datum.
    """
    if kl is None:
        kl = measured_kl(model, guide, args, latent, seed)
    parts: list[tuple[Tensor, ...]] = []
    with undisturbed(model, guide, seed=seed):
        latent = chosen_site(run(model, guide, first_datum(args)), latent)
        for chunk in in_chunks(args):
            posterior = sites_at_points(guide, chunk)
            values = {name: site.value for name, site in posterior.items()}
            q, p = posterior[latent].fn, distribution_at(model, chunk, values, latent)
            spread = torch.zeros_like(values[latent]) if is_discrete(q) else spread_of(q)
            moments = (values[latent], spread, *prior_moments(p))
            parts.append(tuple(_flat(m, values[latent].shape, latent) for m in moments))
    mean, scale, prior_mean, prior_scale = (torch.cat(p) for p in zip(*parts, strict=True))
    return SiteCodes(latent, mean, scale, prior_mean, prior_scale, kl.cpu().double())


def in_chunks(args: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield the arguments of a bounded number of images or frames at a time."""
    size = max(1, _CHUNK // args[0].shape[1:-3].numel())
    for start in range(0, len(args[0]), size):
        yield picked(args, range(start, min(start + size, len(args[0]))))


def picked(args: tuple[Any, ...], rows: Sequence[int]) -> tuple[Any, ...]:
    """Return the arguments of some data; what is not per datum stays."""
    size = len(args[0])
    return tuple(
        a[torch.tensor(list(rows), device=a.device)]
        if isinstance(a, Tensor) and a.shape[:1] == (size,)
        else a
        for a in args
    )


def count_of(args: tuple[Any, ...], count: int) -> str:
    """Return so many images or sequences, in words."""
    datum = "image" if args[0].dim() == 4 else "sequence"
    return f"{count} {datum}{'' if count == 1 else 's'}"


def plane(codes: SiteCodes, dims: tuple[int, int] | None) -> tuple[int, int]:
    """Return the two dimensions of a picture: those that are asked for, or of the highest KL.

    Raises:
        ValueError: If the site has fewer than two dimensions, or not these.
    """
    count = codes.mean.shape[1]
    if dims is None and count > 1:
        across, up = codes.order[:2]
        return across, up
    if count < 2 or dims is None or dims[0] == dims[1] or not 0 <= min(dims) <= max(dims) < count:
        raise ValueError(
            f"dims is {dims} for site {codes.site!r} of {count} dimensions; expected two "
            f"different ones from 0 to {count - 1}. Of single ones see aggregate_posterior_figure."
        )
    return dims


def _flat(moment: Tensor, shape: torch.Size, site: str) -> Tensor:
    values = moment.expand(shape).cpu().double()
    if values.dim() > 2 and values.shape[1:-1].numel() == 1:
        values = values.reshape(len(values), -1)
    if values.dim() != 2:
        raise ValueError(
            f"site {site!r} has codes {tuple(values.shape)}; expected one per datum, (N, K). Of "
            "the codes of frames see trajectory_figure and prior_figure."
        )
    return values
