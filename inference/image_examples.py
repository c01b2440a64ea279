"""What critics of images are shown: images that a model makes, held against the data."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .eligibility import mask_of
from .examples import TwoSamples
from .hooks import Batch
from .term import Term
from .terms import Terms


@dataclass(frozen=True)
class AgainstData:
    """Mean images that the model makes against the images of the batch.

    Mean images rather than draws of the likelihood: those have gradients for every likelihood, and
    they are what pictures show. Data whose pixels are 0 or 1 differ from any mean image, which a
    critic finds at once; grey and colour images suit it better.

    Args:
        site: The observed site of the images. Every image is an example, of sequences every frame.
        reconstructions: Whether images decoded from the guide's codes are among the pair's.
        samples: Whether images decoded from draws of the prior are. With both they alternate.

    Raises:
        ValueError: If neither is.

    Source: Larsen et al. (2016), algorithm 1, https://arxiv.org/abs/1512.09300.
    """

    site: str = "x"
    reconstructions: bool = True
    samples: bool = True

    def __post_init__(self) -> None:
        if not (self.reconstructions or self.samples):
            raise ValueError(
                "reconstructions and samples are both False; expected at least one of them"
            )

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.site,)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> TwoSamples:  # noqa: D102
        made = list(self._made(terms))
        # By turns, so that the first half of them, as slope penalties take, has both kinds.
        own = torch.stack(made, 1).flatten(0, 1) if len(made) > 1 else made[0]
        return TwoSamples((own,), (data_rows(terms[self.site]),) if reference else None)

    def _made(self, terms: Terms) -> Iterator[Tensor]:
        if self.reconstructions:
            yield mean_rows(terms[self.site])
        if self.samples:
            yield mean_rows(from_prior(terms)[self.site])


def from_prior(terms: Terms) -> Terms:
    """Run the model again on draws of its prior, one site after the other in the model's order.

    The draws have no graph; what the model makes of them has one.

    Args:
        terms: Terms of the pair.

    Returns:
        Terms whose latent values are draws, each given the draws before it.

    Raises:
        ValueError: If a latent site is enumerated.
    """
    drawn: dict[str, Tensor] = {}
    for name in terms.latents:
        if terms[name].model_site.enum_dim is not None:
            raise ValueError(
                f"site {name!r} is enumerated; expected sites that can be sampled. Leave draws of "
                "the prior out, or choose another pair"
            )
        value = terms[name].value
        with torch.no_grad():
            fresh = terms[name].p.sample()
            shape = value.shape[: value.dim() - fresh.dim()]
            drawn[name] = terms[name].p.sample(shape) if shape else fresh
        terms = terms.replay(drawn)
    return terms


def mean_rows(term: Term) -> Tensor:
    """The means of an observed site, one row per datum, frame and particle, `(n, *event)`.

    Raises:
        ValueError: If its distribution has no mean, or some of its data are masked out.
    """
    try:
        means = term.p.mean
    except NotImplementedError as error:
        kind = type(getattr(term.p, "base_dist", term.p)).__name__
        raise ValueError(
            f"site {term.name!r} is {kind}, which has no mean; expected one that has, such as "
            "Normal or Bernoulli. Choose another likelihood"
        ) from error
    return _rows(term, means)


def data_rows(term: Term) -> Tensor:
    """The data of an observed site, one row per datum and frame, `(n, *event)`.

    Raises:
        ValueError: If the site is not observed, or some of its data are masked out.
    """
    if not term.observed:
        raise ValueError(f"site {term.name!r} is latent; expected the site of the data")
    return _rows(term, term.value.detach())


def _rows(term: Term, values: Tensor) -> Tensor:
    if mask_of(term.model_site) is not None:
        raise ValueError(
            f"site {term.name!r} is masked; expected data that are all there. Use sequences of "
            "one length"
        )
    events = len(term.p.event_shape)
    rows = values.reshape(-1, *values.shape[values.dim() - events :])
    return rows.to(torch.promote_types(rows.dtype, torch.float32))
