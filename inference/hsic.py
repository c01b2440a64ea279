"""How dependent two codes, or a code and an annotation, are over the data: HSIC."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .aggregate import sampled_codes
from .hooks import Batch, Hook
from .kernels import gaussian, off_diagonal, squared_distances
from .terms import Terms
from .weights import Weight, as_weight

UNKNOWN = -1
FEWEST = {True: 4, False: 2}  # data that an estimate takes, by whether it is unbiased


def kernel_dependence(
    first: Tensor, second: Tensor, known: Tensor | None = None, unbiased: bool = True
) -> Tensor:
    r"""Estimate the Hilbert-Schmidt independence criterion from two Gram matrices.

    \[ \mathrm{HSIC} = E\, k l + E\, k\, E\, l - 2 E[ E' k\, E'' l ] \]

    is 0 where the two variables are independent, and only there if the kernels are characteristic,
    as Gaussian ones are (Gretton et al. 2005, lemma 1,
    https://doi.org/10.1007/11564089_7).

    Args:
        first: `k` of the first variable at each two data, `(..., B, B)`, symmetric.
        second: `l` of the second variable, likewise.
        known: Which data count, `(B,)`, bool; all unless given.
        unbiased: Whether the mean of the estimate is right (Song et al. 2012, eq. 5); it may be
            below 0. Otherwise `tr(KHLH) / B^2`, the criterion of the empirical distribution, which
            is never below 0 and too large in the mean. (Gretton et al. divide by `(B - 1)^2`.)

    Returns:
        The estimates, `(...)`; 0 where fewer than four data (two, if biased) are known.
    """
    if known is not None:
        both = known.unsqueeze(-1) & known.unsqueeze(-2)
        first, second = first * both, second * both
        present = known.sum().to(first.dtype)
        n: int | Tensor = present.clamp(min=FEWEST[unbiased])
    else:
        present, n = None, first.shape[-1]
    if unbiased:
        first, second = off_diagonal(first), off_diagonal(second)
    rows, columns = first.sum(-1), second.sum(-1)
    paired, crossed = (first * second).sum((-2, -1)), (rows * columns).sum(-1)
    apart = rows.sum(-1) * columns.sum(-1)
    if unbiased:
        inner = paired + apart / ((n - 1) * (n - 2)) - 2.0 * crossed / (n - 2)
        found = inner / (n * (n - 3))
    else:
        found = (paired + apart / n**2 - 2.0 * crossed / n) / n**2
    return found if present is None else torch.where(present == n, found, 0.0)


class HSIC(Hook):
    """`weight` times the dependence of two sites' codes, or of one's codes and an annotation.

    Kernels of codes are Gaussian, `exp(-|a - b|^2 / (2 bandwidth^2))`. Annotations that are
    integers are compared by equality; data whose annotation is -1 are left out. Annotations that
    are real numbers have a Gaussian kernel too.

    Independence of a code and a known nuisance as a penalty: Lopez et al. (2018),
    https://arxiv.org/abs/1805.08672.

    Args:
        sites: Two latent sites, or one beside an annotation; one code per datum.
        weight: Number of at least 0, or a schedule.
        annotation: Key of the batch, `(B,)` or `(B, F)`: `"label"`, `"factors"` or `"group"`.
        column: Which of an annotation's columns; needed for several columns of integers.
        discrete: Whether an annotation is of classes though its numbers are floats, as factors are
            where others of theirs are no classes.
        bandwidths: Of the first and the second kernel; None for the median distance within the
            batch, which gets no gradient.
        unbiased: Whether the estimate is unbiased; see `kernel_dependence`.

    Raises:
        ValueError: If a number is out of range, or sites and annotation are not two together.

    Example:
        >>> HSIC(("appearance", "perspective"), 100.0)
        >>> HSIC("z", 100.0, annotation="label")
    """

    def __init__(
        self,
        sites: str | Sequence[str],
        weight: float | Weight,
        *,
        annotation: str | None = None,
        column: int | None = None,
        discrete: bool = False,
        bandwidths: tuple[float | None, float | None] = (None, None),
        unbiased: bool = True,
    ) -> None:
        super().__init__()
        self.sites = (sites,) if isinstance(sites, str) else tuple(sites)
        if len(set(self.sites)) != len(self.sites) or len(self.sites) != 1 + (annotation is None):
            raise ValueError(
                f"sites is {sites!r} and annotation is {annotation!r}; expected two different "
                "sites, or one site and an annotation"
            )
        if len(bandwidths) != 2 or not all(
            width is None or 0.0 < width < float("inf") for width in bandwidths
        ):
            raise ValueError(
                f"bandwidths is {bandwidths}; expected two, each a finite number above 0 or None"
            )
        self.annotation, self.column, self.discrete = annotation, column, discrete
        self.bandwidths, self.unbiased = tuple(bandwidths), unbiased
        self.weight = as_weight(weight)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted criterion, a scalar, mean over particles.

        Raises:
            ValueError: If a site has no sampled code of each datum, if it is masked or enumerated,
                if the batch has fewer than four data (two, if biased), or if its annotation is
                missing or not of one row per datum.
        """
        codes = [sampled_codes(terms, site) for site in self.sites]
        size, fewest = codes[0].shape[-2], FEWEST[self.unbiased]
        if size < fewest:
            raise ValueError(
                f"the batch has {size} data; expected at least {fewest} for an unbiased estimate. "
                "Use a larger batch, or unbiased=False"
            )
        known = None
        if self.annotation is None:
            second = _gram(codes[1], self.bandwidths[1])
        else:
            annotation = self._read(self.annotation, batch, size)
            if annotation.is_floating_point():
                second = _gram(annotation.to(codes[0].dtype), self.bandwidths[1])
            else:
                known = annotation[:, 0] != UNKNOWN
                second = (annotation == annotation.mT).to(codes[0].dtype)
        first = _gram(codes[0], self.bandwidths[0], known)
        return self.weight(kernel_dependence(first, second, known, self.unbiased).mean(), None)

    def _read(self, name: str, batch: Batch, size: int) -> Tensor:
        """The annotation of the batch, `(B, F)`; one column if it is of integers."""
        if name not in batch:
            raise ValueError(
                f"the batch has no {name!r}; it has {', '.join(map(repr, batch))}. "
                "Choose data with that annotation, or give mean_loss a batch with it"
            )
        found: Tensor = batch[name]
        if found.dim() not in (1, 2) or len(found) != size:
            raise ValueError(
                f"annotation {name!r} has shape {tuple(found.shape)}; expected "
                f"({size},) or ({size}, F), a row per datum"
            )
        found = found.unsqueeze(-1) if found.dim() == 1 else found
        if self.discrete and found.is_floating_point():
            found = found.round().long()
        columns = found.shape[-1]
        if self.column is not None:
            if not 0 <= self.column < columns:
                raise ValueError(
                    f"column is {self.column}; expected 0 to {columns - 1}, the columns of "
                    f"annotation {name!r}"
                )
            return found[:, self.column : self.column + 1]
        if columns != 1 and not found.is_floating_point():
            raise ValueError(
                f"annotation {name!r} has {columns} columns of integers; expected one, "
                "which data share or not. Pass column="
            )
        return found


def _gram(values: Tensor, bandwidth: float | None, known: Tensor | None = None) -> Tensor:
    """The Gaussian kernel at each two data, `(..., B, B)`, of values `(..., B, K)`."""
    squares = squared_distances(values, values)
    return gaussian(squares, _median(squares, known) if bandwidth is None else bandwidth)


@torch.no_grad()
def _median(squares: Tensor, known: Tensor | None) -> Tensor:
    """The median distance of two different known data, `(..., 1, 1)`.

    At least a thousandth of the root mean square, since many data may share one value.
    """
    left_out = torch.eye(squares.shape[-1], dtype=torch.bool, device=squares.device)
    if known is not None:
        left_out = left_out | ~(known.unsqueeze(-1) & known.unsqueeze(-2))
    distances = squares.masked_fill(left_out, float("nan")).flatten(-2)
    median = distances.nanmedian(-1).values.nan_to_num(nan=1.0)
    mean = distances.nanmean(-1).nan_to_num(nan=1.0)
    return torch.maximum(median, 1e-6 * mean).clamp(min=1e-12).sqrt()[..., None, None]
