"""What critics of swapped codes are shown: images with the codes of two data, against the data."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .aggregate import sampled_codes
from .examples import TwoSamples, batch_labels, one_hot_rows
from .hooks import Batch
from .image_examples import data_rows, from_prior, mean_rows
from .swapped_reconstruction import partner_of
from .terms import Terms

Factors = tuple[tuple[int, int], ...]
"""Columns of a batch's factors, each with its number of values."""


@dataclass(frozen=True)
class SwappedByClass:
    """Images with the specified code of a datum of another class, against the data; with classes.

    Each own image is decoded from a datum's other codes and the specified code of a datum of the
    batch whose class differs, drawn evenly. The critic is told the class of the latter, and of
    data their own: so the image must look like its specified code's class. Where all of a batch
    are of one class, its first datum gives the code.

    Args:
        shared: The latent site of the specified code.
        classes: Number of classes.
        factors: The factors whose values together are the class; none for the label.
        draws: Whether images whose other codes are draws of their priors alternate with these.
        site: The observed site of the images.

    Source: Mathieu et al. (2016), section 3.2, https://arxiv.org/abs/1611.03383.
    """

    shared: str
    classes: int
    factors: Factors = ()
    draws: bool = True
    site: str = "x"

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.shared, self.site)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> TwoSamples:  # noqa: D102
        classes = class_of(batch, self.factors)
        other = draw_of_other_class(classes)
        codes = codes_at(terms, self.shared, other)
        made = [mean_rows(terms.replay({self.shared: codes})[self.site])]
        if self.draws:
            made.append(mean_rows(from_prior(terms).replay({self.shared: codes})[self.site]))
        told = self._rows(classes[other], made[0])
        # By turns, so that the first half of them, as slope penalties take, has both kinds.
        own = torch.stack(made, 1).flatten(0, 1), torch.stack([told] * len(made), 1).flatten(0, 1)
        if not reference:
            return TwoSamples(own, None)
        x = data_rows(terms[self.site])
        return TwoSamples(own, (x, self._rows(classes, x)))

    def _rows(self, classes: Tensor, images: Tensor) -> Tensor:
        """One-hot rows of classes, for as many images, particles on the left of the data."""
        rows = one_hot_rows(classes, self.classes).to(images.dtype)
        return rows.repeat(len(images) // len(rows), 1)


@dataclass(frozen=True)
class SwappedPairs:
    """A datum beside an image with its specified code, against a datum beside its partner.

    An own pair is `(x3, Dec(z(x1), s(x3)))` with another datum `x3` of the batch, drawn evenly; a
    reference pair is `(x1, x1')`. The critic has to tell whether both show the same of what
    partners share, and no label is needed. The two images are joined along channels.

    Args:
        shared: The latent site of the specified code.
        site: The observed site of the images.

    Source: Szabó et al. (2017), https://arxiv.org/abs/1711.02245.
    """

    shared: str
    site: str = "x"

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.shared, self.site)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> TwoSamples:  # noqa: D102
        x = data_rows(terms[self.site])
        other = draw_of_other_class(torch.arange(len(x), device=x.device))
        codes = codes_at(terms, self.shared, other)
        made = mean_rows(terms.replay({self.shared: codes})[self.site])
        beside = x[other].repeat(len(made) // len(x), *(1,) * (x.dim() - 1))
        own = torch.cat([beside, made], 1)
        if not reference:
            return TwoSamples((own,), None)
        return TwoSamples((own,), (torch.cat([x, partner_of(batch)["x"].to(x.dtype)], 1),))


def codes_at(terms: Terms, site: str, index: Tensor) -> Tensor:
    """The codes of a latent site that the data at `index` have, of the shape of all codes.

    Raises:
        ValueError: As `sampled_codes`.
    """
    sampled_codes(terms, site)
    term = terms[site]
    return term.value.index_select(-1 - len(term.p.event_shape), index)


def draw_of_other_class(classes: Tensor) -> Tensor:
    """Draw, for each datum, the index of one whose class differs, evenly; 0 where there is none.

    Args:
        classes: int64 `(B,)`.
    """
    same = classes.unsqueeze(0) == classes.unsqueeze(1)
    return torch.rand(same.shape, device=classes.device).masked_fill(same, -1.0).argmax(1)


def class_of(batch: Batch, factors: Factors = ()) -> Tensor:
    """The class of each datum, int64 `(B,)`: its label, or a number for its values of factors.

    Raises:
        ValueError: If the batch has no labels, or no such factors.
    """
    if not factors:
        return batch_labels(batch, "label")
    classes = torch.zeros(())
    for column, size in factors:
        classes = classes * size + batch_labels(batch, "factors", column, discrete=True)
    return classes.long()
