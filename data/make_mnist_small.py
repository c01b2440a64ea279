"""Make `mnist_small.npz` from the four files of MNIST in `$UNBRAID_DATA/mnist`.

It has the first 1000 training and the first 200 test images of every digit after a shuffle by
seed 0.
"""

import gzip
import os
from pathlib import Path

import numpy as np

SEED = 0
PER_DIGIT = {"train": 1000, "t10k": 200}


def read(path: Path, header: int) -> np.ndarray:
    """Return the bytes of an idx file after its header."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def balanced(labels: np.ndarray, count: int) -> np.ndarray:
    """Return indices of `count` images of every digit, in an order that mixes the digits."""
    order = np.random.default_rng(SEED).permutation(len(labels))
    chosen = [order[labels[order] == digit][:count] for digit in range(10)]
    return np.stack(chosen, axis=1).reshape(-1)


def main() -> None:
    """Write `mnist_small.npz` beside this file."""
    folder = Path(os.environ["UNBRAID_DATA"]) / "mnist"
    arrays = {}
    for part, name in (("train", "train"), ("t10k", "test")):
        labels = read(folder / f"{part}-labels-idx1-ubyte.gz", header=8)
        images = read(folder / f"{part}-images-idx3-ubyte.gz", header=16).reshape(-1, 28, 28)
        indices = balanced(labels, PER_DIGIT[part])
        arrays |= {f"{name}_images": images[indices], f"{name}_labels": labels[indices]}
    np.savez_compressed(Path(__file__).with_name("mnist_small.npz"), **arrays)


if __name__ == "__main__":
    main()
