"""The hook of the DIP-VAE: the covariance of codes over the data."""

from dataclasses import dataclass
from typing import Literal

from unbraid.inference import DIP
from unbraid.methods import DataSpec, Parts, in_range

from .adding import Addition


@dataclass(frozen=True)
class Options:
    """Options of the hook.

    Args:
        offdiag: Weight of the squared covariances (Kumar et al. 2018, eq. 6 and 7), at least 0.
        diag: Weight of the squared distances of the variances from 1, at least 0.
        site: The code; its guide must be a factorised Normal.
        kind: Whose covariance: `i`, of the guide's means; `ii`, of its samples.
    """

    offdiag: float = 10.0
    diag: float = 10.0
    site: str = "z"
    kind: Literal["i", "ii"] = "ii"

    def __post_init__(self) -> None:
        in_range("offdiag", self.offdiag, 0.0)
        in_range("diag", self.diag, 0.0)


def build(options: Options, data: DataSpec, parts: Parts) -> Addition:
    """Build the hook for a method's parts."""
    return Addition(DIP(options.site, options.offdiag, options.diag, options.kind))
