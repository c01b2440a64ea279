"""The classes that a pair predicts at a site of classes."""

from collections.abc import Iterable

import torch
from torch import Tensor

from unbraid.inference import Program

from .latents import Batch, arguments
from .passes import point_codes, run, sites_at_points, undisturbed


def predicted_classes(
    model: Program,
    guide: Program,
    batches: Iterable[Batch],
    *,
    site: str = "label",
    seed: int = 0,
) -> Tensor:
    """Return the most probable class of every datum, at the mean of its code.

    It is the guide's where that says classes, as of semi-supervised pairs, and else the model's.

    Args:
        model: The generative program; its site's classes may be given or not, they are not looked
            at.
        guide: The inference program.
        batches: Batches of data, at least one.
        site: A site whose distribution is over classes, in the guide or in the model.
        seed: Seed of what the guide samples.

    Returns:
        int64 `(N,)`, on the host.

    Raises:
        ValueError: If the site is none of classes, or there are no batches.
    """
    told = []
    with undisturbed(model, guide, seed=seed):
        for batch in batches:
            args = arguments(batch)
            terms = run(model, guide, args)
            if site not in terms or not hasattr(terms[site].p, "logits"):
                raise ValueError(
                    f"site is {site!r}; expected one whose distribution is over classes. The pair "
                    f"has {', '.join(terms)}"
                )
            if terms[site].q is not None:
                own = sites_at_points(guide, args)[site]
                shares = getattr(own.fn, "logits", own.value)  # of points the shares themselves
                told.append(shares.argmax(-1).cpu())
                continue
            at_means = terms.replay(point_codes(terms))[site].p
            told.append(at_means.logits.argmax(-1).cpu())  # pyright: ignore
    if not told:
        raise ValueError("batches is empty; expected at least one batch. Give some data")
    return torch.cat(told)
