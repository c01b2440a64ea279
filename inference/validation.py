"""The bound on held-out data, for early stopping and for choosing hyper-parameters."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from .noise_seeds import mix
from .objective import Objective
from .sites import Program, modules_of
from .terms import Terms
from .untouched import untouched


@torch.no_grad()
def validation_bound(
    model: Program,
    guide: Program,
    batches: Iterable[Mapping[str, Any]],
    keys: tuple[str, ...] = ("x",),
    seed: int = 0,
) -> float:
    """Mean evidence lower bound at unit weights and without hooks, nats per datum.

    Its noise depends on `seed` alone, so bounds of different steps and runs share it.

    Args:
        model: The generative program.
        guide: The inference program.
        batches: One pass over the data.
        keys: Keys of a batch that the pair takes, in order.
        seed: 0 to 2**32 - 1.

    Raises:
        ValueError: If there is no batch, or the guide gives points, which have no bound.
    """
    objective = Objective()
    total, count = 0.0, 0
    for i, batch in enumerate(batches):
        args = tuple(batch[key] for key in keys)
        devices = [args[0].device] if args[0].is_cuda else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(mix(seed, i))
            terms = objective.terms(model, guide, args)
        _refuse_points(terms)
        total += float(terms.elbo.double().sum())
        count += terms.size
    if not count:
        raise ValueError("validation has 0 batches; expected at least 1, anew at each iteration")
    return total / count


@torch.no_grad()
def require_bound(
    objective: Objective, model: Program, guide: Program, args: tuple[Any, ...]
) -> None:
    """Run a pair once, with nothing changed by it, and refuse it where it has no bound.

    Args:
        objective: The objective that it is trained with.
        model: The generative program.
        guide: The inference program.
        args: The arguments of both.

    Raises:
        ValueError: If the guide gives points.
    """
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    with untouched(modules_of(model, guide), tensors, []):
        _refuse_points(objective.terms(model, guide, args))


def _refuse_points(terms: Terms) -> None:
    if terms.points:
        raise ValueError(
            f"guide site {terms.points[0]!r} is a point (Delta) where the model has a density, so "
            "that there is no bound to validate; expected no validation. Leave it out"
        )
