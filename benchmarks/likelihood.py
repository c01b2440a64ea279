"""Importance-sampled log p(x) against the time of the decoder's matrix products alone.

Run: python -m benchmarks.likelihood [--samples 5000] [--images 20] [--rounds 5] [--compile]
"""

import argparse
import sys
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from benchmarks.timing import compare, one_thread, print_table
from unbraid import guides, models
from unbraid.inference import log_likelihood
from unbraid.nets import MLPDecoder, MLPEncoder, make_likelihood

NETS = {"784-512-256": ((512, 256), "relu"), "2x200 tanh": ((200, 200), "tanh")}
EAGER, COMPILED = {"784-512-256": 0.65, "2x200 tanh": 0.5}, {"784-512-256": 0.75}
LATENT_DIM, ROWS = 50, 2048


def matrix_products(widths: list[int], rows: int, total: int) -> Callable[[], None]:
    """The decoder's products into kept outputs, `rows` at a time: no estimator is faster."""
    weights = [torch.randn(b, a) for a, b in pairwise(widths)]
    outputs = [torch.empty(rows, b) for b in widths[1:]]
    first = torch.randn(rows, widths[0])

    def work() -> None:
        for _ in range(0, total, rows):
            x: Tensor = first
            for weight, out in zip(weights, outputs, strict=True):
                torch.mm(x, weight.T, out=out)
                x = out

    return work


def measure(name: str, images: int, samples: int, rounds: int, compiled: bool) -> bool:
    """Measure one pair of nets; return whether the targets are reached."""
    hidden, activation = NETS[name]
    torch.manual_seed(0)
    shape = (1, 28, 28)
    decoder = MLPDecoder(
        LATENT_DIM, shape, make_likelihood("bernoulli", 1), hidden[::-1], activation
    )
    model = models.VAE(decoder, LATENT_DIM)
    guide = guides.VAE(MLPEncoder(shape, LATENT_DIM, hidden, activation))
    x = (torch.rand(images, *shape) > 0.5).float()
    floor = matrix_products([LATENT_DIM, *hidden[::-1], 784], ROWS, images * samples)
    variants: dict[str, Callable[[], object]] = {
        "matrix products": floor,
        "log_likelihood": lambda: log_likelihood(model, guide, x, samples=samples, rows=ROWS),
    }
    if compiled:
        variants["log_likelihood, compiled"] = lambda: log_likelihood(
            model, guide, x, samples=samples, rows=ROWS, compile=True
        )
    results = compare(variants, "matrix products", rounds=rounds)
    targets = {"log_likelihood": 1 / EAGER[name]}
    if name in COMPILED:
        targets["log_likelihood, compiled"] = 1 / COMPILED[name]
    reached = print_table(
        f"{name}, {images} images, K = {samples}: ratio to matrix products", results, targets
    )
    for variant, ratio in results.items():
        print(f"{variant}: {1 / ratio.median:.2f} of the floor")
    return reached


def main() -> int:
    """Measure both pairs of nets; exit status 1 where a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    one_thread()
    reached = [
        measure(name, given.images, given.samples, given.rounds, given.compile) for name in NETS
    ]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
