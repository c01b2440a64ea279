"""What the latent sites of a pair carry: divergence by dimension, active units, codes."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unbraid.inference import Program, Terms, require_tensors

from .passes import (
    is_discrete,
    run,
    shared_latents,
    sites_at_points,
    spread_of,
    undisturbed,
)

Batch = Tensor | tuple[Any, ...]
"""Images `(B, C, H, W)`, or all arguments of the pair, images first."""


def kl_per_dimension(
    model: Program, guide: Program, batches: Iterable[Batch], seed: int = 0
) -> dict[str, Tensor]:
    """Average each latent dimension's divergence of the guide from the prior.

    Args:
        model: The generative program.
        guide: The inference program.
        batches: Batches of data, at least one.
        seed: Seed of what the guide samples.

    Returns:
        By latent site, float64 `(K,)`, nats per datum, mean over data and sum over frames. Where
        q or p does not factorise over dimensions, `(1,)`: the divergence of the site. Analytic
        where torch has a closed form, else at the guide's samples. Sites that are points in the
        guide alone have none and are left out.

    Raises:
        ValueError: If there are no batches.
    """
    sums: dict[str, Tensor] = {}
    count = 0
    with undisturbed(model, guide, seed=seed):
        for batch in batches:
            terms = run(model, guide, arguments(batch))
            count += terms.size
            for name in shared_latents(terms):
                if terms[name].is_point:
                    continue
                divergence = _divergence(terms, name)
                sums[name] = sums[name] + divergence if name in sums else divergence
    _require(count)
    return {name: total / count for name, total in sums.items()}


def posterior_means(
    model: Program, guide: Program, batches: Iterable[Batch], seed: int = 0
) -> dict[str, Tensor]:
    """Return the code of every datum.

    Args:
        model: The generative program.
        guide: The inference program.
        batches: Batches of data, at least one.
        seed: Seed of what the guide samples, for guides whose sites depend on each other.

    Returns:
        By latent site, on the host, `(N, K)`, of sequences `(N, T, K)`: the mean of q, its mode
        where the site is discrete, a sample where q has neither. Of ragged sequences they hold
        padding too; see `sequence_codes`.

    Raises:
        ValueError: If there are no batches.
    """
    codes = _codes(model, guide, batches, seed)
    return {name: code for name, (code, _, _) in codes.items()}


def posterior_moments(
    model: Program, guide: Program, batches: Iterable[Batch], seed: int = 0
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean and standard deviation of q for every datum.

    Args:
        model: The generative program.
        guide: The inference program.
        batches: Batches of data, at least one.
        seed: Seed of what the guide samples, where it has no mean.

    Returns:
        By continuous latent site of one event dimension, on the host: means as
        `posterior_means`, and standard deviations of the same shape, 0 where q has none, given
        that the sites before it are at their means.

    Raises:
        ValueError: If there are no batches.
    """
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {}
    count = 0
    with undisturbed(model, guide, seed=seed):
        for batch in batches:
            count += 1
            for name, site in sites_at_points(guide, arguments(batch)).items():
                if is_discrete(site.fn) or len(site.fn.event_shape) != 1:
                    continue
                moments = site.value.cpu(), spread_of(site.fn).cpu()
                parts.setdefault(name, []).append(moments)
    _require(count)
    return {
        name: (torch.cat([mean for mean, _ in of]), torch.cat([scale for _, scale in of]))
        for name, of in parts.items()
    }


def active_units(
    model: Program,
    guide: Program,
    batches: Iterable[Batch],
    threshold: float = 0.01,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Say which latent dimensions depend on the data: the variance of the posterior mean is large.

    Source: Burda et al. (2016), https://arxiv.org/abs/1509.00519, section 2 of its experiments.

    Args:
        model: The generative program.
        guide: The inference program.
        batches: Batches of data, at least two data.
        threshold: Variance over the data above which a dimension is active; the paper's 0.01.
        seed: Seed of what the guide samples.

    Returns:
        By continuous latent site with coordinates, bool `(K,)`; of sequences, frames count as
        data, and those that the guide masks do not.

    Raises:
        ValueError: If there are fewer than two data.
    """
    active = {}
    for name, (code, discrete, mask) in _codes(model, guide, batches, seed).items():
        if len(code) < 2:
            raise ValueError(
                f"batches hold {len(code)} datum; expected at least 2. A variance needs two."
            )
        if not discrete and code.numel():
            values = code[mask].reshape(-1, code.shape[-1] if code.dim() > 1 else 1).double()
            active[name] = values.var(0, correction=0) > threshold
    return active


def by_kl(kl: Tensor, dims: int) -> list[int]:
    """Return the dimensions of a site, the one of the highest divergence first.

    Args:
        kl: Nats by dimension, `(K,)`; any other length leaves the order as it is.
        dims: Number `K` of dimensions.
    """
    if len(kl) != dims:
        return list(range(dims))
    return torch.argsort(kl, descending=True, stable=True).tolist()


def arguments(batch: Batch) -> tuple[Any, ...]:
    """Return a batch as the arguments of a pair."""
    if isinstance(batch, np.ndarray):
        require_tensors((batch,))
    return (batch,) if isinstance(batch, Tensor) else tuple(batch)


def _divergence(terms: Terms, name: str) -> Tensor:
    """Divergence of a site summed over data: by dimension `(K,)`, or `(1,)`."""
    split = terms[name].kl_per_dimension
    columns = [terms[name].kl] if split is None else list(split.unbind(-1))
    sums = [terms.per_datum(column).cpu().double().sum() for column in columns]
    return torch.stack(sums) if sums else torch.zeros(0, dtype=torch.float64)


def _codes(
    model: Program, guide: Program, batches: Iterable[Batch], seed: int
) -> Mapping[str, tuple[Tensor, bool, Tensor]]:
    """Codes by site, whether the site is discrete, and which of its codes the guide counts."""
    parts: dict[str, list[Tensor]] = {}
    masks: dict[str, list[Tensor]] = {}
    discrete: dict[str, bool] = {}
    with undisturbed(model, guide, seed=seed):
        for batch in batches:
            args = arguments(batch)
            if not parts:  # which sites the two share; later batches need not be decoded
                terms = run(model, guide, args)
                discrete = {name: is_discrete(terms[name].p) for name in shared_latents(terms)}
            sites = sites_at_points(guide, args)
            for name in discrete:
                site = sites[name]
                parts.setdefault(name, []).append(site.value.cpu())
                counted = torch.ones(
                    site.value.shape[: site.value.dim() - len(site.fn.event_shape)]
                )
                if site.mask is not None:
                    counted *= torch.as_tensor(site.mask).cpu()
                masks.setdefault(name, []).append(counted.bool())
    _require(len(parts))
    return {
        name: (torch.cat(codes), discrete[name], torch.cat(masks[name]))
        for name, codes in parts.items()
    }


def _require(count: int) -> None:
    if not count:
        raise ValueError("batches is empty; expected at least one batch. Give some data.")
