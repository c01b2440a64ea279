"""What is known of each datum, by the name that the data give it."""

from dataclasses import dataclass

from unbraid.methods import DataSpec, OptionError


@dataclass(frozen=True)
class Attribute:
    """A label or a discrete factor of the data.

    Args:
        key: Key of a batch.
        column: Column of `factors`; None for the label.
        classes: Number of its values, at least 2.
    """

    key: str
    column: int | None
    classes: int


def find_attribute(name: str, data: DataSpec) -> Attribute:
    """Find what the data call `label`, or a factor by its name.

    Raises:
        OptionError: If the data have nothing of that name, or it is not discrete.
    """
    if name == "label" and data.classes >= 2:
        return Attribute("label", None, data.classes)
    if name in data.factor_names:
        column = data.factor_names.index(name)
        if data.factor_sizes[column] >= 2:
            return Attribute("factors", column, data.factor_sizes[column])
    discrete = zip(data.factor_names, data.factor_sizes, strict=True)
    known = [*(["label"] if data.classes >= 2 else []), *(n for n, size in discrete if size >= 2)]
    have = ", ".join(known) or "none"
    raise OptionError(
        f"attribute is {name!r}; the data's discrete labels and factors are: {have}. "
        "Choose one of them, or other data"
    )
