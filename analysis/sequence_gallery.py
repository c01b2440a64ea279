"""All pictures that a pair of sequences allows, in the order in which a report shows them."""

from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .charts import kl_chart
from .clips import clip_reconstructions
from .dynamic_manifold import dynamic_manifold
from .frames_between import frames_between
from .new_sequences import new_frames, new_identities
from .passes import takes_frames
from .pictures import traversals
from .prior_figure import prior_figure
from .sequence_codes import SITES, SequenceSites, checked_sequences, chosen, codes_of
from .sequence_decoding import model_sites
from .sequence_layout import spread
from .sequence_neighbours import nearest_neighbours
from .swaps import swap_figure
from .trajectory import trajectory_figure

IDENTITIES = 5


def sequence_gallery(
    model: Program,
    guide: Program,
    *args: Any,
    kl: Mapping[str, Tensor] | None = None,
    active: Mapping[str, Tensor] | None = None,
    sites: SequenceSites | None = None,
    seed: int = 0,
) -> dict[str, Figure]:
    """Draw swaps, the decoded plane of dynamics, priors, new sequences, neighbours and more.

    Args:
        model: The generative program.
        guide: The inference program.
        *args: The arguments of both: sequences `(S, T, C, H, W)`, in the order of time, and their
            lengths `(S,)` where they are ragged. Neighbours are sought among all of them.
        kl: Nats by dimension, by latent site, from `kl_per_dimension`; measured on `args` unless
            given, without a chart.
        active: Active dimensions by site, from `active_units`.
        sites: The names of the pair's sites; what `sequence_sites` finds unless given.
        seed: Seed of the samples.

    Returns:
        Figures by name: `kl`, `swaps`, `dynamics`, `prior`, `trajectory`, `clips`,
        `between`, `new_frames`, `identities`, `neighbours`, `traversals-STATIC` and
        `traversals-DYNAMIC`. Without `kl` there is no chart of it; `dynamics` and `prior` need two
        dynamic dimensions, `swaps` and `neighbours` two sequences, `between` two frames.
        Where static codes have no coordinates nothing is shown of them. Of codes that are points
        no prior was trained, so there is no `dynamics`, `prior`, `new_frames` and `identities`.
        None at all where the model has no such sites, or takes no frames.

    Raises:
        ValueError: If the arguments hold no sequences.
    """
    if not takes_frames(model):
        return {}
    sites = sequence_sites(model) if sites is None else sites
    if not {sites.static, sites.dynamic, sites.observed} <= model_sites(model).keys():
        return {}
    size = len(checked_sequences(args))
    codes = codes_of(model, guide, args, sites, seed)
    own = (kl or {}).get(sites.dynamic)
    common = {"sites": sites, "seed": seed}
    points = not (codes.dynamic_scale.any() or codes.static_scale.any())
    told = codes.static.shape[-1] > 0
    charted = {name: nats for name, nats in (kl or {}).items() if len(nats)}
    figures = {"kl": kl_chart(charted, active)} if charted else {}
    if size > 1 and told:
        statics = chosen(args, spread(size - 1, IDENTITIES))
        figures["swaps"] = swap_figure(model, guide, statics, chosen(args, [size - 1]), **common)
    if codes.dynamic.shape[-1] > 1 and not points:
        figures["dynamics"] = dynamic_manifold(model, guide, *args, kl=own, **common)
        figures["prior"] = prior_figure(model, guide, *args, kl=own, **common)
    longest = int(torch.argmax(codes.lengths))
    figures["trajectory"] = trajectory_figure(
        model, guide, *args, sequence=longest, kl=own, **common
    )
    figures["clips"] = clip_reconstructions(model, guide, *args, **common)
    if int(codes.lengths[longest]) > 1:
        figures["between"] = frames_between(
            model, guide, *args, sequence=longest, codes=codes, **common
        )
    if not points:
        figures["new_frames"] = new_frames(model, guide, *args, **common)
        figures["identities"] = new_identities(model, **common)
    if size > 1 and told:
        figures["neighbours"] = nearest_neighbours(model, guide, *args, codes=codes, **common)
    for name in (sites.static, sites.dynamic) if told else (sites.dynamic,):
        held = (sites.static, *sites.of_frames)
        moved = {"latent": name, "held": held, "site": sites.observed, "seed": seed}
        if kl is not None:
            moved["kl"] = kl.get(name)
        figures[f"traversals-{name}"] = traversals(model, guide, *chosen(args, [0]), **moved)
    return figures


def sequence_sites(model: Program) -> SequenceSites:
    """Return the sites of a model of sequences by their usual names.

    Layers of a frame's codes, such as `dynamic_2` and `dynamic_1`, are taken in the order of the
    model: planes are of the first, and the others go with it.

    Args:
        model: The generative program, called as `model(size=B, frames=1)`.

    Returns:
        `static`, `x` and `dynamic`, unless there are layers in its place.

    Raises:
        ValueError: If the model samples no sequences.
    """
    layers = [name for name in model_sites(model) if name.startswith(f"{SITES.dynamic}_")]
    if layers and SITES.dynamic not in model_sites(model):
        return SITES._replace(dynamic=layers[0], layers=tuple(layers[1:]))
    return SITES
