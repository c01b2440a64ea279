"""Fetching a batch, against `torch.utils.data.DataLoader` and against the step that consumes it.

Run: python -m benchmarks.batches [--rounds 21]
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator

import pyro
import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.svi_step import CASES, make_pair
from benchmarks.timing import compare, one_thread, print_table
from unbraid.data import Batches, Dataset
from unbraid.inference import SVI

SIZE, BATCH, SHARE_OF_STEP = 60_000, 100, 0.02


class _Items(torch.utils.data.Dataset[torch.Tensor]):
    """A data set that converts one image at a time, as most scripts write it."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index].float() / 255


def endless(loader: Iterable[object]) -> Iterator[object]:
    """Go through a loader again and again."""
    return itertools.chain.from_iterable(itertools.repeat(loader))


def main() -> int:
    """Measure; exit status 1 where fetching takes more than its share of a step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args()
    one_thread()
    torch.manual_seed(0)
    images = torch.randint(0, 256, (SIZE, 1, 28, 28), dtype=torch.uint8)
    batches, steps = Batches(Dataset(images), BATCH), itertools.count()
    tensors = endless(DataLoader(TensorDataset(images), BATCH, shuffle=True))
    items = endless(DataLoader(_Items(images), BATCH, shuffle=True))
    svi = SVI(*make_pair(CASES["mlp100"])[:2])
    x = images[:BATCH].float().div(255).round()
    variants: dict[str, Callable[[], object]] = {
        "Batches": lambda: batches.batch(next(steps)),
        "DataLoader(TensorDataset)": lambda: next(tensors)[0].float() / 255,  # pyright: ignore
        "DataLoader(one image at a time)": lambda: next(items),
        "SVI step, MLP, batch 100": lambda: svi.step(x),
    }
    with pyro.validation_enabled(False):
        results = compare(variants, "Batches", rounds=given.rounds)
    print_table("A batch of 100 MNIST-sized images: ratio to Batches", results, {})
    share = 1 / results["SVI step, MLP, batch 100"].median
    print(f"\nfetching takes {100 * share:.2f} % of a step (target <= {100 * SHARE_OF_STEP:g} %)")
    return 0 if share <= SHARE_OF_STEP else 1


if __name__ == "__main__":
    sys.exit(main())
