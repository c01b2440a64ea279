"""Pictures of a pair as a whole and of its codes: graph, interpolations, where codes lie."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .aggregate_posterior import aggregate_posterior_figure
from .code_factor_figure import code_factor_figure
from .factor_kinds import which_discrete
from .graph_figure import graph_figure
from .interpolation import interpolation
from .latent_scatter import latent_scatter
from .passes import first_datum, run, takes_frames, undisturbed
from .posterior_ellipses import posterior_ellipses
from .score_inputs import Values, host_array
from .site_codes import SiteCodes, picked, site_codes
from .traversed import traversed_sites

TRACED = 2  # data with which the graph is read
FEWEST = 3  # data whose codes are drawn
MOST_CODES = 16


def code_gallery(
    model: Program,
    guide: Program,
    *args: Any,
    kl: Mapping[str, Tensor],
    labels: Values | None = None,
    label_names: Sequence[str] = (),
    label_title: str = "label",
    factors: Values | None = None,
    factor_names: Sequence[str] = (),
    discrete: Sequence[bool] | None = None,
    site: str = "x",
    seed: int = 0,
) -> dict[str, Figure]:
    """Draw the graph of a pair, interpolations, and the codes of each latent site.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both, images `(N, C, H, W)` or sequences first. The more data, the
            better the codes of all are shown.
        kl: Nats by dimension, by latent site, from `kl_per_dimension`.
        labels: Classes or numbers `(N,)`, by which codes are coloured.
        label_names: Name of each class.
        label_title: What the labels are.
        factors: Classes or numbers `(N, F)`; -1 is an unknown class, NaN an unknown number. Data
            of which not all are known, and factors of one value, are left out.
        factor_names: Name of each factor.
        discrete: Which factors are classes.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Returns:
        Figures by name: `graph`; `interpolations`, of two data or more; per latent site with a
        code per datum, of three data or more, `codes-SITE` and `posteriors-SITE` (of two
        dimensions or more; no posteriors of codes that are points), `aggregate-SITE` (not of
        sequences whose codes are points, which have no trained prior) and, with factors,
        `factors-SITE`.
    """
    figures = {
        "graph": graph_figure(model, guide, *picked(args, range(min(TRACED, len(args[0])))))
    }
    with undisturbed(model, guide, seed=seed):
        terms = run(model, guide, first_datum(args))
    # Of codes of frames there are pictures in sequence_gallery.
    names = [n for n in traversed_sites(terms) if terms[n].value.shape[1:-1].numel() == 1]
    if site in terms and names and len(args[0]) > 1:
        figures["interpolations"] = interpolation(
            model, guide, *args, latents=names, site=site, seed=seed
        )
    if len(args[0]) < FEWEST:
        return figures
    for name in names:
        nats = kl.get(name, torch.empty(0))
        codes = site_codes(model, guide, args, name, nats, seed)
        own: dict[str, Any] = {"codes": codes, "seed": seed}
        if codes.mean.shape[1] > 1:
            told = {"labels": labels, "label_names": label_names, "label_title": label_title}
            figures[f"codes-{name}"] = latent_scatter(model, guide, *args, **told, **own)
            if not codes.is_point:
                figures[f"posteriors-{name}"] = posterior_ellipses(model, guide, *args, **own)
        if not (codes.is_point and takes_frames(model)):
            figures[f"aggregate-{name}"] = aggregate_posterior_figure(model, guide, *args, **own)
        drawn = None if factors is None else _factors(codes, factors, factor_names, discrete)
        if drawn is not None:
            figures[f"factors-{name}"] = drawn
    return figures


def _factors(
    codes: SiteCodes, factors: Values, names: Sequence[str], discrete: Sequence[bool] | None
) -> Figure | None:
    """Codes against factors, of the data of which all are known; None where none varies there."""
    values = host_array(factors)
    is_class = which_discrete(values, discrete, values.shape[1])
    known = ~np.isnan(values)
    known[:, is_class] &= values[:, is_class] >= 0
    rows = known.all(1)
    varies = [len(np.unique(column)) > 1 for column in values[rows].T]
    if not any(varies):
        return None
    return code_factor_figure(
        codes.mean.numpy()[rows],
        values[rows][:, varies],
        factor_names=[name for name, is_kept in zip(names, varies, strict=False) if is_kept],
        discrete=is_class[varies].tolist(),
        site=codes.site,
        order=codes.order[:MOST_CODES],
    )
