"""Red and green digits whose colour goes along with their label, for fair representations.

The set-up, a colour that tells the label more often than not, is that of Arjovsky, Bottou,
Gulrajani and Lopez-Paz (2019), https://arxiv.org/abs/1907.02893, section 5.2, without its noise on
the labels.
"""

from typing import Literal

import torch
from torch import Tensor

from .bouncing import uniforms
from .dataset import Dataset, Splits
from .digit_sets import DigitSet, digits_of
from .errors import DataError

Task = Literal["halves", "parity"]
_LABEL_NAMES: dict[str, tuple[str, str]] = {
    "halves": ("0 to 4", "5 to 9"),
    "parity": ("even", "odd"),
}
_COLOURS = 2  # red and green, of three channels
_CHANNELS = 3


def coloured_digits(
    seed: int,
    *,
    task: Task = "halves",
    correlation: float = 0.9,
    test_correlation: float | None = None,
    digits_from: DigitSet = "mnist-small",
) -> Splits:
    """Return red and green digits with a binary label, which their colour tells with a chance.

    The factors are the `colour`, 0 for red and 1 for green, and the class of the `digit`. The
    colours of the test part do not depend on `seed`.

    Args:
        seed: Chooses which digits validate, and the colours.
        task: What the label says. `halves`: 0 for digits to 4, 1 from 5 on. `parity`: 0 for even
            digits, 1 for odd ones.
        correlation: Probability that a digit is red where its label is 0, green where it is 1; 0.5
            where colours tell nothing.
        test_correlation: This probability in the test part; that of the others unless given.
        digits_from: Where the digits come from.

    Raises:
        DataError: If an option is out of range.
        DownloadError: If the digits cannot be fetched.
    """
    if task not in _LABEL_NAMES:
        raise DataError(f"task is {task!r}; expected one of {', '.join(_LABEL_NAMES)}")
    tested = correlation if test_correlation is None else test_correlation
    for name, value in (("correlation", correlation), ("test_correlation", tested)):
        if not 0 <= value <= 1:
            raise DataError(f"{name} is {value}; expected a probability, from 0 to 1")
    digits = digits_of(digits_from, seed)
    return Splits(
        _coloured(digits.train, task, correlation, (seed, 0)),
        _coloured(digits.validation, task, correlation, (seed, 1)),
        _coloured(digits.test, task, tested, (0, 2)),
    )


def _coloured(digits: Dataset, task: Task, correlation: float, key: tuple[int, ...]) -> Dataset:
    classes = digits.annotations()["labels"]
    labels = _labels(classes, task)
    true = torch.from_numpy(uniforms(key, len(classes)) < correlation)
    colour = torch.where(true, labels, 1 - labels)
    rows = torch.arange(len(digits))
    grey = digits.pixels(rows)
    images = grey.new_zeros(len(grey), _CHANNELS, *grey.shape[2:])
    images[rows, colour] = grey[:, 0]
    return Dataset(
        images,
        "coloured-digits",
        labels=labels,
        label_names=_LABEL_NAMES[task],
        factors=torch.stack([colour, classes], 1),
        factor_names=("colour", "digit"),
        factor_sizes=(_COLOURS, len(digits.label_names)),
    )


def _labels(classes: Tensor, task: Task) -> Tensor:
    return (classes >= 5).long() if task == "halves" else classes % 2
