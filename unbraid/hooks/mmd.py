"""The hook of InfoVAE and WAE: the kernel distance of codes from their prior."""

from dataclasses import dataclass
from typing import Literal

from unbraid.inference import MMD
from unbraid.methods import DataSpec, Parts, in_range

from .adding import Addition


@dataclass(frozen=True)
class Options:
    """Options of the hook.

    Args:
        weight: Weight of the squared maximum mean discrepancy, at least 0.
        site: The code.
        kernel: Its kernel.
    """

    weight: float = 100.0
    site: str = "z"
    kernel: Literal["inverse-multiquadric", "gaussian"] = "inverse-multiquadric"

    def __post_init__(self) -> None:
        in_range("weight", self.weight, 0.0)


def build(options: Options, data: DataSpec, parts: Parts) -> Addition:
    """Build the hook for a method's parts."""
    return Addition(MMD(options.site, options.weight, kernel=options.kernel))
