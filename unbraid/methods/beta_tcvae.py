"""The beta-TCVAE: a VAE with a weight on the total correlation of its codes alone."""

from dataclasses import dataclass, replace
from typing import Literal

from unbraid.inference import Hook, LinearWarmup, TotalCorrelation

from . import vae
from .method import DataSpec, Parts
from .options import in_range

CITATION = """@inproceedings{chen2018isolating,
  title = {Isolating Sources of Disentanglement in Variational Autoencoders},
  author = {Chen, Ricky T. Q. and Li, Xuechen and Grosse, Roger B. and Duvenaud, David K.},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {31},
  year = {2018}
}"""


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of the beta-TCVAE.

    Args:
        beta: Weight of the total correlation (Chen et al. 2018, eq. 4); at least 1, the VAE.
        sampling: How a batch stands for all data: stratified (unbiased), or weighted as in the
            paper's experiments.
        warmup: Steps over which the divergence's weight goes from `warmup_from` to 1; where this
            is a rise, that of the total correlation, a part of it, goes from `warmup_from` to
            beta, else it is beta - 1 above the divergence's throughout; 0 for none.
    """

    beta: float = 6.0
    sampling: Literal["stratified", "weighted"] = "stratified"

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("beta", self.beta, 1.0)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the VAE's pair; only the objective differs."""
    return replace(vae.build(options, data), hooks=_hooks(options, data))


def _hooks(options: Options, data: DataSpec) -> tuple[Hook, ...]:
    more = options.beta - 1.0  # the divergence itself has weight 1
    if not more:
        return ()
    rises = options.warmup and options.warmup_from < 1.0
    weight = LinearWarmup(options.warmup, 0.0, more) if rises else more
    return (TotalCorrelation("z", weight, size=data.size, sampling=options.sampling),)
