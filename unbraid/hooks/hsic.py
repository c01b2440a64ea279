"""The hook on dependence by kernels: of a code on another code, or on what is known of the data."""

from dataclasses import dataclass

from unbraid.inference import HSIC
from unbraid.methods import DataSpec, OptionError, Parts, in_range

from .adding import Addition
from .attributes import find_attribute


@dataclass(frozen=True)
class Options:
    """Options of the hook.

    Args:
        weight: Weight of the criterion, at least 0.
        site: The code.
        other: A second code, or none to hold the code against `attribute`.
        attribute: `label`, or the name of a factor.
    """

    weight: float = 100.0
    site: str = "z"
    other: str | None = None
    attribute: str | None = None

    def __post_init__(self) -> None:
        in_range("weight", self.weight, 0.0)
        if (self.other is None) == (self.attribute is None):
            raise OptionError("expected one of other=SITE and attribute=NAME. Give one of them.")


def build(options: Options, data: DataSpec, parts: Parts) -> Addition:
    """Build the hook for a method's parts."""
    if options.attribute is None:
        sites = (options.site, options.other or "")
        return Addition(HSIC(sites, options.weight))
    known = find_attribute(options.attribute, data)
    return Addition(HSIC(options.site, options.weight, annotation=known.key, column=known.column))
