"""What a conditional method is given of each datum beside what it models."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .method import DataSpec
from .options import OptionError

if TYPE_CHECKING:
    from torch import Tensor

LABEL, FACTORS, IMAGE = "label", "factors", "x"
HALVES = ("top-half", "bottom-half", "left-half", "right-half")


@dataclass(frozen=True)
class Given:
    """A condition: which entry of a batch holds it, and what of that counts.

    Args:
        key: Entry of a batch: `label`, `factors`, or `x` for a part of the image.
        names: What the condition is called: `label`, names of factors, or a half of the image.
        columns: Columns of the factors.
        sizes: Number of values of the label or of each column, 0 where it is continuous.
        shape: Shape of one datum's condition in a batch.
    """

    key: str
    names: tuple[str, ...]
    columns: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()

    def example(self, size: int) -> "Tensor":
        """Return conditions `(size, *shape)` that a pair accepts, for a look at its sites."""
        import torch

        kind = torch.int64 if self.key == LABEL else torch.float32
        return torch.zeros(size, *self.shape, dtype=kind)


def read_given(names: tuple[str, ...], data: DataSpec) -> Given:
    """Find a condition by its names among what the data know.

    Args:
        names: `label`; names of factors; or one half of the image that is observed.
        data: What is known of the data.

    Raises:
        OptionError: If a name is unknown, or the names do not go together.
        ValueError: If the data have no labels.
    """
    first = next(iter(names), None)
    if first is None or len(set(names)) != len(names):
        raise OptionError(
            f"condition is {','.join(names)!r}; expected names that differ, at least one"
        )
    if len(names) > 1 and (apart := [n for n in names if n in (LABEL, *HALVES)]):
        raise OptionError(
            f"condition is {','.join(names)!r}; expected {apart[0]} by itself, or names of "
            "factors. Give the other one as a factor of the data too"
        )
    if first in HALVES:
        return Given(IMAGE, names, shape=data.shape)
    if names == (LABEL,):
        if data.classes < 2:
            raise ValueError(
                f"the data have labels of {data.classes} classes; expected at least 2. Give "
                "labels, or another condition: a factor, or top-half for a part of the image"
            )
        return Given(LABEL, names, (), (data.classes,))
    for name in names:
        if name not in data.factor_names:
            known = ", ".join((LABEL, *data.factor_names, *HALVES))
            raise OptionError(f"condition is {name!r}; expected one of {known}")
    columns = tuple(data.factor_names.index(name) for name in names)
    sizes = tuple(data.factor_sizes[c] for c in columns)
    return Given(FACTORS, names, columns, sizes, (len(data.factor_names),))
