"""What a critic of a sensitive attribute is shown: this decides what it makes fair."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from .examples import Inputs, Labelled, batch_labels, code_rows, one_hot_rows
from .hooks import Batch
from .target_rules import UNKNOWN
from .terms import Terms


@dataclass(frozen=True)
class SensitiveExamples:
    """Codes or predictions with an attribute of the datum, perhaps beside or given its label.

    | | the critic cannot tell the attribute: |
    |---|---|
    | neither | demographic parity |
    | `beside` | given the label: equalised odds |
    | `only` | of data of one label: equal opportunity |

    Args:
        site: A latent site with one code per datum; or an observed site of classes, such as
            `label`, of which the critic sees the predicted log-probabilities.
        key: Key of the batch that holds the attribute.
        column: Column of `factors`.
        beside: Number of classes of the label that the critic sees too, as a one-hot row; None
            where it does not.
        only: The label whose data the critic learns from, and which alone are moved.
        label: Key of the batch that holds the label.
        discrete: Whether float attributes are class indices, as of `WithAttribute`.
    """

    site: str = "z"
    key: str = "factors"
    column: int | None = 0
    beside: int | None = None
    only: int | None = None
    label: str = "label"
    discrete: bool = False

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.site,)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> Labelled:  # noqa: D102
        rows = _log_probabilities(terms, self.site) if terms[self.site].observed else None
        rows = code_rows(terms, self.site) if rows is None else rows
        attribute = batch_labels(batch, self.key, self.column, self.discrete)
        inputs: Inputs = (rows,)
        if self.beside is not None or self.only is not None:
            label = batch_labels(batch, self.label)
            seen = label != UNKNOWN if self.only is None else label == self.only
            attribute = torch.where(seen, attribute, UNKNOWN)
            if self.beside is not None:
                times = len(rows) // len(label)
                told = one_hot_rows(label, self.beside).to(rows)
                inputs = (rows, told.repeat(times, 1))
        return Labelled(inputs, attribute.repeat(len(rows) // len(attribute)))


def _log_probabilities(terms: Terms, site: str) -> Tensor:
    """Predicted log-probabilities of a site of classes, `(n, C)`."""
    logits = getattr(terms[site].p, "logits", None)
    if logits is None or len(terms[site].p.event_shape):
        raise ValueError(
            f"site {site!r} is {type(terms[site].p).__name__}; expected a latent site, or an "
            "observed Categorical. Choose another site"
        )
    return log_softmax(logits, -1).flatten(0, -2)
