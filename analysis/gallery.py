"""All pictures that a pair allows, in the order in which a report shows them."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from unbraid.inference import Program

from .alignment import align, alignment_figure
from .charts import kl_chart
from .passes import first_data, first_datum, no_samples, run, takes_frames, undisturbed
from .pictures import manifold, prior_samples, reconstructions, traversals
from .recombination import transfer_figure
from .traversed import traversed_sites
from .warp_figures import deformation_figure, gamma_figure
from .warped import is_warp_model

PAIRS, SAMPLES = 16, 64
APPEARANCES, PERSPECTIVES, LATTICES = 6, 8, 10


def gallery(
    model: Program,
    guide: Program,
    *args: Any,
    kl: Mapping[str, Tensor],
    active: Mapping[str, Tensor] | None = None,
    site: str = "x",
    seed: int = 0,
) -> dict[str, Figure]:
    """Draw divergences, reconstructions, samples, traversals and decoded planes.

    Args:
        model: The generative program; `model(None, *conditions, size=B)` samples.
        guide: The inference program.
        *args: The arguments of both, images `(B, C, H, W)` first; the first 16 are
            reconstructed, and the first 64 data's further arguments condition the samples.
        kl: Nats by dimension, by latent site, from `kl_per_dimension`.
        active: Active dimensions by site, from `active_units`.
        site: The site of the images.
        seed: Seed of the samples.

    Returns:
        Figures by name: `kl`, `reconstructions`, where codes have a prior `samples`, and per
        latent site `traversals-SITE` and, with two dimensions or more, `manifold-SITE`.
    """
    with undisturbed(model, guide, seed=seed):
        terms = run(model, guide, first_datum(args))
        dims = {name: terms[name].p.event_shape[0] for name in traversed_sites(terms)}
    shown = first_data(args, PAIRS)
    # The lengths of sequences are no conditions of samples, which are single frames.
    conditions = () if takes_frames(model) else first_data(args, SAMPLES)[1:]
    drawn = min(len(args[0]), SAMPLES) if conditions else SAMPLES
    common = {"site": site, "seed": seed}
    figures = {"kl": kl_chart(kl, active)} if kl else {}
    if site not in terms:  # such as of a classifier without a decoder
        return figures
    figures["reconstructions"] = reconstructions(model, guide, *shown, **common)
    if no_samples({name: term.model_site for name, term in terms.items()}, site) is None:
        figures["samples"] = prior_samples(model, drawn, *conditions, **common)
    for name, count in dims.items():
        chosen = {"latent": name, "kl": kl.get(name), **common}
        figures[f"traversals-{name}"] = traversals(model, guide, *args, **chosen)
        if count > 1:
            figures[f"manifold-{name}"] = manifold(model, guide, *args, **chosen)
    return figures


def warp_gallery(
    model: Program,
    guide: Program,
    images: Tensor,
    *,
    labels: Tensor | None = None,
    site: str = "x",
    seed: int = 0,
) -> dict[str, Figure]:
    """Draw what a model that warps turns out of images, how it recombines them, and its warps.

    Args:
        model: The generative program.
        guide: The inference program, called with images alone.
        images: Images `(N, C, H, W)`; all are aligned, and the first 14 are recombined.
        labels: Classes `(N,)`, for mean images by class.
        site: The site of the images.
        seed: Seed of what has to be sampled.

    Returns:
        Figures by name: `alignment`, `transfer`, `warps` and `lattices`; none where the model is
        no `WarpModel`.
    """
    if not is_warp_model(model):
        return {}
    aligned = align(model, guide, images, labels=labels, seed=seed)
    size = images.shape[-2:]
    # Of fewer images than both need, some give their appearance and their perspective.
    appearances, perspectives = images[:APPEARANCES], images[-PERSPECTIVES:]
    if len(images) > APPEARANCES + PERSPECTIVES:
        perspectives = images[APPEARANCES : APPEARANCES + PERSPECTIVES]
    return {
        "alignment": alignment_figure(aligned),
        "transfer": transfer_figure(model, guide, appearances, perspectives, site=site, seed=seed),
        "warps": gamma_figure(model.transform, aligned.gamma, *size),
        "lattices": deformation_figure(model.transform, aligned.gamma[:LATTICES], *size),
    }
