"""Draws of Markov chains in the form that ArviZ reads, with what its diagnostics say of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray
from arviz_stats.base.array import BaseArray
from torch import Tensor

from unbraid.inference import Program, Runner, posterior_chains

from .passes import undisturbed

DRAWN = ("chain", "draw", "datum")


def chain_tree(
    model: Program,
    guide: Program,
    args: tuple[Any, ...],
    *,
    draws: int,
    warmup: int,
    chains: int,
    seed: int,
    progress: Callable[[int], None] | None,
) -> xarray.DataTree:
    """Do what `posterior` says of chains."""
    settings: dict[str, Any] = {"draws": draws, "warmup": warmup, "chains": chains, "seed": seed}
    found = posterior_chains(model, guide, args, **settings, progress=progress)
    with undisturbed(model, guide, seed=seed):
        sites = Runner().run(model, args).sites
    codes = {name: value.cpu() for name, value in found.latents.items()}
    coordinates = {
        "chain": np.arange(chains),
        "draw": np.arange(draws),
        "datum": np.arange(len(args[0])),
    }
    by_chain = {"acceptance_rate": found.acceptance, "step_size": found.step_size}
    return xarray.DataTree.from_dict(
        {
            "posterior": xarray.Dataset(
                {name: variable(value, DRAWN, name) for name, value in codes.items()}, coordinates
            ),
            "sample_stats": xarray.Dataset(
                {
                    "diverging": (DRAWN, found.diverging.cpu().numpy()),
                    **{n: (("chain", "datum"), v.cpu().numpy()) for n, v in by_chain.items()},
                },
                coordinates,
            ),
            "log_likelihood": xarray.Dataset(
                {n: (DRAWN, value.cpu().numpy()) for n, value in found.log_likelihood.items()},
                coordinates,
            ),
            "observed_data": xarray.Dataset(
                {
                    name: variable(sites[name].value.cpu(), ("datum",), name)
                    for name in found.log_likelihood
                }
            ),
            "diagnostics": xarray.Dataset(
                {**_diagnostics(codes), "divergences": ("datum", _share(found.diverging))}
            ),
        }
    )


def _diagnostics(codes: dict[str, Tensor]) -> dict[str, Any]:
    """R-hat and bulk effective sample size of each coordinate, and of each datum's worst."""
    judge, told = BaseArray(), {}
    rows: dict[str, list[np.ndarray]] = {"r_hat": [], "ess": []}
    for name, value in codes.items():
        draws = value.double().numpy()
        of: dict[str, Any] = {
            "r_hat": judge.rhat(draws, chain_axis=0, draw_axis=1),
            "ess": judge.ess(draws, chain_axis=0, draw_axis=1),
        }
        dims = ("datum", *(f"{name}_dim_{i}" for i in range(value.dim() - 3)))
        for kind, numbers in of.items():
            told[f"{kind}_{name}"] = (dims, numbers)
            rows[kind].append(np.asarray(numbers).reshape(value.shape[2], -1))
    told["r_hat"] = ("datum", np.concatenate(rows["r_hat"], 1).max(1))
    told["effective_sample_size"] = ("datum", np.concatenate(rows["ess"], 1).min(1))
    return told


def _share(flags: Tensor) -> np.ndarray:
    return flags.double().mean((0, 1)).cpu().numpy()


def variable(value: Tensor, dims: Sequence[str], name: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return a tensor as a variable whose further dims are called by its name."""
    more = tuple(f"{name}_dim_{i}" for i in range(value.dim() - len(dims)))
    return (*dims, *more), value.numpy()
