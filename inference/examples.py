"""What a critic is shown: of a pair's terms, the examples that it must tell apart."""

from dataclasses import dataclass
from math import prod
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .aggregate import sampled_codes
from .hooks import Batch
from .terms import Terms

Inputs = tuple[Tensor, ...]
"""The arguments of a critic, each `(n, ...)` of the same n."""


class TwoSamples(NamedTuple):
    """Examples that the pair makes, and those that they are held against.

    Args:
        own: The pair's examples.
        reference: The others; None where only own ones are asked for.
    """

    own: Inputs
    reference: Inputs | None


class Labelled(NamedTuple):
    """Examples with what the critic must say of them.

    Args:
        inputs: The examples.
        labels: int64 `(n,)`, -1 where unknown.
    """

    inputs: Inputs
    labels: Tensor


Examples = TwoSamples | Labelled


class View(Protocol):
    """Chooses a critic's examples from terms and batch."""

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that it reads."""
        ...

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> Examples:
        """Return the examples, with the graphs that `terms` have.

        Args:
            terms: Terms of a step; detached ones for the critic's own steps.
            batch: The batch of the step.
            reference: Whether reference examples are needed.
        """
        ...


def code_rows(terms: Terms, site: str) -> Tensor:
    """The sampled codes of a site, one row per datum and particle, `(n, K)`.

    Raises:
        ValueError: As `sampled_codes`.
    """
    return sampled_codes(terms, site).flatten(0, -2)


@dataclass(frozen=True)
class AgainstPrior:
    """The codes of a batch against as many draws of their prior: adversarial autoencoders.

    Args:
        site: A latent site with one code per datum.

    Source: Makhzani et al. (2016), section 2, https://arxiv.org/abs/1511.05644.
    """

    site: str

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.site,)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> TwoSamples:  # noqa: D102
        own = code_rows(terms, self.site)
        if not reference:
            return TwoSamples((own,), None)
        with torch.no_grad():
            drawn = terms[self.site].p.sample()
        return TwoSamples((own,), (drawn.expand(terms[self.site].value.shape).reshape(own.shape),))


@dataclass(frozen=True)
class AgainstPermuted:
    """Codes against codes whose dimensions were permuted over another batch: the FactorVAE.

    Each dimension is permuted along the batch by a permutation of its own, so that what is left
    are draws of the product of the marginals, `prod_j q(z_j)`. They come from a second,
    independent batch, as published: permuted codes of the first one share its values, and a
    critic can learn that.

    Args:
        site: A latent site with one code per datum.
        stream: Key of the second batch in a batch, or None to permute the first one.
        keys: Keys of the second batch that the guide takes.

    Source: Kim & Mnih (2018), algorithms 1 and 2, https://arxiv.org/abs/1802.05983.
    """

    site: str
    stream: str | None = "second"
    keys: tuple[str, ...] = ("x",)

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.site,)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> TwoSamples:  # noqa: D102
        own = code_rows(terms, self.site)
        if not reference:
            return TwoSamples((own,), None)
        with torch.no_grad():
            stream = self.stream
            others = own.detach() if stream is None else self._encoded(terms, batch, stream)
            return TwoSamples((own,), (permuted_dimensions(others),))

    def _encoded(self, terms: Terms, batch: Batch, stream: str) -> Tensor:
        if stream not in batch:
            raise ValueError(
                f"the batch has no {stream!r}; it has {', '.join(map(repr, batch))}. "
                f"Train with Batches(streams={{{stream!r}: Batches(...)}}), or pass "
                "stream=None to permute the codes of the batch itself"
            )
        site = terms.encode(*(batch[stream][key] for key in self.keys))[self.site]
        rows = site.value.reshape(-1, prod(site.fn.event_shape))
        return rows.to(torch.promote_types(rows.dtype, torch.float32))


def permuted_dimensions(values: Tensor) -> Tensor:
    """Permute each column of `(n, K)` along the rows, independently of the other columns."""
    order = torch.rand_like(values).argsort(0)
    return values.gather(0, order)


@dataclass(frozen=True)
class WithAttribute:
    """Codes with what is known of each datum: whether they tell of it.

    Args:
        site: A latent site with one code per datum.
        key: Key of the batch that holds class indices: `"label"`, or `"factors"` with a column.
        column: Column of `factors`.
        discrete: Whether float values are class indices, as those of discrete factors are that lie
            beside continuous ones; without it they are refused.
    """

    site: str
    key: str = "label"
    column: int | None = None
    discrete: bool = False

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.site,)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> Labelled:  # noqa: D102
        inputs = code_rows(terms, self.site)
        labels = batch_labels(batch, self.key, self.column, self.discrete)
        return Labelled((inputs,), labels.repeat(len(inputs) // len(labels)))


def batch_labels(
    batch: Batch, key: str, column: int | None = None, discrete: bool = False
) -> Tensor:
    """Class indices of a batch, int64 `(B,)`.

    Raises:
        ValueError: If the batch has none under that name.
    """
    if key not in batch:
        raise ValueError(
            f"the batch has no {key!r}; it has {', '.join(map(repr, batch))}. Use data with "
            f"{key}, or another key"
        )
    labels = batch[key] if column is None else batch[key][:, column]
    if labels.is_floating_point() and discrete:
        labels = labels.round().long()
    if labels.dim() != 1 or labels.is_floating_point():
        raise ValueError(
            f"{key!r} of the batch is {labels.dtype} of shape {tuple(labels.shape)}; expected "
            "class indices, int64 (B,). Name a column of discrete factors"
        )
    return labels


def one_hot_rows(labels: Tensor, classes: int) -> Tensor:
    """Labels as float one-hot rows `(n, classes)`; rows of unknown labels are zero."""
    # torch's own one_hot reads labels on the host, so that no step with it could be recorded.
    return (labels.unsqueeze(-1) == torch.arange(classes, device=labels.device)).float()
