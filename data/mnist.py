"""MNIST and the sets in its format; MNIST in small comes with the package.

Sources: LeCun, Bottou, Bengio and Haffner (1998), "Gradient-based learning applied to document
recognition"; Xiao, Rasul and Vollgraf (2017), https://arxiv.org/abs/1708.07747.
"""

from pathlib import Path

import numpy as np
import torch

from .dataset import Dataset, Splits
from .download import Remote, fetch
from .idx import read_idx
from .labelling import hide_training_labels
from .splitting import carve

_SMALL = Path(__file__).with_name("mnist_small.npz")
_SMALL_VALIDATION, _VALIDATION = 1000, 5000
_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt or top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def _remotes(name: str, address: str, checksums: tuple[str, ...]) -> tuple[Remote, ...]:
    files = [f"{file}-ubyte.gz" for file in _FILES]
    return tuple(
        Remote(f"{name}/{file}", f"{address}/{file}", f"md5:{checksum}")
        for file, checksum in zip(files, checksums, strict=True)
    )


_MNIST = _remotes(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
)
_FASHION = _remotes(
    "fashion-mnist",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
)


def mnist_small(seed: int, *, labels_per_class: int | None = None) -> Splits:
    """Return 9000, 1000 and 2000 digits of MNIST; which 1000 validate depends on `seed`.

    Args:
        seed: Chooses which digits validate, and which labels are kept.
        labels_per_class: Labels that are kept of each class to train on; the others become -1,
            not known. All of them unless given.
    """
    with np.load(_SMALL, allow_pickle=False) as file:
        train, test = (
            _dataset(file[f"{part}_images"], file[f"{part}_labels"], "mnist-small", _DIGITS)
            for part in ("train", "test")
        )
    return hide_training_labels(
        carve(train, test, _SMALL_VALIDATION, seed), labels_per_class, seed
    )


def mnist(seed: int, *, labels_per_class: int | None = None) -> Splits:
    """Return 55 000, 5000 and 10 000 digits.

    Args:
        seed: Chooses which digits validate, and which labels are kept.
        labels_per_class: Labels that are kept of each class to train on; the others become -1,
            not known. All of them unless given.
    """
    return hide_training_labels(_fetched("mnist", _MNIST, _DIGITS, seed), labels_per_class, seed)


def fashion_mnist(seed: int, *, labels_per_class: int | None = None) -> Splits:
    """Return 55 000, 5000 and 10 000 pieces of clothing.

    Args:
        seed: Chooses which pieces validate, and which labels are kept.
        labels_per_class: Labels that are kept of each class to train on; the others become -1,
            not known. All of them unless given.
    """
    splits = _fetched("fashion-mnist", _FASHION, _CLOTHES, seed)
    return hide_training_labels(splits, labels_per_class, seed)


def _fetched(
    name: str, remotes: tuple[Remote, ...], label_names: tuple[str, ...], seed: int
) -> Splits:
    arrays = [
        read_idx(fetch(remote), axes) for remote, axes in zip(remotes, (3, 1, 3, 1), strict=True)
    ]
    train, test = (
        _dataset(images, labels, name, label_names) for images, labels in (arrays[:2], arrays[2:])
    )
    return carve(train, test, _VALIDATION, seed)


def _dataset(
    images: np.ndarray, labels: np.ndarray, name: str, label_names: tuple[str, ...]
) -> Dataset:
    return Dataset(
        torch.from_numpy(images).unsqueeze(1),
        name,
        labels=torch.from_numpy(labels).long(),
        label_names=label_names,
    )
