"""The published test sequences of moving MNIST, beside training sequences drawn like them.

Source: Srivastava, Mansimov and Salakhutdinov (2015), https://arxiv.org/abs/1502.04681.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .dataset import Dataset, Splits
from .digit_sets import DigitSet
from .download import Remote, fetch
from .errors import DataError
from .limits import check_bytes
from .moving_digits import moving_mnist

_FILE = Remote(
    "moving_mnist/mnist_test_seq.npy",
    "http://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy",
    "md5:be083ec986bfe91a449d63653c411eb2",
)
_SHAPE = (20, 10_000, 64, 64)  # frames, sequences, rows, columns
_NAME = "moving-mnist-test"


def moving_mnist_test(
    seed: int,
    *,
    sequences: int = 10_000,
    digits_from: DigitSet = "mnist",
) -> Splits:
    """Return the 10 000 published sequences as test part, in the order of the file.

    There is no published training part: the paper draws its training sequences as it goes. So
    training and validation sequences are those of `moving_mnist` in the form `srivastava`, of
    digits that MNIST trains with; the published ones show digits that it tests with. Which digits
    and places these are is not published, so no part has factors.

    Args:
        seed: As for `moving_mnist`; the test part does not depend on it.
        sequences: As for `moving_mnist`: four fifths train, and a tenth validates.
        digits_from: Where digits that train and validate come from.

    Raises:
        DataError: If the file is not as it should be, or an option is out of range.
        DownloadError: If a file cannot be fetched; 819 MB, and MNIST.
    """
    drawn = moving_mnist(seed, sequences=sequences, digits_from=digits_from)
    test = Dataset(_read(fetch(_FILE)), _NAME)
    return Splits(_without_factors(drawn.train), _without_factors(drawn.validation), test)


def _without_factors(data: Dataset) -> Dataset:
    nothing = {"factors": None, "frame_factors": None}
    unnamed = dict.fromkeys(
        ("factor_names", "factor_sizes", "frame_factor_names", "frame_factor_sizes"), ()
    )
    return replace(data, name=_NAME, **nothing, **unnamed)


def _read(path: Path) -> Tensor:
    """Return the sequences, uint8 `(S, T, 1, H, W)`."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is damaged ({error}). Fetch it again.") from error
    if array.shape != _SHAPE or array.dtype != np.uint8:
        raise DataError(
            f"sequences in {path} are {array.dtype} {array.shape}; expected uint8 {_SHAPE}"
        )
    check_bytes(array.nbytes, path)
    return torch.from_numpy(np.array(array.swapaxes(0, 1), order="C")).unsqueeze(2)
