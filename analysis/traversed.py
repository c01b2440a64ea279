"""Which latent sites can be traversed, and what their dimensions carry."""

from typing import Any

import torch
from torch import Tensor

from unbraid.inference import Program, Terms

from .latents import kl_per_dimension
from .passes import first_datum, is_discrete, run, shared_latents, undisturbed


def traversed_sites(terms: Terms) -> tuple[str, ...]:
    """Return the latent sites that have dimensions to move along: continuous, event `(K,)`."""
    return tuple(
        name
        for name in shared_latents(terms)
        if len(terms[name].p.event_shape) == 1 and not is_discrete(terms[name].p)
    )


def chosen_site(terms: Terms, latent: str | None) -> str:
    """Return the site to traverse: the one that is named, or the only one.

    Raises:
        ValueError: If there is no such site, or none is named and there are several.
    """
    names = traversed_sites(terms)
    if latent is None and len(names) == 1:
        return names[0]
    if latent not in names:
        raise ValueError(
            f"latent is {latent!r}; expected one of {', '.join(names) or '(none)'}. "
            "Name a continuous latent site whose event is (K,)."
        )
    return latent


def measured_kl(
    model: Program, guide: Program, args: tuple[Any, ...], latent: str | None, seed: int
) -> Tensor:
    """Return the nats by dimension `(K,)` of the chosen site, measured on the arguments.

    Of a site that is a point in the guide there are none, `(0,)`.
    """
    with undisturbed(model, guide, seed=seed):
        latent = chosen_site(run(model, guide, first_datum(args)), latent)
    return kl_per_dimension(model, guide, [args], seed).get(latent, torch.empty(0))
