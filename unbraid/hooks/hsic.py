"""The hook on dependence by kernels: of a code on another, or on what is known of the data."""

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
        attribute: Name of a factor; the label unless given.
        other: A second code in place of the attribute.
    """

    weight: float = 100.0
    site: str = "z"
    attribute: str | None = None
    other: str | None = None

    def __post_init__(self) -> None:
        in_range("weight", self.weight, 0.0)
        if self.other is not None and self.attribute is not None:
            raise OptionError(
                f"attribute is {self.attribute!r} and other is {self.other!r}; expected one of "
                "them. Drop one"
            )


def build(options: Options, data: DataSpec, parts: Parts) -> Addition:
    """Build the hook for a method's parts."""
    if options.other is not None:
        return Addition(HSIC((options.site, options.other), options.weight))
    known = find_attribute(options.attribute or "label", data)
    hidden = {"annotation": known.key, "column": known.column, "discrete": True}
    return Addition(HSIC(options.site, options.weight, **hidden))
