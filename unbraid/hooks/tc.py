"""The hook of the beta-TCVAE: total correlation estimated on each batch."""

from dataclasses import dataclass
from typing import Literal

from unbraid.inference import TotalCorrelation
from unbraid.methods import DataSpec, Parts, in_range

from .adding import Addition


@dataclass(frozen=True)
class Options:
    """Options of the hook.

    Args:
        weight: Weight of the total correlation beside that of the divergence (Chen et al. 2018,
            eq. 4: beta - 1), at least 0.
        site: The code; its guide must be a factorised Normal.
        sampling: How a batch stands for all data: stratified (unbiased), or weighted as in the
            paper's experiments.
    """

    weight: float = 5.0
    site: str = "z"
    sampling: Literal["stratified", "weighted"] = "stratified"

    def __post_init__(self) -> None:
        in_range("weight", self.weight, 0.0)


def build(options: Options, data: DataSpec, parts: Parts) -> Addition:
    """Build the hook for a method's parts."""
    return Addition(
        TotalCorrelation(options.site, options.weight, size=data.size, sampling=options.sampling)
    )
