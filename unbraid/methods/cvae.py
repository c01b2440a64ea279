"""The conditional VAE: images given a class, factors or a part of the image."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from unbraid import guides, models
from unbraid.inference import LinearWarmup
from unbraid.nets import (
    ClassCondition,
    ColumnsCondition,
    CompletingDecoder,
    Condition,
    ConditionalDecoder,
    ConditionalEncoder,
    ConditionalPrior,
    ObservedCondition,
)

from . import vae
from .given import IMAGE, LABEL, Given, read_given
from .method import DataSpec, Parts
from .options import OptionError, in_range

CITATION = """@inproceedings{sohn2015learning,
  title = {Learning Structured Output Representation using Deep Conditional Generative Models},
  author = {Sohn, Kihyuk and Lee, Honglak and Yan, Xinchen},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2015}
}"""


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of the conditional VAE.

    Args:
        condition: What is given: `label`; names of factors, comma-separated; or the observed half
            of the image, `top-half`, `bottom-half`, `left-half` or `right-half`, of which the
            other half is completed.
        prior: `standard`: the codes' prior is the same for all conditions. `learned`: a Normal
            whose moments are learned from the condition.
        prior_hidden: Widths of the hidden layers of the learned prior, comma-separated; none for
            a linear map.
        condition_dim: Number of values that stand for an observed half, 1 to 65536; classes are
            one-hot and real values stay as they are.
    """

    condition: tuple[str, ...] = (LABEL,)
    prior: Literal["standard", "learned"] = "standard"
    prior_hidden: tuple[int, ...] = (128,)
    condition_dim: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        for width in self.prior_hidden:
            in_range("prior_hidden", width, 1, 65_536)
        in_range("condition_dim", self.condition_dim, 1, 65_536)

    def require_labels(self, data: DataSpec) -> Given:
        """Return the condition that the data are to have.

        Raises:
            OptionError: If a name is unknown.
            ValueError: If the data are sequences, or have no labels where these are the condition.
        """
        self.require_images(data)
        return read_given(self.condition, data)

    def make_condition(self, data: DataSpec, given: Given) -> Condition:
        """Make the net from conditions to vectors; that of an observed half has weights."""
        if given.key == LABEL:
            return ClassCondition(*given.sizes)
        if given.key != IMAGE:
            return ColumnsCondition(given.columns, given.sizes)
        convolves = self.convolves(data)
        return ObservedCondition(
            data.shape,
            hidden_half(given.names[0], data.shape[1:]),
            self.condition_dim,
            self.hidden[-1:] if convolves else self.hidden,
            self.channels if convolves else None,
            self.activation,
        )


def hidden_half(observed: str, size: tuple[int, int]) -> Tensor:
    """Return which pixels `(H, W)` are hidden where one half is observed, such as `top-half`."""
    hidden = torch.ones(size, dtype=torch.bool)
    height, width = size
    {
        "top-half": hidden[: height // 2],
        "bottom-half": hidden[height // 2 :],
        "left-half": hidden[:, : width // 2],
        "right-half": hidden[:, width // 2 :],
    }[observed][...] = False
    return hidden


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair for the given data."""
    given = options.require_labels(data)
    likelihood = options.make_likelihood(data)
    completes = given.key == IMAGE
    if completes and likelihood.name == "discretised-logistic":
        raise OptionError(
            f"likelihood is {likelihood.name}; expected one of independent pixels, of which some "
            "are given. Use likelihood=normal-learned or continuous-bernoulli"
        )
    # Of a half that is observed the model alone has an encoder: the guide sees the whole image.
    condition = options.make_condition(data, given)
    told = None if completes else options.make_condition(data, given)
    decoder = options.make_decoder(data, options.latent_dim + condition.width, likelihood)
    prior: Any = None
    if options.prior == "learned":
        prior = ConditionalPrior(
            condition, options.latent_dim, options.prior_hidden, options.activation
        )
    joined: Any = CompletingDecoder if completes else ConditionalDecoder
    convolves = options.convolves(data)
    encoder = ConditionalEncoder(
        data.shape,
        options.latent_dim,
        told,
        options.hidden[-1:] if convolves else options.hidden,
        options.channels if convolves else None,
        options.activation,
    )
    return Parts(
        model=models.CVAE(joined(decoder, condition), options.latent_dim, prior),
        guide=guides.CVAE(encoder),
        likelihood=likelihood,
        weights={"z": LinearWarmup(options.warmup, options.warmup_from)} if options.warmup else {},
        keys=("x", given.key),
        given=given,
        remark=_remark(given),
    )


def _remark(given: Given) -> str:
    names = " and ".join(given.names)
    if given.key != IMAGE:
        return f"The density is conditional, log p(x|c): of images given their {names}."
    return (
        f"The density is conditional, log p(x|c): of the hidden pixels alone, given the {names} "
        "of the image."
    )
