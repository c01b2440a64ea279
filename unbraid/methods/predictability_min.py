"""Predictability minimisation: a VAE none of whose coordinates are told from the others."""

from dataclasses import dataclass, replace
from typing import Literal

from unbraid.hooks import hook_module

from . import vae
from .method import DataSpec, Parts
from .options import in_range

CITATION = """@article{schmidhuber1992learning,
  title = {Learning Factorial Codes by Predictability Minimization},
  author = {Schmidhuber, J{\\"u}rgen},
  journal = {Neural Computation},
  volume = {4},
  number = {6},
  pages = {863--879},
  year = {1992}
}"""


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of predictability minimisation.

    Args:
        weight: Weight of the penalty, at least 0.
        form: normalised: the share of each coordinate's variance that the others tell. published:
            minus the squared errors of squashed coordinates (Schmidhuber 1992).
        predictor_hidden: Widths of the hidden layers of each predictor, comma-separated.
        predictor_rate: Learning rate of the predictors.
        predictor_steps: Steps of the predictors per step of the pair.
        latent_dim: Number of latent coordinates, 2 to 4096.
        warmup: Steps over which the penalty's weight rises from 0, and the divergence's goes from
            `warmup_from` to 1; 0 for none.
    """

    weight: float = 100.0
    form: Literal["normalised", "published"] = "normalised"
    predictor_hidden: tuple[int, ...] = (64, 64)
    predictor_rate: float = 1e-3
    predictor_steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("latent_dim", self.latent_dim, 2, 4096)
        in_range("weight", self.weight, 0.0)
        for width in self.predictor_hidden:
            in_range("predictor_hidden", width, 1, 65_536)
        in_range("predictor_rate", self.predictor_rate, 0.0, 10.0, open_low=True)
        in_range("predictor_steps", self.predictor_steps, 1, 1000)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the VAE's pair; only the objective differs."""
    parts = vae.build(options, data)
    predictability = hook_module("predictability")
    chosen = predictability.Options(
        weight=options.weight,
        form=options.form,
        hidden=options.predictor_hidden,
        rate=options.predictor_rate,
        steps=options.predictor_steps,
        warmup=options.warmup,
    )
    return replace(parts, hooks=(predictability.build(chosen, data, parts).hook,))
