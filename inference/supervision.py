"""The cross-entropy of a guide's classes on the data whose label is known."""

import torch
from torch import Tensor

from .examples import batch_labels
from .hooks import Batch, Hook
from .sites import Site
from .target_rules import UNKNOWN
from .terms import Terms
from .weights import Weight, as_weight


class Supervision(Hook):
    """What a guide says of classes is told from the labels of a stream of labelled data.

    `weight` times the mean over known labels of `-log q(label | x)`. The labelled data come in a
    stream of their own, so that each batch has as many of them, however few there are.

    Args:
        site: A site at which the guide gives shares of classes, event `(classes,)`, or has a
            distribution over classes.
        weight: Weight of the cross-entropy, a number of at least 0 or a schedule.
        stream: Key of the labelled batch in a batch; None for the batch itself.
        keys: Keys of the labelled batch that the guide takes.
    """

    def __init__(
        self,
        site: str = "label",
        weight: float | Weight = 1.0,
        *,
        stream: str | None = "labelled",
        keys: tuple[str, ...] = ("x",),
    ) -> None:
        super().__init__()
        self.sites, self.moves = (site,), "guide"
        self.stream, self.keys = stream, keys
        self.weight = as_weight(weight)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted cross-entropy, a scalar.

        Raises:
            ValueError: If the batch has no such stream or labels, or a label is no class.
        """
        site = self.sites[0]
        if self.stream is None:
            given, said = batch, terms[site].guide_site
        else:
            if self.stream not in batch:
                raise ValueError(
                    f"the batch has no {self.stream!r}; it has {', '.join(map(repr, batch))}. "
                    f"Train with Batches(streams={{{self.stream!r}: Batches(labelled(dataset), "
                    "...)}})"
                )
            given = batch[self.stream]
            said = terms.encode(*(given[key] for key in self.keys))[site]
        labels = batch_labels(given, "label")
        rows = _log_shares(site, said).flatten(0, -2)
        labels = labels.repeat(len(rows) // len(labels))
        known = labels != UNKNOWN
        costs = -rows.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        total = torch.where(known, costs, 0.0).sum() / known.sum().clamp(min=1)
        return self.weight(total, None)


def _log_shares(name: str, site: Site | None) -> Tensor:
    """Log probabilities of the classes, `(..., classes)`, from a distribution or from shares."""
    if site is None:
        raise ValueError(f"site is {name!r}, which the guide lacks; expected one of its sites")
    logits = getattr(site.fn, "logits", None)
    if logits is not None:
        return logits.log_softmax(-1)
    shares = site.value
    return shares.clamp(min=torch.finfo(shares.dtype).tiny).log()
