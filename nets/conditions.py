"""What nets are told of a condition: a class, factors, the observed part of an image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from .features import PointEncoder
from .shapes import Shape, check_shape


class Condition(nn.Module):
    """Turn conditions into vectors that join codes or images; subclasses give `forward`.

    Args:
        width: Number `E` of values that stand for one condition.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, condition: Tensor) -> Tensor:
        """Return `(..., E)` for conditions of batch `(...)`."""
        raise NotImplementedError


class ClassCondition(Condition):
    """One class per datum, one-hot.

    Args:
        classes: Number of classes, at least 1.

    Raises:
        ValueError: If there is no class.
    """

    rows: Tensor

    def __init__(self, classes: int) -> None:
        if classes < 1:
            raise ValueError(f"classes are {classes}; expected at least 1. Give labels.")
        super().__init__(classes)
        self.register_buffer("rows", torch.eye(classes), persistent=False)

    def forward(self, condition: Tensor) -> Tensor:
        """Return one-hot rows `(..., classes)` of int64 classes `(...)`.

        Raises:
            IndexError: If one is no class, on the CPU; -1, not known, is none.
        """
        return embedding(condition, self.rows)


class ColumnsCondition(Condition):
    """Some columns of a table of factors: classes one-hot, real values as they are.

    Args:
        columns: Which columns, at least one.
        sizes: Number of classes of each of these; 0 where it holds real values.

    Raises:
        ValueError: If there is no column, or not one size for each.
    """

    zero: Tensor

    def __init__(self, columns: Sequence[int], sizes: Sequence[int]) -> None:
        if not columns or len(columns) != len(sizes):
            raise ValueError(
                f"columns are {tuple(columns)} and sizes {tuple(sizes)}; expected one size for "
                "each of at least one column. Give 0 for real values."
            )
        super().__init__(sum(max(1, size) for size in sizes))
        self.columns = tuple(columns)
        self.classes = nn.ModuleDict(
            {str(c): ClassCondition(s) for c, s in zip(columns, sizes, strict=True) if s}
        )
        # Real values take the dtype of the module, which a condition of classes does not have.
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def forward(self, condition: Tensor) -> Tensor:
        """Return `(..., E)` for rows of factors `(..., F)`, int64 or floats.

        Raises:
            IndexError: If one is no class, on the CPU.
        """
        parts = []
        for column in self.columns:
            values = condition[..., column]
            if str(column) in self.classes:
                parts.append(self.classes[str(column)](values.long()))
            else:
                parts.append(values.unsqueeze(-1).to(self.zero.dtype))
        return torch.cat(parts, -1)


class ObservedCondition(Condition):
    """The observed pixels of an image, encoded; the hidden ones are not looked at.

    Args:
        shape: Channels, height and width `(C, H, W)` of an image.
        hidden: Bool `(H, W)`, true where pixels are not observed.
        width: Number `E` of values that stand for the observed part.
        sizes: Widths of the net's hidden layers.
        channels: Channels of the convolutions that come first; None for none.
        activation: Name of the activation.

    Raises:
        ValueError: If `hidden` is not as `check_hidden` says.
    """

    hidden: Tensor

    def __init__(
        self,
        shape: Shape,
        hidden: Tensor,
        width: int = 64,
        sizes: Sequence[int] = (256,),
        channels: Sequence[int] | None = None,
        activation: str = "relu",
    ) -> None:
        super().__init__(width)
        self.register_buffer("hidden", check_hidden(hidden, shape), persistent=False)
        self.net = PointEncoder(shape, width, sizes, channels, activation)

    def forward(self, condition: Tensor) -> Tensor:
        """Return `(..., E)` for images `(..., C, H, W)`."""
        return self.net(condition * (~self.hidden)).v


def check_hidden(hidden: Tensor, shape: Shape) -> Tensor:
    """Return a mask of the pixels that are not observed, once it is known to be one.

    Args:
        hidden: Bool `(H, W)`.
        shape: Channels, height and width `(C, H, W)` of an image.

    Raises:
        ValueError: If its shape or type is another, or all pixels, or none, are hidden.
    """
    size = check_shape(shape)[1:]
    if hidden.dtype != torch.bool or tuple(hidden.shape) != size:
        raise ValueError(
            f"hidden is {hidden.dtype} of shape {tuple(hidden.shape)}; expected torch.bool of "
            f"shape {size}, the pixels of an image. Make it true where pixels are not observed."
        )
    if bool(hidden.all()):
        raise ValueError(
            "hidden is true everywhere; expected some observed pixels. Without any there is no "
            "condition: use the VAE."
        )
    if not bool(hidden.any()):
        raise ValueError(
            "hidden is false everywhere; expected some hidden pixels. Nothing is to be completed."
        )
    return hidden
